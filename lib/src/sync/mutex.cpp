#include <weft/mutex.hpp>

#include <weft/error.hpp>

#include "sched/scheduler.hpp"

namespace weft {
namespace {
std::uint64_t self() { return detail::this_thread().current->block->id; }
}  // namespace

bool mutex::try_lock() noexcept {
    std::uint64_t nobody = 0;
    return owner_.compare_exchange_strong(nobody, self(), std::memory_order_acquire, std::memory_order_relaxed);
}

bool mutex::try_lock_until(deadline by) {
    const std::uint64_t me = self();
    std::uint64_t holder = 0;
    if (owner_.compare_exchange_strong(holder, me, std::memory_order_acquire, std::memory_order_relaxed)) return true;
    if (holder == me) throw lock_misuse("weft: the caller holds this mutex already and would wait for itself");

    waiters_.lock();
    // Said before the second look: an unlock() that does not see it has made the mutex free before that look.
    contended_.store(true, std::memory_order_seq_cst);
    holder = 0;
    if (owner_.compare_exchange_strong(holder, me, std::memory_order_seq_cst, std::memory_order_relaxed)) {
        contended_.store(!waiters_.empty(), std::memory_order_relaxed);
        waiters_.unlock();
        return true;
    }
    std::uint64_t mine = me;
    switch (waiters_.wait(by, "a mutex", this, &mine)) {
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
    if (owner_.load(std::memory_order_relaxed) != self()) {
        if (detail::this_thread().unwinding) return;  // its lock() could not wait for it any more
        throw lock_misuse("weft: unlock() of a mutex that the caller does not hold; whoever locks it unlocks it");
    }
    if (!contended_.load(std::memory_order_relaxed)) {
        owner_.store(0, std::memory_order_seq_cst);
        if (!contended_.load(std::memory_order_seq_cst)) return;
        // A waiter has joined in between: let it in, unless somebody took the free mutex.
        waiters_.lock();
        std::uint64_t nobody = 0;
        void* first = waiters_.first_item();
        if (first && owner_.compare_exchange_strong(nobody, *static_cast<std::uint64_t*>(first)))
            waiters_.grant_first();
        contended_.store(!waiters_.empty(), std::memory_order_relaxed);
        waiters_.unlock();
        return;
    }
    waiters_.lock();
    if (void* first = waiters_.first_item()) {
        owner_.store(*static_cast<std::uint64_t*>(first), std::memory_order_release);
        waiters_.grant_first();
    } else {
        owner_.store(0, std::memory_order_release);
    }
    contended_.store(!waiters_.empty(), std::memory_order_relaxed);
    waiters_.unlock();
}

}  // namespace weft
