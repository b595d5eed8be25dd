#include <weft/mutex.hpp>

#include <weft/error.hpp>

#include "sched/scheduler.hpp"

namespace weft {
namespace {

constexpr std::uint64_t contended = 1;

std::uint64_t self() { return detail::this_thread().current->block->id * 2; }

}  // namespace

bool mutex::try_lock() noexcept {
    std::uint64_t nobody = 0;
    return state_.compare_exchange_strong(nobody, self(), std::memory_order_acquire, std::memory_order_relaxed);
}

bool mutex::try_lock_until(deadline by) {
    std::uint64_t me = self();
    std::uint64_t seen = 0;
    if (state_.compare_exchange_strong(seen, me, std::memory_order_acquire, std::memory_order_relaxed)) return true;
    if ((seen & ~contended) == me)
        throw lock_misuse("weft: the caller holds this mutex already and would wait for itself");

    waiters_.lock();
    // Either the mutex is free now and taken, or its holder is told to look for waiters.
    for (seen = state_.load(std::memory_order_relaxed);;) {
        const std::uint64_t wanted = seen == 0 ? me : seen | contended;
        if (!state_.compare_exchange_weak(seen, wanted, std::memory_order_acquire, std::memory_order_relaxed)) continue;
        if (seen != 0) break;
        waiters_.unlock();
        return true;
    }
    switch (waiters_.wait(by, "a mutex", this, &me)) {
        case detail::wait_end::granted: return true;
        case detail::wait_end::granted_killed:
            unlock();
            detail::exit_fiber();
            return false;
        case detail::wait_end::timed_out: waiters_.unlock(); return false;
        case detail::wait_end::killed: waiters_.unlock(); detail::exit_fiber(); return false;
    }
    __builtin_unreachable();
}

void mutex::unlock() {
    const std::uint64_t me = self();
    std::uint64_t seen = me;
    if (state_.compare_exchange_strong(seen, 0, std::memory_order_release, std::memory_order_relaxed)) return;
    if (seen == (me | contended)) return unlock_contended(me);
    if (detail::this_thread().unwinding) return;  // its lock() could not wait for it any more
    throw lock_misuse("weft: unlock() of a mutex that the caller does not hold; whoever locks it unlocks it");
}

void mutex::unlock_contended(std::uint64_t me) {
    for (;;) {
        waiters_.lock();
        if (const void* first = waiters_.first_item()) {
            const std::uint64_t next = *static_cast<const std::uint64_t*>(first);
            const bool alone = waiters_.size_is_one();
            state_.store(alone ? next : next | contended, std::memory_order_release);
            waiters_.grant_first();
            waiters_.unlock();
            return;
        }
        // Those who waited have given up. The mutex is let go outside the list's lock: the next holder may destroy it.
        state_.store(me, std::memory_order_relaxed);
        waiters_.unlock();
        std::uint64_t seen = me;
        if (state_.compare_exchange_strong(seen, 0, std::memory_order_release, std::memory_order_relaxed)) return;
    }
}

}  // namespace weft
