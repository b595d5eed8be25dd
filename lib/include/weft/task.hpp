/// @file weft/task.hpp
/// spawn, and the handle to what it starts.  Floor: sched.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <weft/deadline.hpp>
#include <weft/detail/end_block.hpp>
#include <weft/detail/wait_list.hpp>
#include <weft/error.hpp>

namespace weft {

template <class T>
class task;

namespace detail {

/// The end block of a task.
struct WEFT_API task_block : end_block {
    ~task_block() override;

    wait_list joiners;
    std::exception_ptr error;             // why it ended, readable once state is dead
    bool was_killed = false;              // ended by fiber_exit
    std::atomic<bool> observed{false};    // somebody asked for the error

    bool join(deadline by);
    bool kill(deadline by);
    void rethrow_unless_successful();     // after join()
    void start();
};

template <class T>
struct task_result : task_block {
    using stored = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>;
    bool harmless() const noexcept override { return !error && std::is_trivially_destructible_v<stored>; }

    std::optional<stored> value;
};
template <>
struct task_result<void> : task_block {
    bool harmless() const noexcept override { return !error; }
};

template <class T, class F, class... A>
class task_body final : public body {
public:
    template <class G, class... B>
    explicit task_body(task_result<T>& result, G&& function, B&&... args)
        : result_{result}, function_{std::forward<G>(function)}, args_{std::forward<B>(args)...} {}

    message run(message&&) override {
        const auto call = [this]() -> decltype(auto) {
            return std::apply([this](A&... args) -> decltype(auto) {
                return std::invoke(std::move(function_), std::move(args)...);
            }, args_);
        };
        if constexpr (std::is_void_v<T>) call();
        else if constexpr (std::is_reference_v<T>) result_.value = &call();
        else result_.value.emplace(call());
        return {};
    }

private:
    task_result<T>& result_;
    F function_;
    std::tuple<A...> args_;
};

template <class F, class... A>
using spawned_t = std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>;

}  // namespace detail

/// A shared handle to a task: copies name the same one, as std::shared_future's do. Dropping the last one
/// detaches: the task runs on, and an error of its that nobody has asked for is reported when it ends.
///
/// Threads:  any handle from any thread; waiting from another hub's tasks or a plain thread works alike.
/// Cancel:   join() and get() are cancellation points of the caller; the task that they wait for goes on.
/// gevent:   gevent.Greenlet
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
        (void)block.join(deadline::never());
        block.rethrow_unless_successful();
        if constexpr (std::is_void_v<T>) return;
        else if constexpr (std::is_reference_v<T>) return static_cast<T>(**block.value);
        else return static_cast<const T&>(*block.value);
    }

    /// Throws fiber_exit at the wait that the task is in, or at its next one; before its first turn it never
    /// runs at all. Then waits for its end: not at all with deadline::past(). Idempotent. Killing the running
    /// task throws fiber_exit at once. What may not be torn apart is not: see the shim's table for calls that
    /// keep a kill pending.
    /// @returns whether it has ended
    bool kill(deadline by = deadline::never()) const { return named().kill(by); }

    /// It has ended: get() would not wait.
    bool ready() const { return named().state.load(std::memory_order_acquire) == detail::phase::dead; }
    /// It has ended by returning.
    bool successful() const { return ready() && !named().error; }
    /// What it threw; null while it runs, after success, and after a kill.
    std::exception_ptr exception() const {
        detail::task_result<T>& block = named();
        if (!ready() || block.was_killed) return nullptr;
        block.observed.store(true, std::memory_order_relaxed);
        return block.error;
    }

    std::uint64_t id() const { return named().id; }
    std::string name() const { return named().name_text(); }

    friend bool operator==(const task& a, const task& b) noexcept { return a.block_.get() == b.block_.get(); }

private:
    template <class F, class... A>
        requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
    friend task<detail::spawned_t<F, A...>> spawn(const fiber_options&, F&&, A&&...);

    detail::task_result<T>& named() const {
        if (!block_) throw std::logic_error("weft: this handle names no task; assign one returned by weft::spawn()");
        return *block_;
    }

    detail::handle<detail::task_result<T>> block_;
};

/// Makes a task of `function(args...)`, all decayed and moved into it, and puts it at the end of this thread's
/// ready queue; does not switch. It first runs when the caller waits or yields.
/// @throws std::invalid_argument  a stack size out of range
/// @throws std::system_error, std::bad_alloc  no memory for it; nothing is lost
/// gevent: gevent.spawn
template <class F, class... A>
    requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
task<detail::spawned_t<F, A...>> spawn(const fiber_options& options, F&& function, A&&... args) {
    using result = detail::spawned_t<F, A...>;
    task<result> made;
    made.block_ = detail::handle<detail::task_result<result>>{new detail::task_result<result>};
    detail::make_body<detail::task_body<result, std::decay_t<F>, std::decay_t<A>...>>(
        *made.block_, options, *made.block_, std::forward<F>(function), std::forward<A>(args)...);
    made.block_->start();
    return made;
}

template <class F, class... A>
    requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
task<detail::spawned_t<F, A...>> spawn(F&& function, A&&... args) {
    return spawn(fiber_options{}, std::forward<F>(function), std::forward<A>(args)...);
}

/// Waits for every task of a range.
/// @returns true; false if the deadline passed first, with the others still running
/// gevent: gevent.joinall
template <class Range>
bool joinall(const Range& tasks, deadline by = deadline::never()) {
    bool all = true;
    for (const auto& t : tasks) all = t.join(by) && all;
    return all;
}

/// Called for an error that ended a task and that nobody asked for before its last handle went, in the
/// context of whoever dropped it. The default prints one line to standard error. May not throw or wait.
/// @returns the previous hook
using unhandled_hook = void (*)(std::uint64_t id, const std::string& name, const std::exception_ptr& error);
WEFT_API unhandled_hook on_unhandled(unhandled_hook hook) noexcept;

}  // namespace weft
