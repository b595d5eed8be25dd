/// @file weft/event.hpp
/// A flag to wait for.  Floor: sync.
#pragma once

#include <atomic>

#include <weft/deadline.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

/// Unset or set; wait() returns at once while it is set.
///
/// Order:     set() wakes all waiters, longest wait first. set() followed at once by clear() still wakes them,
///            and each returns from wait().
/// Threads:   any task of any hub and any plain OS thread may call anything at any time.
/// Lifetime:  must outlive its waiters; destroying it while somebody waits aborts.
/// Cancel:    both waiting calls are cancellation points.
/// gevent:    gevent.event.Event
class WEFT_API event {
public:
    constexpr explicit event(bool set = false) noexcept : set_{set} {}
    event(const event&) = delete;
    event& operator=(const event&) = delete;

    /// Waits until it is set.
    /// @throws fiber_exit  the calling task was killed while it waited
    void wait() { (void)wait(deadline::never()); }
    /// @returns true once it is or was set; false when the deadline has passed first. One that has already
    ///          passed never parks.
    bool wait(deadline by);

    void set() noexcept;
    void clear() noexcept;
    bool is_set() const noexcept { return set_.load(std::memory_order_acquire); }

private:
    friend struct detail::watch_access;
    bool watch_ready() const noexcept { return is_set(); }

    std::atomic<bool> set_;  // written under waiters_' lock
    detail::wait_list waiters_;
};

}  // namespace weft
