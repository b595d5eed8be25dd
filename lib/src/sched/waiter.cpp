#include "sched/waiter.hpp"

namespace weft::detail {

void waiter::arrive() noexcept {
    now = grant_status::delivered;
    scheduler::here().unpark(token);
}

void waiter::grant() noexcept {
    thread* here = this_thread_if_any();
    if (here && here->box == home) {
        now = grant_status::granted;
        scheduler::here().unpark(token);
        return;
    }
    post();
}

void waiter::post() noexcept {
    now = grant_status::posted;
    mailbox* to = home;
    to->add_ref();
    to->post(*this);  // from here on the node is its owner's
    to->release();
}

void waiter::await_delivery(scheduler& sched) {
    thread& t = this_thread();
    while (now == grant_status::posted) {
        if (t.unwinding) {
            t.box->deliver_all();
            continue;
        }
        parking again{"the delivery of a wake-up"};
        again.interruptible = false;
        token = sched.next_token();
        sched.park(again);
    }
}

}  // namespace weft::detail
