#include <weft/semaphore.hpp>

#include "sched/scheduler.hpp"

namespace weft {

bool semaphore::try_acquire() noexcept {
    std::int64_t free = state_.load(std::memory_order_relaxed);
    // Acquire: what the releaser of this permit wrote before is visible.
    while (free > 0)
        if (state_.compare_exchange_weak(free, free - 1, std::memory_order_acquire, std::memory_order_relaxed))
            return true;
    return false;
}

bool semaphore::try_acquire_until(deadline by) {
    if (try_acquire()) return true;
    waiters_.lock();
    std::int64_t free = state_.load(std::memory_order_relaxed);
    while (!state_.compare_exchange_weak(free, free - 1, std::memory_order_acquire, std::memory_order_relaxed)) {}
    if (free > 0) {
        waiters_.unlock();
        return true;
    }
    detail::wait_end end;
    try {
        end = waiters_.wait(by, "a semaphore", this);
    } catch (...) {
        state_.fetch_add(1, std::memory_order_relaxed);
        throw;
    }
    switch (end) {
        case detail::wait_end::granted: return true;
        case detail::wait_end::granted_killed:
            release();
            detail::exit_fiber();
            return false;
        case detail::wait_end::timed_out:
            state_.fetch_add(1, std::memory_order_relaxed);
            waiters_.unlock();
            return false;
        case detail::wait_end::killed:
            state_.fetch_add(1, std::memory_order_relaxed);
            waiters_.unlock();
            detail::exit_fiber();
            return false;
    }
    __builtin_unreachable();
}

void semaphore::release(std::size_t count) noexcept {
    for (; count > 0; --count) {
        std::int64_t free = state_.load(std::memory_order_relaxed);
        bool done = false;
        while (free >= 0 && !done)
            done = state_.compare_exchange_weak(free, free + 1, std::memory_order_release, std::memory_order_relaxed);
        if (!done) release_to_waiter();
    }
}

void semaphore::release_to_waiter() noexcept {
    waiters_.lock();
    // Counted but not in the list: a wait that failed and is about to take its count back.
    if (state_.fetch_add(1, std::memory_order_release) < 0 && !waiters_.empty()) waiters_.grant_first();
    waiters_.unlock();
}

std::size_t semaphore::available() const noexcept {
    const std::int64_t free = state_.load(std::memory_order_relaxed);
    return free > 0 ? static_cast<std::size_t>(free) : 0;
}

}  // namespace weft
