/// @file weft/task.hpp
/// spawn, and the handle to what it starts.  Floor: sched.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>

#include <weft/deadline.hpp>
#include <weft/detail/task_block.hpp>
#include <weft/error.hpp>
#include <weft/fiber.hpp>

namespace weft {

namespace detail {
struct task_access;
}

/// A shared handle to a task: copies name the same one, as std::shared_future's do. Dropping the last one
/// detaches: the task runs on, and an error of its that nobody has asked for is reported when it ends.
///
/// Threads:  any handle from any thread; waiting from another hub's tasks or a plain thread works alike.
/// Cancel:   join() and get() are cancellation points of the caller; the task that they wait for goes on.
/// gevent:   gevent.Greenlet
///
/// Links:    link(f) has f called once the task has ended, in a task of its own on the thread that linked: f(task), or
///           f(). Links are called in the order in which they were made, also if the task has ended before, but for one
///           that another thread makes in the moment of the end; an error in one is reported as any task's, and the others
///           are called all the same. rawlink() has f called in the hub of that thread instead, where it may not wait. A
///           thread that has ended calls none.
template <class T>
class task {
public:
    using result = T;

    /// Names no task: every call but the destructor, assignment and operator bool throws std::logic_error.
    task() noexcept = default;

    explicit operator bool() const noexcept { return static_cast<bool>(block_); }

    /// Waits for its end, however it ends; never throws the task's error. Waiting for oneself throws
    /// lock_misuse, since it would never return.
    void join() const { (void)named().join(deadline::never()); }
    /// @returns whether it has ended
    bool join(deadline by) const { return named().join(by); }

    /// Its result, waiting for it; may be asked for again.
    /// @throws task_killed  it was killed and did not return
    /// @throws anything     that its function threw: the same object
    decltype(auto) get() const {
        detail::task_result<T>& block = named();
        block.join_or_throw();
        if constexpr (std::is_void_v<T>) return;
        else if constexpr (std::is_reference_v<T>) return static_cast<T>(**block.value);
        else return static_cast<const T&>(*block.value);
    }

    /// The same for at most so long. @returns a pointer to the result, good as long as a handle; null if the task has not
    /// ended by then. For task<void>: whether it has.
    detail::result_pointer<T> get(deadline by) const {
        detail::task_result<T>& block = named();
        if (!block.join(by)) return {};
        block.rethrow_unless_successful();
        return detail::pointer_to_result(block);
    }
    /// As get(deadline::past()), but null (false) also of a task that has failed or was killed.
    detail::result_pointer<T> value() const {
        return successful() ? detail::pointer_to_result(named()) : detail::result_pointer<T>{};
    }

    /// Throws fiber_exit at the wait that the task is in, or at its next one; before its first turn it never
    /// runs at all. Then waits for its end: not at all with deadline::past(). Idempotent; the first reason counts. Killing
    /// the running task throws at once, or after its shields. What may not be torn apart is not: see the shim's table for calls that
    /// keep a kill pending, and weft::shield.
    /// @returns whether it has ended
    bool kill(deadline by = deadline::never()) const { return named().kill(by); }
    /// Throws `reason` instead. The task then counts as failed with it, unless it is derived from fiber_exit; nobody needs
    /// to ask for it.
    /// @throws std::invalid_argument  `reason` is empty
    /// gevent: kill(exception)
    bool kill(std::exception_ptr reason, deadline by = deadline::never()) const {
        if (!reason) throw std::invalid_argument("weft: kill() with an empty exception_ptr; leave it away for fiber_exit");
        return named().kill(by, std::move(reason));
    }

    /// Its function has been called, or it has ended without that.
    bool started() const { return named().state.load(std::memory_order_acquire) != detail::phase::pending; }
    /// It has ended: get() would not wait.
    bool ready() const { return named().has_ended(); }
    /// It has ended by returning.
    bool successful() const { return ready() && !named().error; }
    /// It has ended by a kill, without an error.
    bool killed() const { return ready() && named().was_killed; }
    /// What it threw; null while it runs, after success, and after a kill.
    std::exception_ptr exception() const { return named().failure(); }

