#include <weft/detail/wait_list.hpp>

#include "base/check.hpp"
#include "sched/waiter.hpp"

namespace weft::detail {

void wait_list::destroyed_with_waiters() noexcept {
    if (process_is_ending()) return;  // static objects go while tasks and threads still wait on them
    // In a forked child, those who waited in the parent are still linked, and dead.
    for (const waiter* w = first_; w; w = w->next)
        WEFT_CHECK(w->token.who->state == run_state::dead,
                   "an object was destroyed while somebody waits on it; join its waiters first");
}

std::size_t wait_list::size() const noexcept {
    std::size_t count = 0;
    for (const waiter* w = first_; w; w = w->next) ++count;
    return count;
}

void wait_list::append(waiter& w) noexcept {
    w.prev = last_;
    if (last_) last_->next = &w;
    else first_ = &w;
    last_ = &w;
}

void wait_list::remove(waiter& w) noexcept {
    (w.prev ? w.prev->next : first_) = w.next;
    (w.next ? w.next->prev : last_) = w.prev;
}

void* wait_list::first_item() const noexcept { return first_ ? first_->item : nullptr; }

void wait_list::grant_first() noexcept {
    waiter& w = *first_;
    remove(w);
    owes_wakes_ |= w.grant();
}

void wait_list::unlock_and_wake() noexcept {
    owes_wakes_ = false;
    lock_.unlock();
    // Whoever has been granted something may destroy the list now.
    mailbox::wake_owed();
}

wait_end wait_list::wait(deadline by, const char* what, const void* on, void* item, bool interruptible) {
    struct unlocker {
        wait_list* held;
        ~unlocker() {
            if (held) held->unlock();
        }
    } guard{this};

    thread& t = this_thread();
    scheduler& sched = scheduler::here();
    parking pause{what, on};
    pause.by = by;
    pause.interruptible = interruptible;
    if (t.unwinding) {
        // This may give up the fiber for good: not with the lock held, and not from within the list.
        guard.held = nullptr;
        unlock();
        sched.would_park(pause);
        lock();
        return wait_end::killed;
    }
    if (!sched.would_park(pause)) {
        guard.held = nullptr;
        return pause.cause == wake::timed_out ? wait_end::timed_out : wait_end::killed;
    }
    waiter me{t, sched.next_token(), item};
    append(me);
    guard.held = nullptr;
    unlock();

    const wake cause = sched.park_now(pause);
    WEFT_CHECK(cause != wake::unparked || me.now != grant_status::waiting, "a waiter was woken by nobody");
    if (cause != wake::unparked) {
        lock();
        if (me.now == grant_status::waiting) {
            remove(me);
            return cause == wake::timed_out ? wait_end::timed_out : wait_end::killed;
        }
        unlock();
        me.await_delivery(sched);
    }
    return interruptible && (cause == wake::killed || sched.must_die()) ? wait_end::granted_killed : wait_end::granted;
}

bool wait_list::wait_plainly(deadline by, const char* what, const void* on) {
    switch (wait(by, what, on)) {
        case wait_end::granted: return true;
        case wait_end::granted_killed: exit_fiber(); return true;
        case wait_end::timed_out: unlock(); return false;
        case wait_end::killed: unlock(); exit_fiber(); return false;
    }
    __builtin_unreachable();
}

}  // namespace weft::detail
