/// @file weft/semaphore.hpp
/// Counting semaphore for tasks and threads.  Floor: sync.
#pragma once

#include <cstddef>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>
#include <weft/detail/gate.hpp>

namespace weft {

/// A count of free permits; a task that finds none parks until one is given back.
///
/// Order:     first come, first served among the tasks of a hub: a released permit goes to the one that has waited
///            longest. Only a task that has neither waited nor yielded between taking a permit and giving it back may
///            take it again at once, until it does: the one that waits could not have run before that, and is the
///            next then, at the latest by the release() after it.
///            A running thread may take a free permit past waiters of other hubs, since a hand-over between threads
///            costs microseconds, but only past those who have waited for less than 1 ms; nobody overtakes them
///            after that.
/// Threads:   any task of any hub and any plain OS thread may call anything at any time.
/// Lifetime:  must outlive its waiters; destroying it while somebody waits aborts.
/// Cancel:    both waiting calls are cancellation points; a cancelled waiter holds no permit, and one that was
///            on its way to it goes to the next.
/// gevent:    gevent.lock.Semaphore
class WEFT_API semaphore {
public:
    /// @param permits  free permits at the start
    constexpr explicit semaphore(std::size_t permits) noexcept : gate_{permits} {}
    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;

    /// Takes one permit, waiting for as long as that needs.
    /// @throws fiber_exit  the calling task was killed while it waited
    void acquire() { (void)try_acquire_until(deadline::never()); }

    /// Takes one permit if one is free and those who wait, if any, may be overtaken; never parks.
    [[nodiscard]] bool try_acquire() noexcept;

    /// Takes one permit if one comes free before `by`. A deadline already past never parks.
    /// @returns true with the permit taken; false on time-out, with nothing taken
    /// @throws fiber_exit  as acquire()
    [[nodiscard]] bool try_acquire_until(deadline by);

    /// Gives back `count` permits, or adds new ones. Wakes waiters but never switches to them.
    void release(std::size_t count = 1) noexcept;

    /// Permits free now, for logs and tests; stale after the next switch.
    [[nodiscard]] std::size_t available() const noexcept { return gate_.free(); }

private:
    friend struct detail::watch_access;
    bool watch_ready() const noexcept { return available() > 0; }
    void watch_begin() const noexcept { gate_.begin_watch(waiters_); }
    void watch_end() const noexcept { gate_.end_watch(); }

    mutable detail::gate gate_;
    mutable detail::wait_list waiters_;  // who waits for a permit without taking it; the others are the gate's
};

}  // namespace weft
