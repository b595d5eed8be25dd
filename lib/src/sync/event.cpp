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
    switch (waiters_.wait(by, "an event", this)) {
        case detail::wait_end::granted: return true;
        case detail::wait_end::granted_killed: detail::exit_fiber(); return true;
        case detail::wait_end::timed_out: waiters_.unlock(); return false;
        case detail::wait_end::killed: waiters_.unlock(); detail::exit_fiber(); return false;
    }
    __builtin_unreachable();
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
