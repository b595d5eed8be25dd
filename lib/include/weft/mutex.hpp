/// @file weft/mutex.hpp
/// Mutual exclusion among tasks and threads.  Floor: sync.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>
#include <weft/detail/gate.hpp>

namespace weft {

/// A lock that belongs to a fiber, not to an OS thread: it may be held across a wait. Meets TimedLockable, so
/// std::unique_lock and std::scoped_lock work on it.
///
/// Order:     first come, first served among the tasks of a hub: unlock() hands the lock to the one that has waited
///            longest. Only a task that has neither waited nor yielded between its lock() and its unlock() may lock
///            again at once, until it does: the one that waits could not have run before that, and it is the next then,
///            at the latest by the unlock() after it. No loop of lock, wait, unlock keeps anybody out.
///            A running thread may take a free lock past waiters of other hubs, since a hand-over between threads
///            costs microseconds, but only past those who have waited for less than 1 ms; nobody overtakes
///            them after that, and unlock() hands the lock over.
/// Threads:   any task of any hub and any plain OS thread.
/// Lifetime:  must outlive its waiters; destroying it while somebody waits aborts. Whoever has locked it after the
///            last other user may unlock and destroy it at once.
/// Cancel:    lock() and the timed forms are cancellation points; a cancelled caller does not hold the lock.
/// gevent:    gevent.lock.Semaphore(1); for RLock see weft::recursive_mutex
class WEFT_API mutex {
public:
    constexpr mutex() noexcept = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;

    /// @throws fiber_exit   the calling task was killed while it waited
    /// @throws lock_misuse  the caller holds it already: it would wait for itself
    void lock() { (void)try_lock_until(deadline::never()); }
    /// Takes the lock if it is free and those who wait, if any, may be overtaken; never parks.
    [[nodiscard]] bool try_lock() noexcept;
    /// @returns whether the caller holds it now; a deadline already past never parks
    [[nodiscard]] bool try_lock_until(deadline by);
    [[nodiscard]] bool try_lock_until(clock::time_point when) { return try_lock_until(deadline::at(when)); }
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> span) {
        return try_lock_until(span < span.zero() ? deadline::past() : deadline::after(span));
    }

    /// @throws lock_misuse  the caller does not hold it; nothing has changed
    void unlock();

    /// Somebody holds it; stale after the next switch.
    bool locked() const noexcept { return gate_.free() == 0; }

private:
    detail::gate gate_{1};
    // The id of the fiber that holds it, stored by that fiber; 0 while it is free or on its way to a waiter.
    std::atomic<std::uint64_t> owner_{0};
};

}  // namespace weft
