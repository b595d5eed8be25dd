#include <weft/event.hpp>

#include "sched/scheduler.hpp"

namespace weft {

bool event::wait(deadline by) {
    if (is_set()) return true;
    waiters_.lock();
    if (set_.load(std::memory_order_relaxed)) {
        waiters_.unlock();
        return true;
    }
    return waiters_.wait_plainly(by, "an event", this);
}

void event::set() noexcept {
    waiters_.lock();
    set_.store(true, std::memory_order_release);
    waiters_.grant_all();
    waiters_.unlock();
}

void event::clear() noexcept {
    waiters_.lock();
    set_.store(false, std::memory_order_release);
    waiters_.unlock();
}

}  // namespace weft
