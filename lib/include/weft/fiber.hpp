/// @file weft/fiber.hpp
/// Explicit switching: a fiber runs only when somebody switches to it.  Floor: fiber.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <string>
#include <type_traits>
#include <utility>

#include <weft/detail/end_block.hpp>
#include <weft/detail/fiber_body.hpp>
#include <weft/detail/hop.hpp>
#include <weft/message.hpp>

namespace weft {

class fiber;

namespace detail {

WEFT_API message throw_message(end_block* target, std::exception_ptr error);
fiber fiber_of(handle<end_block> block) noexcept;
end_block* block_of(const fiber& f) noexcept;

}  // namespace detail

/// A handle to a stack and a saved context. Copies name the same fiber; a default-made one names none.
///
/// Order:     switch_to() runs its target at once; nobody else runs in between.
/// Parent:    the fiber that made it, until set_parent(). What the body returns goes to the parent as the
///            result of its switch_to(), an exception that escapes the body is rethrown there, and fiber_exit
///            arrives as a value. If the parent is dead, the nearest living ancestor takes its place. If that
///            one is parked in the scheduler it cannot be switched to: the scheduler goes on, a value is
///            dropped and an exception is reported as one that nobody observed.
/// Threads:   a fiber belongs to the thread that made it: switching from another throws wrong_thread. Handles
///            may be copied and dropped anywhere.
/// Lifetime:  the last handle of a suspended fiber unwinds it with fiber_exit, in the context of whoever
///            dropped it (on another thread or in a callback of the hub: by its owner, at its next turn). One
///            that drops its own and switches away is unwound by whoever runs next. A fiber that makes itself
///            wait in the scheduler is kept alive by that wait. Children keep their parent: a suspended fiber that holds
///            its own child, or a handle to itself, in its frames stays until its thread ends, as in greenlet.
/// greenlet:  greenlet.greenlet
class WEFT_API fiber {
public:
    /// Names no fiber; switching to it throws.
    fiber() noexcept = default;

    /// A pending fiber. Runs nothing yet; the first switch starts `function` on a stack of its own. The
    /// function takes no parameters, or a message, or the values of the first switch by their types.
    /// @throws std::invalid_argument  a stack size out of range
    /// @throws std::system_error, std::bad_alloc  no memory for the stack; nothing is lost
    template <class F>
        requires(!std::same_as<std::decay_t<F>, fiber>)
    explicit fiber(F&& function) : fiber{nullptr, std::forward<F>(function)} {}
    template <class F>
        requires(!std::same_as<std::decay_t<F>, fiber>)
    fiber(F&& function, const fiber_options& options) : fiber{&options, std::forward<F>(function)} {}

    /// Suspends the caller and runs this fiber, which receives `values`: as the parameters of its function
    /// when it starts, else as the result of the switch_to() that suspended it. Returns what is later sent to
    /// the caller, by whomever. To a dead fiber: its nearest living ancestor is meant. To itself: returns the
    /// values at once.
    /// @throws wrong_thread, invalid_switch  nothing has happened, the values are destroyed
    /// @throws anything  what throw_into() or a dying child threw at the caller
    template <class... A>
    message switch_to(A&&... values) const {
        if constexpr (sizeof...(A) == 0) {
            return detail::switch_message(block_.get(), nullptr);
        } else {
            message sent = message::of(std::forward<A>(values)...);
            return detail::switch_message(block_.get(), &sent);
        }
    }

    /// Switches to this fiber and throws there, at the switch_to() that suspended it. A pending fiber dies
    /// without having run, and the exception goes on to its parent. Thrown into a dead one, fiber_exit comes
    /// back as a value and anything else surfaces in the nearest living ancestor. Returns as switch_to().
    message throw_into(std::exception_ptr error) const { return detail::throw_message(block_.get(), std::move(error)); }
    template <class E>
        requires(!std::convertible_to<E, std::exception_ptr>)
    message throw_into(E&& error) const {
        return throw_into(std::make_exception_ptr(std::forward<E>(error)));
    }
    /// Throws fiber_exit.
    message throw_into() const { return throw_into(std::make_exception_ptr(fiber_exit{})); }

    /// The parent; names none for a thread's main fiber.
    fiber parent() const&;
    /// Of a temporary, which then names none: a fiber that says fiber::current().parent().switch_to() must not
    /// keep itself alive by a handle on its own stack.
    fiber parent() &&;

    /// @throws std::invalid_argument  the chain of parents would become a circle, this is a main fiber, or
    ///                                the parent names no fiber; nothing has changed
    /// @throws wrong_thread           the parent belongs to another thread
    void set_parent(const fiber& parent) const;

    /// Its function has returned or thrown. False for a pending fiber, and for a handle that names none.
    bool dead() const noexcept;
    /// It has been switched to at least once.
    bool started() const noexcept;
    /// Started and not dead: greenlet's bool().
    explicit operator bool() const noexcept { return started() && !dead(); }

    /// Unique among all fibers of the process, never reused; 0 for a handle that names none.
    std::uint64_t id() const noexcept { return block_ ? block_->id : 0; }
    /// As given in fiber_options; "main" and "hub" for a thread's own.
    std::string name() const { return block_ ? block_->name_text() : std::string{}; }

    /// Bytes of its stack that can be used, what its own record takes included; 0 for a thread's main fiber, whose
    /// stack is the system's, and once it is dead.
    /// @throws wrong_thread  it belongs to another thread
    std::size_t stack_size() const;
    /// How much of it has been in use at a time, in whole pages but for the first: the high-water mark. A stack that
    /// has served before keeps its mark; stack_options::warm_bytes = 0 gives every fiber a fresh one. Asks the kernel.
    /// @throws wrong_thread  it belongs to another thread
    std::size_t stack_used() const;

    /// The running fiber. Each thread has one from the start.
    static fiber current();
    /// The fiber that the thread itself is.
    static fiber main();

    friend bool operator==(const fiber&, const fiber&) noexcept;

private:
    friend fiber detail::fiber_of(detail::handle<detail::end_block>) noexcept;
    friend detail::end_block* detail::block_of(const fiber&) noexcept;
    explicit fiber(detail::handle<detail::end_block> block) noexcept : block_{std::move(block)} {}
    template <class F>
    fiber(const fiber_options* options, F&& function) : block_{new detail::end_block} {
        detail::make_body<detail::fiber_body<std::decay_t<F>>>(*block_, options, std::forward<F>(function));
    }

    detail::handle<detail::end_block> block_;
};

/// "<weft::fiber 12 'name' suspended>": the id, the name if there is one, then pending, running, suspended (inside
/// switch_to()), waiting or ready (in the scheduler) or dead, then " main" for a thread's main fiber. What another
/// thread's fiber does cannot be known: "alive" or "dead", and " of another thread" at the end. For a handle that
/// names none: "<weft::fiber none>".
/// greenlet: repr()
WEFT_API std::string to_string(const fiber& f);

inline bool operator==(const fiber& a, const fiber& b) noexcept { return a.block_.get() == b.block_.get(); }

}  // namespace weft
