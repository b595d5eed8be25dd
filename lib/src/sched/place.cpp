#include "sched/place.hpp"

#include "base/check.hpp"

namespace weft::detail {

void place::serve(wait_list& list) noexcept {
    leave(list);
    if (nudged) served = true;
    else list.owes_wakes_ |= grant();
}

void place::nudge(wait_list& list) noexcept {
    nudged = true;
    const thread* const here = this_thread_if_any();
    if (here && here->box == home) scheduler::here().unpark(token);
    else list.owes_wakes_ |= post();
}

place_end place::park(wait_list& list, parking& pause) noexcept {
    scheduler& sched = scheduler::here();
    wake cause = wake::unparked;
    if (now == grant_status::waiting) {
        token = sched.next_token();
        list.unlock();
        cause = sched.park_now(pause);
        if (cause != wake::unparked) {
            list.lock();
            if (now == grant_status::waiting && !served)
                return cause == wake::timed_out ? place_end::timed_out : place_end::killed;
            list.unlock();
        }
        WEFT_CHECK(now != grant_status::waiting || nudged, "a waiter was woken by nobody");
    } else {
        list.unlock();
    }
    await_delivery(sched);
    if (nudged) {
        list.lock();
        if (!served) {
            now = grant_status::waiting;
            if (cause == wake::unparked) return place_end::nudged;
            return cause == wake::timed_out ? place_end::timed_out : place_end::killed;
        }
        list.unlock();
    }
    // The park may have ended by the patience of its owner, which is earlier than any scope.
    return pause.interruptible && (cause == wake::killed || sched.must_leave()) ? place_end::granted_killed
                                                                                : place_end::granted;
}

}  // namespace weft::detail
