#include "sched/waiter.hpp"

#include "sched/watch.hpp"

namespace weft::detail {

void waiter::rouse() noexcept {
    if (by) [[unlikely]] by->took(static_cast<watch&>(*this));
    else scheduler::here().unpark(token);
}

void waiter::arrive() noexcept {
    now = grant_status::delivered;
    rouse();
}

bool waiter::grant() noexcept {
    thread* here = this_thread_if_any();
    if (here && here->box == home) {
        now = grant_status::granted;
        rouse();
        return false;
    }
    return post();
}

bool waiter::post() noexcept {
    now = grant_status::posted;
    mailbox* to = home;
    to->add_ref();
    const bool owes = to->post_and_owe(*this);  // from here on the node is its owner's
    to->release();
    return owes;
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
