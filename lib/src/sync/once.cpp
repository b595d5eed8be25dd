#include <weft/once.hpp>

#include <weft/error.hpp>

#include "sched/scheduler.hpp"

namespace weft {
namespace {

struct caller {
    std::uint64_t id;
    bool runs_next = false;
};

}  // namespace

bool once::begin() {
    caller me{detail::this_thread().current->block->id};
    callers_.lock();
    if (done_.load(std::memory_order_relaxed)) {
        callers_.unlock();
        return false;
    }
    if (runner_ == 0) {
        runner_ = me.id;
        callers_.unlock();
        return true;
    }
    if (runner_ == me.id) {
        callers_.unlock();
        throw lock_misuse("weft: once::call() in the function that it runs, which would wait for itself; do the inner "
                          "work directly");
    }
    switch (callers_.wait(deadline::never(), "a once", this, &me)) {
        case detail::wait_end::granted: return me.runs_next;
        case detail::wait_end::granted_killed:
            if (me.runs_next) end(false);
            detail::exit_fiber();
            return false;
        case detail::wait_end::timed_out:
        case detail::wait_end::killed: callers_.unlock(); detail::exit_fiber(); return false;
    }
    __builtin_unreachable();
}

void once::end(bool returned) noexcept {
    callers_.lock();
    runner_ = 0;
    if (returned) {
        done_.store(true, std::memory_order_release);
        callers_.grant_all();
    } else if (auto* next = static_cast<caller*>(callers_.first_item())) {
        next->runs_next = true;
        runner_ = next->id;
        callers_.grant_first();
    }
    callers_.unlock();
}

}  // namespace weft
