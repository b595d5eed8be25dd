/// @file weft/latch.hpp
/// A count that goes down to nothing once.  Floor: sync.
#pragma once

#include <atomic>
#include <cstddef>
#include <limits>
#include <stdexcept>

#include <weft/deadline.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

/// Counts down from a number; who waits goes on when it has come to 0, and it stays there. std::latch for tasks.
///
/// Order:     the count's end wakes all waiters, longest wait first.
/// Threads:   any task of any hub and any plain OS thread may call anything at any time.
/// Lifetime:  must outlive its waiters; destroying it while somebody waits aborts. Whoever returns from wait(), or
///            sees try_wait() succeed, may destroy it at once if nobody else will wait or count down.
/// Cancel:    the waiting calls are cancellation points; what was counted down stays so.
/// gevent:    no counterpart
class WEFT_API latch {
public:
    static constexpr std::ptrdiff_t max() noexcept { return std::numeric_limits<std::ptrdiff_t>::max(); }

    /// @throws std::invalid_argument  a negative count
    constexpr explicit latch(std::ptrdiff_t expected) : count_{expected} {
        if (expected < 0) throw std::invalid_argument("weft: a latch of a negative count; 0 makes one that is open");
    }
    latch(const latch&) = delete;
    latch& operator=(const latch&) = delete;

    /// Takes `n` off the count; wakes the waiters if it is 0 then, but never switches to them. What was written
    /// before is visible to whoever waits.
    /// @throws lock_misuse  `n` is negative or more than the count; nothing has changed
    void count_down(std::ptrdiff_t n = 1);

    /// The count is 0. Unlike std::latch's, never false then.
    [[nodiscard]] bool try_wait() const noexcept { return count_.load(std::memory_order_acquire) == 0; }

    /// Waits until the count is 0.
    /// @throws fiber_exit  the calling task was killed while it waited
    void wait() const { (void)wait(deadline::never()); }
    /// @returns true once it is 0; false when the deadline has passed first. One that has already passed never parks.
    bool wait(deadline by) const;

    /// count_down(n), then wait(). If it throws fiber_exit, or returns false, `n` has been counted all the same.
    void arrive_and_wait(std::ptrdiff_t n = 1) { (void)arrive_and_wait(n, deadline::never()); }
    bool arrive_and_wait(std::ptrdiff_t n, deadline by) {
        count_down(n);
        return wait(by);
    }

private:
    friend struct detail::watch_access;
    bool watch_ready() const noexcept { return try_wait(); }

    std::atomic<std::ptrdiff_t> count_;  // becomes 0 under waiters_' lock; at 0 from the start, or above, without
    mutable detail::wait_list waiters_;
};

}  // namespace weft
