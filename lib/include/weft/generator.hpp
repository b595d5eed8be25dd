/// @file weft/generator.hpp
/// A function that hands out values one at a time and waits in between.  Floor: fiber.
#pragma once

#include <concepts>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/detail/generator_state.hpp>
#include <weft/fiber.hpp>
#include <weft/stop_iteration.hpp>
#include <weft/yielder.hpp>

namespace weft {

/// Runs its body on a fiber of its own, from one yield() to the next, each time that a value is asked for:
///
///     weft::generator<int> squares{[](weft::yielder<int>& out) {
///         for (int i = 1; i <= 3; ++i) out.yield(i * i);
///     }};
///     for (int square : squares) std::printf("%d ", square);  // 1 4 9
///
/// Values:    next() moves a value out of the yielding frame, without a copy or an allocation; what was
///            yielded as an lvalue has been copied there. A reference type is handed out as it is. As a range
///            it is a std::ranges::input_range of Yield&&, the yielded object itself: nothing is moved unless
///            you do.
/// Order:     the body begins with the first next() and yields to whoever called it, each time another fiber
///            if need be. It may wait as any fiber may (sleep, event): who called next() waits with it.
/// Errors:    what leaves the body comes out of next(), which ends the generator. A stop_iteration comes out
///            as a generator_misuse with it nested, since it would pass for the end. While nobody waits in
///            next(), errors go to the thread's main fiber, the parent of the body's.
/// Threads:   the one that made it; resuming it on another throws wrong_thread. May be destroyed on any: its
///            own unwinds it, at its next turn.
/// Lifetime:  destroying a suspended one unwinds its body with fiber_exit, as dropping a fiber does; errors
///            that leave it then are reported as ones that nobody observed. One in whose next() somebody
///            waits must not be destroyed: that aborts. A moved-from one has ended.
/// Cancel:    a kill of the task that waits in next() is met at its first own wait afterwards.
/// Python:    generators, PEP 342 and PEP 380
template <class Yield, class Send, class Return>
class generator {
public:
    using value_type = std::remove_cvref_t<Yield>;
    using reference = Yield&&;
    /// Tests whether there is a value, and dereferences to it: an optional, or a pointer if Yield is a
    /// reference.
    using maybe = std::conditional_t<std::is_reference_v<Yield>, std::remove_reference_t<Yield>*,
                                     std::optional<value_type>>;
    using iterator = detail::generator_iterator<generator>;

    /// Runs nothing yet. `body` will be called with a yielder<Yield, Send>&; what it returns is the result.
    /// @throws anything  as fiber's constructor
    template <class F>
        requires std::invocable<std::decay_t<F>&, yielder<Yield, Send>&>
    explicit generator(F&& body, const fiber_options& options = {})
        : state_{std::make_shared<state>()},
          fiber_{[shared = state_, f = std::forward<F>(body)]() mutable { shared->run(f); }, options} {
        // A child keeps its parent: made in another one's body, it would keep that one from being unwound.
        fiber_.set_parent(fiber::main());
    }

    generator(generator&&) noexcept = default;
    generator& operator=(generator other) noexcept {
        std::swap(state_, other.state_);
        std::swap(fiber_, other.fiber_);
        return *this;
    }
    ~generator() {
        if (state_) core().abandon();
    }

    /// The next value.
    /// @throws stop_iteration<Return>  the body has returned; at each further call again
    /// @throws generator_misuse        it runs: this is its body, or the body waits; nothing has changed
    /// @throws invalid_switch          in a callback of the hub, or somebody else has switched to the caller
    Yield next() {
        advance();
        return current_or_stop();
    }

    /// As next(), but empty at the end.
    maybe try_next() {
        advance();
        if (done()) return {};
        if constexpr (std::is_reference_v<Yield>) return state_->value();
        else return maybe{current()};
    }

    /// As next(), and yield() returns `value` in the body.
    /// @throws generator_misuse  it has not begun: call next() first
    template <class S = Send>
        requires(!std::is_void_v<S>)
    Yield send(std::type_identity_t<S> value) {
        if (state_) core().send(fiber_, std::addressof(value));
        return current_or_stop();
    }

    /// As next(), and yield() throws `error` in the body. Where there is no yield(), before the beginning and
    /// after the end, the error comes back at once, and the generator has ended.
    Yield throw_into(std::exception_ptr error) {
        if (!state_) detail::throw_back(std::move(error));
        core().raise(fiber_, std::move(error));
        return current_or_stop();
    }
    template <class E>
        requires(!std::convertible_to<E, std::exception_ptr>)
    Yield throw_into(E&& error) {
        return throw_into(std::make_exception_ptr(std::forward<E>(error)));
    }

    /// Ends it now: yield() throws fiber_exit in the body. Nothing to do after the end.
    /// @throws generator_misuse  it has yielded again, and can be resumed there
    /// @throws anything          what left the body instead
    void close() {
        if (state_) core().close(fiber_);
    }

    /// The body has returned, has thrown, or will never begin.
    bool done() const noexcept { return !state_ || core().ended(); }

    /// What the body has returned, once done(). @throws std::logic_error  it has not
    template <class R = Return>
        requires(!std::is_void_v<R>)
    R& result() const {
        return stop().value();
    }

    /// Asks for the next value; each range-for goes on where the last one has stopped.
    iterator begin() {
        advance();
        return iterator{*this};
    }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    using state = detail::generator_state<Yield, Send, Return>;
    friend iterator;
    friend yielder<Yield, Send>;

    detail::generator_core& core() const noexcept { return state_->switching(); }
    void advance() {
        if (state_) core().resume(fiber_);
    }
    reference current() const noexcept { return static_cast<reference>(*state_->value()); }
    Yield current_or_stop() {
        if (done()) throw stop();
        return current();
    }
    stop_iteration<Return> stop() const {
        if constexpr (!std::is_void_v<Return>)
            if (state_ && state_->result) return stop_iteration<Return>{{state_, &*state_->result}};
        return {};
    }

    std::shared_ptr<state> state_;  // null once moved from
    fiber fiber_;  // dropped before its state
};

template <class Yield, class Send>
template <class R>
R yielder<Yield, Send>::yield_from(generator<Yield, Send, R>& inner) {
    for (inner.advance(); !inner.done();) {
        std::exception_ptr error;
        value_ = inner.state_->value();
        try {
            suspend();
        } catch (const fiber_exit&) {
            inner.close();
            throw;
        } catch (...) {
            error = std::current_exception();
        }
        if (error) inner.core().raise(inner.fiber_, std::move(error));
        else inner.core().resume(inner.fiber_, take_sent());
    }
    if constexpr (!std::is_void_v<R>) return std::move(inner.result());
}

}  // namespace weft
