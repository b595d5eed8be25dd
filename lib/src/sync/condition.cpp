#include <weft/condition.hpp>

#include "sched/place.hpp"

namespace weft {
namespace {

using detail::place;
using detail::place_end;

/// Takes a waiter out of the list that has not parked: if it has been notified, that goes to the next.
void give_up_place(detail::wait_list& waiters, place& me, condition& from) {
    waiters.lock();
    if (me.now == detail::grant_status::waiting) {
        me.leave(waiters);
        waiters.unlock();
        return;
    }
    waiters.unlock();
    me.await_delivery(detail::scheduler::here());
    from.notify_one();
}

}  // namespace

void condition::notify(std::size_t count) noexcept {
    waiters_.lock();
    for (; count > 0 && !waiters_.empty(); --count) waiters_.grant_first();
    waiters_.unlock();
}

bool condition::wait_outside(const any_lock& outer, deadline by) {
    // lock() meets a pending kill with an exception, and while that is in flight waits without minding kills.
    struct relocker {
        const any_lock& outer;
        bool held = false;
        void lock() {
            outer.lock(outer.object);
            held = true;
        }
        ~relocker() {
            if (!held) outer.lock(outer.object);
        }
    };

    detail::scheduler& sched = detail::scheduler::here();
    detail::parking pause{"a condition", this};
    pause.by = by;
    if (!sched.would_park(pause)) {
        if (pause.cause == detail::wake::killed) detail::exit_fiber();
        return false;
    }
    place me{detail::this_thread()};
    waiters_.lock();
    me.join(waiters_);
    waiters_.unlock();
    // Notified from here on, and not lost, whatever unlock() does.
    try {
        outer.unlock(outer.object);
    } catch (...) {
        give_up_place(waiters_, me, *this);
        throw;
    }

    relocker again{outer};
    waiters_.lock();
    place_end end = place_end::granted;
    if (me.now != detail::grant_status::waiting || sched.would_park(pause)) {
        end = me.park(waiters_, pause);
    } else {
        end = pause.cause == detail::wake::killed ? place_end::killed : place_end::timed_out;
    }
    bool notified = end == place_end::granted || end == place_end::granted_killed;
    if (!notified) {
        me.leave(waiters_);
        waiters_.unlock();
    }
    if (end == place_end::granted_killed) notify_one();
    if (end == place_end::granted_killed || end == place_end::killed) detail::exit_fiber();
    try {
        again.lock();
    } catch (...) {
        if (end == place_end::granted) notify_one();
        throw;
    }
    return notified;
}

}  // namespace weft
