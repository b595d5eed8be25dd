/// @file weft/recursive_mutex.hpp
/// A mutex that its holder may lock again.  Floor: sync.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>
#include <weft/detail/gate.hpp>

namespace weft {

/// As weft::mutex, but counts how often the fiber that holds it has locked it, and is free after as many unlock()s.
/// Meets TimedLockable.
///
/// Order:     as weft::mutex. The holder never waits.
/// Threads:   any task of any hub and any plain OS thread. It belongs to the fiber: another task of the same thread
///            is kept out, where std::recursive_mutex would let it in.
/// Lifetime:  must outlive its waiters; destroying it while somebody waits aborts. Whoever has locked it after the
///            last other user may unlock and destroy it at once.
/// Cancel:    lock() and the timed forms are cancellation points where they wait; a cancelled caller has not locked
///            it. Whoever holds it locks it again without meeting a kill.
/// gevent:    gevent.lock.RLock
class WEFT_API recursive_mutex {
public:
    constexpr recursive_mutex() noexcept = default;
    recursive_mutex(const recursive_mutex&) = delete;
    recursive_mutex& operator=(const recursive_mutex&) = delete;

    /// @throws fiber_exit  the calling task was killed while it waited
    void lock() { (void)try_lock_until(deadline::never()); }
    /// Takes the lock if the caller holds it, or if it is free and those who wait, if any, may be overtaken.
    [[nodiscard]] bool try_lock() noexcept;
    /// @returns whether the caller has locked it once more; a deadline already past never parks
    [[nodiscard]] bool try_lock_until(deadline by);
    [[nodiscard]] bool try_lock_until(clock::time_point when) { return try_lock_until(deadline::at(when)); }
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> span) {
        return try_lock_until(span < span.zero() ? deadline::past() : deadline::after(span));
    }

    /// Takes back one lock(); the last one frees it.
    /// @throws lock_misuse  the caller does not hold it; nothing has changed
    void unlock();

    /// Somebody holds it; stale after the next switch.
    bool locked() const noexcept { return gate_.free() == 0; }
    /// How often the caller has locked it: 0 unless it holds it.
    std::size_t depth() const noexcept;

private:
    void own(std::uint64_t me) noexcept;

    detail::gate gate_{1};
    // The id of the fiber that holds it, stored by that fiber; 0 while it is free or on its way to a waiter.
    std::atomic<std::uint64_t> owner_{0};
    std::size_t depth_ = 0;  // the owner's
};

}  // namespace weft
