/// @file weft/pool.hpp
/// At most so many tasks at a time.  Floor: kit.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/deadline.hpp>
#include <weft/detail/imap.hpp>
#include <weft/detail/pool_core.hpp>
#include <weft/task.hpp>

namespace weft {

/// Runs tasks, at most `size` of them at a time; whoever spawns one more waits for room.
///
/// Order:     room is given first come, first served.
/// Threads:   any may call anything; a task runs on the thread that has spawned it.
/// Lifetime:  a scope's, as a group's: its end waits for every task; when it is left by an exception they are killed and
///            waited for. One task's error does not end the others: it is its handle's, like any task's.
/// Members:   a task of the pool may use the pool. It never waits for room: apply() calls the function right here, spawn()
///            makes a task that starts when there is room, map() lends the caller's room while it waits. A member that
///            waits by other means (task::get) for one that has no room yet keeps its own, and may wait for ever.
/// Cancel:    whatever waits is a cancellation point; an interrupted spawn() has started nothing.
/// gevent:    gevent.pool.Pool
class pool {
public:
    /// @throws std::invalid_argument  a size of 0
    explicit pool(std::size_t size) : core_{size} {}
    pool(const pool&) = delete;
    pool& operator=(const pool&) = delete;
    ~pool() noexcept(false) { core_.leave(); }

    /// As weft::spawn, once there is room.
    template <class F, class... A>
        requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
    task<detail::spawned_t<F, A...>> spawn(F&& function, A&&... args) {
        return try_spawn(deadline::never(), std::forward<F>(function), std::forward<A>(args)...);
    }
    /// @returns a handle that names no task if there was no room by then. gevent: PoolFull
    template <class F, class... A>
        requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
    task<detail::spawned_t<F, A...>> try_spawn(deadline by, F&& function, A&&... args) {
        if (core_.has_caller()) return spawn_later(std::forward<F>(function), std::forward<A>(args)...);
        return detail::spawn_with_room(core_, by, std::forward<F>(function), std::forward<A>(args)...);
    }

    /// The function's result, once it has run as a task of the pool. @throws what it throws
    template <class F, class... A>
        requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
    detail::spawned_t<F, A...> apply(F&& function, A&&... args) {
        if (core_.has_caller())
            return std::invoke(std::decay_t<F>(std::forward<F>(function)), std::decay_t<A>(std::forward<A>(args))...);
        return detail::task_access::take(spawn(std::forward<F>(function), std::forward<A>(args)...));
    }
    /// Never waits: the task starts when there is room. `callback` is called with the result in a task of its own once there
    /// is one; after an error it is not. gevent: apply_async, apply_cb
    template <std::invocable F, class Callback>
    task<detail::spawned_t<F>> apply_async(F&& function, Callback callback) {
        auto started = spawn_later(std::forward<F>(function));
        (void)started.link_value([callback = std::move(callback)](const task<detail::spawned_t<F>>& ended) mutable {
            if constexpr (std::is_void_v<detail::spawned_t<F>>) std::invoke(callback);
            else std::invoke(callback, ended.get());
        });
        return started;
    }
    template <std::invocable F>
    task<detail::spawned_t<F>> apply_async(F&& function) {
        return spawn_later(std::forward<F>(function));
    }

    /// The results for each item, or for one of each range until the shortest ends, in that order.
    /// @throws anything  the error of the first item, in order, that has one; the others are killed then
    template <class F, std::ranges::input_range... Ranges>
    auto map(F function, Ranges&&... ranges) {
        return detail::map_in(core_, std::move(function), std::forward<Ranges>(ranges)...);
    }
    /// As a task: wait for it with get().
    template <class F, std::ranges::input_range Range>
    auto map_async(F function, Range items) {
        return detail::spawn_member(core_, false, fiber_options{},
                                    [this, function = std::move(function), items = std::move(items)]() mutable {
                                        return map(std::move(function), items);
                                    });
    }

    /// The results one by one, in the order of the items; computed ahead, but with at most `most` of them not taken yet
    /// (0: no limit). An item's error is thrown at its turn, and the next call goes on behind it; an error of the iteration
    /// over `items` ends it. Destroying the range, which must not outlive the pool, kills what still runs for it. Taking a
    /// result lends the room of a task of the pool.
    template <class F, std::ranges::input_range Range>
    auto imap(F function, Range items, std::size_t most = 0) {
        return detail::make_imap<true>(core_, std::move(function), std::move(items), most);
    }
    /// The same in the order in which they come.
    template <class F, std::ranges::input_range Range>
    auto imap_unordered(F function, Range items, std::size_t most = 0) {
        return detail::make_imap<false>(core_, std::move(function), std::move(items), most);
    }

    /// Waits until no task is left. @returns true; false if the deadline passed first
    /// @throws lock_misuse  a task of the pool calls it
    bool join(deadline by = deadline::never()) { return core_.join(by); }
    /// Kills every task, those without room yet, too, and waits for their end. The pool can be used again.
    /// @returns whether all have ended by then; a member that calls it waits for nobody, and goes on
    bool kill(deadline by = deadline::never()) { return core_.kill(by); }

    /// Waits until a task would find room, which another may take first. @returns false if the deadline passed first
    bool wait_available(deadline by = deadline::never()) { return core_.wait_available(by); }
    std::size_t free_count() const noexcept { return core_.free_count(); }
    bool full() const noexcept { return free_count() == 0; }
    /// Tasks that have not ended, those without room yet included; stale after the next switch.
    std::size_t size() const noexcept { return core_.size(); }

private:
    template <class F, class... A>
    task<detail::spawned_t<F, A...>> spawn_later(F&& function, A&&... args) {
        return detail::spawn_member(
            core_, false, fiber_options{},
            [this, f = std::decay_t<F>(std::forward<F>(function))](std::decay_t<A>&&... given) mutable -> decltype(auto) {
                core_.take_room_here();
                return std::invoke(std::move(f), std::move(given)...);
            },
            std::forward<A>(args)...);
    }

    detail::pool_core core_;
};

}  // namespace weft
