/// @file weft/mutex.hpp
/// Mutual exclusion among tasks and threads.  Floor: sync.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include <weft/deadline.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

/// A lock that belongs to a fiber, not to an OS thread: it may be held across a wait. Meets TimedLockable, so
/// std::unique_lock and std::scoped_lock work on it.
///
/// Order:     first come, first served: unlock() hands the lock to whoever has waited longest.
/// Threads:   any task of any hub and any plain OS thread.
/// Lifetime:  must outlive its holder and its waiters; destroying it while somebody waits aborts.
/// Cancel:    lock() and the timed forms are cancellation points; a cancelled caller does not hold the lock.
/// gevent:    gevent.lock.Semaphore(1); for the recursive RLock there is no counterpart here
class WEFT_API mutex {
public:
    constexpr mutex() noexcept = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;

    /// @throws fiber_exit   the calling task was killed while it waited
    /// @throws lock_misuse  the caller holds it already: it would wait for itself
    void lock() { (void)try_lock_until(deadline::never()); }
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
    bool locked() const noexcept { return owner_.load(std::memory_order_relaxed) != 0; }

private:
    // The id of the fiber that holds it, 0 for none. Free to held is one compare-exchange; held to free, and
    // held to another holder, only under waiters_' lock while `contended_` is set.
    std::atomic<std::uint64_t> owner_{0};
    std::atomic<bool> contended_{false};
    detail::wait_list waiters_;
};

}  // namespace weft
