#include <weft/latch.hpp>

#include <weft/error.hpp>

#include "sched/scheduler.hpp"

namespace weft {

void latch::count_down(std::ptrdiff_t n) {
    const auto check = [n](std::ptrdiff_t count) {
        if (n < 0 || n > count)
            throw lock_misuse("weft: a latch cannot be counted down by a negative number or below 0; give it the "
                              "number of all who count down");
    };
    std::ptrdiff_t count = count_.load(std::memory_order_relaxed);
    // Not to 0: this is the last touch, since whoever brings it there may be followed by its destruction.
    for (check(count); count > n; check(count))
        if (count_.compare_exchange_weak(count, count - n, std::memory_order_release, std::memory_order_relaxed))
            return;
    if (n == 0) return;  // open already

    waiters_.lock();
    const bool last = count_.compare_exchange_strong(count, 0, std::memory_order_release, std::memory_order_relaxed);
    if (last) waiters_.grant_all();
    waiters_.unlock();
    if (!last) check(count);  // somebody else has taken what was left
}

bool latch::wait(deadline by) const {
    if (try_wait()) return true;
    waiters_.lock();
    if (try_wait()) {
        waiters_.unlock();
        return true;
    }
    return waiters_.wait_plainly(by, "a latch", this);
}

}  // namespace weft
