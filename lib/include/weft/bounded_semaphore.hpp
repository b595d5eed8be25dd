/// @file weft/bounded_semaphore.hpp
/// A semaphore that notices a permit too many.  Floor: sync.
#pragma once

#include <atomic>
#include <cstddef>

#include <weft/deadline.hpp>
#include <weft/semaphore.hpp>

namespace weft {

/// A semaphore whose permits are all there from the start: giving back one that nobody has taken is an error.
///
/// Order:     as weft::semaphore.
/// Threads:   any task of any hub and any plain OS thread may call anything at any time. A permit may be given back
///            by another task than took it.
/// Lifetime:  must outlive its waiters; destroying it while somebody waits aborts. Whoever has acquired the last
///            permit that is given back may destroy it at once.
/// Cancel:    both waiting calls are cancellation points; a cancelled waiter holds no permit, and one that was
///            on its way to it goes to the next.
/// gevent:    gevent.lock.BoundedSemaphore
class WEFT_API bounded_semaphore {
public:
    /// @param permits  free permits at the start, and the most that are ever free
    constexpr explicit bounded_semaphore(std::size_t permits) noexcept : permits_{permits}, bound_{permits} {}
    bounded_semaphore(const bounded_semaphore&) = delete;
    bounded_semaphore& operator=(const bounded_semaphore&) = delete;

    /// Takes one permit, waiting for as long as that needs.
    /// @throws fiber_exit  the calling task was killed while it waited
    void acquire() { (void)try_acquire_until(deadline::never()); }

    /// Takes one permit if one is free and those who wait, if any, may be overtaken; never parks.
    [[nodiscard]] bool try_acquire() noexcept;

    /// Takes one permit if one comes free before `by`. A deadline already past never parks.
    /// @returns true with the permit taken; false on time-out, with nothing taken
    /// @throws fiber_exit  as acquire()
    [[nodiscard]] bool try_acquire_until(deadline by);

    /// Gives back `count` permits. Wakes waiters but never switches to them.
    /// @throws lock_misuse  fewer than `count` are taken, where those count whose acquiring call has returned;
    ///                      nothing has changed. Not while the thread ends, when acquire() cannot wait: then nothing
    ///                      is given back, and nothing said.
    void release(std::size_t count = 1);

    /// Permits free now, for logs and tests; stale after the next switch.
    [[nodiscard]] std::size_t available() const noexcept { return permits_.available(); }

    /// What it was made with.
    std::size_t bound() const noexcept { return bound_; }

private:
    friend struct detail::watch_access;
    const semaphore& named() const noexcept { return permits_; }

    semaphore permits_;
    // Counted after an acquire and uncounted before a release, so that it is never more than what callers hold: a
    // permit on its way to a waiter is nobody's.
    std::atomic<std::size_t> taken_{0};
    const std::size_t bound_;
};

}  // namespace weft
