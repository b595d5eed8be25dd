/// @file weft/semaphore.hpp
/// Counting semaphore for tasks and threads.  Floor: sync.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <weft/deadline.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

/// A count of free permits; a task that finds none parks until one is given back.
///
/// Order:     first come, first served: a released permit goes to whoever has waited longest, and nobody
///            overtakes a waiter.
/// Threads:   any task of any hub and any plain OS thread may call anything at any time.
/// Lifetime:  must outlive its waiters; destroying it while somebody waits aborts.
/// Cancel:    both waiting calls are cancellation points; a cancelled waiter holds no permit, and one that was
///            on its way to it goes to the next.
/// gevent:    gevent.lock.Semaphore
class WEFT_API semaphore {
public:
    /// @param permits  free permits at the start
    constexpr explicit semaphore(std::size_t permits) noexcept : state_{static_cast<std::int64_t>(permits)} {}
    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;

    /// Takes one permit, waiting for as long as that needs.
    /// @throws fiber_exit  the calling task was killed while it waited
    void acquire() { (void)try_acquire_until(deadline::never()); }

    /// Takes one permit if one is free and nobody waits; never parks.
    [[nodiscard]] bool try_acquire() noexcept;

    /// Takes one permit if one comes free before `by`. A deadline already past never parks.
    /// @returns true with the permit taken; false on time-out, with nothing taken
    /// @throws fiber_exit  as acquire()
    [[nodiscard]] bool try_acquire_until(deadline by);

    /// Gives back `count` permits, or adds new ones. Wakes waiters but never switches to them.
    void release(std::size_t count = 1) noexcept;

    /// Permits free now, for logs and tests; stale after the next switch.
    [[nodiscard]] std::size_t available() const noexcept;

private:
    void release_to_waiter() noexcept;

    // >= 0: free permits, nobody waits.  < 0: minus the number of waiters, no permit is free; changed only
    // under waiters_' lock then. One compare-exchange each way while nobody waits.
    std::atomic<std::int64_t> state_;
    detail::wait_list waiters_;
};

}  // namespace weft