    /// @returns what unlink() takes
    template <class F>
    std::uint64_t link(F&& function) const {
        return link_when(detail::link_call::when::ended, false, std::forward<F>(function));
    }
    /// Calls only after success; only after an error. After a kill neither does. gevent: link_value, link_exception
    template <class F>
    std::uint64_t link_value(F&& function) const {
        return link_when(detail::link_call::when::returned, false, std::forward<F>(function));
    }
    template <class F>
    std::uint64_t link_exception(F&& function) const {
        return link_when(detail::link_call::when::failed, false, std::forward<F>(function));
    }
    template <class F>
    std::uint64_t rawlink(F&& function) const {
        return link_when(detail::link_call::when::ended, true, std::forward<F>(function));
    }
    /// @returns whether the link was there; one whose task has ended is on its way
    bool unlink(std::uint64_t id) const { return named().unlink(id); }
    void unlink_all() const { named().unlink_all(); }

    std::uint64_t id() const { return named().id; }
    std::string name() const { return named().name_text(); }

    friend bool operator==(const task& a, const task& b) noexcept { return a.block_.get() == b.block_.get(); }

private:
    friend struct detail::task_access;
    explicit task(detail::handle<detail::task_result<T>> block) noexcept : block_{std::move(block)} {}

    template <class F>
    std::uint64_t link_when(detail::link_call::when condition, bool in_hub, F&& function) const;

    detail::task_result<T>& named() const {
        if (!block_) throw std::logic_error("weft: this handle names no task; assign one returned by weft::spawn()");
        return *block_;
    }

    detail::handle<detail::task_result<T>> block_;
};

namespace detail {

struct task_access {
    template <class T>
    static task<T> make(handle<task_result<T>> block) noexcept {
        return task<T>{std::move(block)};
    }
    template <class T>
    static task_result<T>& block(const task<T>& t) {
        return t.named();
    }
    /// As get(), for the only handle: the result is moved out.
    template <class T>
    static T take(const task<T>& t) {
        t.get();
        if constexpr (std::is_reference_v<T>) return static_cast<T>(**t.named().value);
        else if constexpr (!std::is_void_v<T>) return std::move(*t.named().value);
    }
};

}  // namespace detail

template <class T>
template <class F>
std::uint64_t task<T>::link_when(detail::link_call::when condition, bool in_hub, F&& function) const {
    using stored = std::decay_t<F>;
    static_assert(std::invocable<stored&, const task&> || std::invocable<stored&>,
                  "a link is called with the task that has ended, or with nothing");
    struct call final : detail::link_call {
        call(detail::task_result<T>& block, when condition, bool in_hub, F&& f)
            : link_call{condition, in_hub}, function{std::forward<F>(f)}, of{block} {}
        void run() override {
            const task ended{detail::handle<detail::task_result<T>>::share(&of)};
            if constexpr (std::invocable<stored&, const task&>) std::invoke(function, ended);
            else std::invoke(function);
        }
        stored function;
        detail::task_result<T>& of;
    };
    return named().link(std::make_unique<call>(named(), condition, in_hub, std::forward<F>(function)));
}

/// Makes a task of `function(args...)`, all decayed and moved into it, and puts it at the end of this thread's
/// ready queue; does not switch. It first runs when the caller waits or yields. It begins with a copy of the caller's
/// context (weft/context_var.hpp), if that has one.
/// @throws std::invalid_argument  a stack size out of range
/// @throws std::system_error, std::bad_alloc  no memory for it; nothing is lost
/// gevent: gevent.spawn
template <class F, class... A>
    requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
task<detail::spawned_t<F, A...>> spawn(const fiber_options& options, F&& function, A&&... args) {
    using block = detail::task_result<detail::spawned_t<F, A...>>;
    return detail::task_access::make(detail::make_task(detail::handle<block>{new block}, &options, std::forward<F>(function),
                                                       std::forward<A>(args)...));
}

template <class F, class... A>
    requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
task<detail::spawned_t<F, A...>> spawn(F&& function, A&&... args) {
    using block = detail::task_result<detail::spawned_t<F, A...>>;
    return detail::task_access::make(detail::make_task(detail::handle<block>{new block}, nullptr, std::forward<F>(function),
                                                       std::forward<A>(args)...));
}

}  // namespace weft

#include <weft/spawn_later.hpp>
#include <weft/task_hooks.hpp>
#include <weft/wait.hpp>
