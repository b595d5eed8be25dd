#include <weft/detail/watch_set.hpp>

#include <mutex>
#include <utility>
#include <vector>

#include "sched/watch.hpp"

namespace weft::detail {

struct watch_set::inside : watcher {
    std::vector<watch> nodes;
    std::size_t told = 0;

    void await_deliveries(scheduler& sched) {
        for (watch& each : nodes) {
            const std::lock_guard guard{*each.list};
            if (each.now == grant_status::waiting) each.list->remove(each);
        }
        for (watch& each : nodes) {
            while (each.now == grant_status::posted) await_one(sched);
            if (each.left) each.left(each.thing);
        }
    }
};

void watcher::took(watch& ready) noexcept {
    ready.next_done = nullptr;
    (last_done ? last_done->next_done : first_done) = &ready;
    last_done = &ready;
    scheduler::here().unpark(token);
}

void watcher::await_one(scheduler& sched) {
    thread& t = this_thread();
    if (t.unwinding) {
        t.box->deliver_all();
        return;
    }
    parking again{"the delivery of a wake-up"};
    again.interruptible = false;
    token = sched.next_token();
    sched.park(again);
}

watch_set::watch_set(std::size_t things) : in_{std::make_unique<inside>()} {
    in_->nodes.reserve(things);
    in_->token = {this_thread().current, 0};  // until it parks: stale
}

watch_set::~watch_set() { in_->await_deliveries(scheduler::here()); }

void watch_set::add(wait_list& list, bool (*ready)(const void*), const void* thing, void (*left)(const void*)) {
    watch& node = in_->nodes.emplace_back(this_thread(), *in_, list, in_->nodes.size());
    node.thing = thing;
    node.left = left;
    const std::lock_guard guard{list};
    if (!ready(thing)) {
        // In the hub, where nobody could wait for a grant that is under way, this only looks.
        if (!this_thread().current->is_hub) list.append(node);
        else node.now = grant_status::delivered;
        return;
    }
    node.now = grant_status::granted;
    in_->took(node);
}

std::size_t watch_set::next(deadline by) {
    scheduler& sched = scheduler::here();
    while (!in_->first_done) {
        if (in_->told == in_->nodes.size()) return none;
        parking pause{"one of several things", this};
        pause.by = by;
        wake cause = wake::unparked;
        if (sched.would_park(pause)) {
            in_->token = sched.next_token();
            cause = sched.park_now(pause);
        } else {
            cause = pause.cause;
        }
        if (cause == wake::killed || sched.must_die()) exit_fiber();
        if (cause != wake::unparked && !in_->first_done) return none;
    }
    const watch& done = *in_->first_done;
    in_->first_done = done.next_done;
    if (!in_->first_done) in_->last_done = nullptr;
    ++in_->told;
    return done.index;
}

}  // namespace weft::detail
