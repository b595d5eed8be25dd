#include "sync/gate.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "sched/place.hpp"

namespace weft::detail {
namespace {

// A list is looked at so far, in search of who may be overtaken; beyond, nobody is.
constexpr int nodes_looked_at = 16;

// Waits between looks double: whoever holds the permit is disturbed seldom enough to use it many times. In all, what a
// hand-over between threads costs.
constexpr int longest_spin = 64;

void pause_for(int turns) noexcept {
    for (int i = 0; i < turns; ++i) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("isb");
#endif
    }
}

}  // namespace

// For a section that began in this turn: its thread goes on as if nobody waited, as long as nobody else has run.
bool gate::leave_to_pass(const thread* t, std::uint64_t state) noexcept {
    if (state / one != 1 || !t || nudged_ > 0 || waiters_.empty() || watching_ > 0) return false;
    if (waiting_thread_.load(std::memory_order_relaxed) != t->box) return false;
    if (last_taker_.load(std::memory_order_relaxed) != t) return false;
    if (taken_in_.load(std::memory_order_relaxed) != t->turn) return false;
    place::first(waiters_)->nudge(waiters_);
    ++nudged_;
    passing_in_.store(t->turn, std::memory_order_relaxed);
    state_.store(one | waited | passing, std::memory_order_release);
    return true;
}

bool gate::spin(thread& t) noexcept {
    const void* const taker = last_taker_.load(std::memory_order_relaxed);
    if (!taker || taker == &t) return false;
    for (int turns = 1; turns <= longest_spin; turns *= 2) {
        if (state_.load(std::memory_order_relaxed) % one == waited) return false;
        pause_for(turns);
        if (take_unwaited(t) || take_past(t)) return true;
    }
    return false;
}

std::uint64_t gate::close() noexcept {
    std::uint64_t seen = state_.load(std::memory_order_acquire);
    while (seen % one != waited) {
        const std::uint64_t closed = seen / one * one | waited;
        if (state_.compare_exchange_weak(seen, closed, std::memory_order_acquire, std::memory_order_acquire))
            return closed;
    }
    return seen;
}

// With no permit and nobody waiting, the bit stays: often the next one is about to wait.
void gate::settle(std::uint64_t state) noexcept {
    state = state / one * one;
    if (watching_ > 0) [[unlikely]] return state_.store(state | waited, std::memory_order_release);
    if (!waiters_.empty()) state |= nudged_ > 0 && strict_ == 0 && state <= one ? waited | open : waited;
    else if (state == 0) state = waited;
    state_.store(state, std::memory_order_release);
}

// Whether a running fiber of the thread may take a permit, past those who wait or from its own place among them.
bool gate::turn_of(const mailbox* home, const place* waiting) const noexcept {
    int looked = 0;
    for (const place* p = place::first(waiters_); p != waiting; p = p->after())
        if (p->home == home || p->strict || ++looked == nodes_looked_at) return false;
    return true;
}

// The first waiter of this thread, if nobody is in front of it who may not be overtaken.
place* gate::reachable(const mailbox* here) const noexcept {
    int looked = 0;
    for (place* p = place::first(waiters_); p && looked < nodes_looked_at; p = p->after(), ++looked) {
        if (p->home == here) return p;
        if (p->strict) return nullptr;
    }
    return nullptr;
}

void gate::join(place& p) noexcept {
    const void* const there = waiting_thread_.load(std::memory_order_relaxed);
    if (waiters_.empty()) waiting_thread_.store(p.home, std::memory_order_relaxed);
    else if (there != p.home) waiting_thread_.store(this, std::memory_order_relaxed);
    p.join(waiters_);
    strict_ += p.strict;
}

void gate::leave(place& p) noexcept {
    p.leave(waiters_);
    strict_ -= p.strict;
}

void gate::be_strict(place& p) noexcept {
    p.strict = true;
    ++strict_;
}

void gate::grant(place& p) noexcept {
    strict_ -= p.strict;
    nudged_ -= p.nudged;
    p.serve(waiters_);
}

// Permits go to waiters of the calling thread, which costs nothing, and to those who have waited for long. The others
// are woken to look, one for each permit that is left free.
std::uint64_t gate::serve(std::uint64_t state, const mailbox* here) noexcept {
    while (state >= one) {
        place* const mine = reachable(here);
        if (!mine || (mine->nudged && state / one <= nudged_)) break;
        grant(*mine);
        state -= one;
    }
    for (place* p = place::first(waiters_); p && state / one > nudged_;) {
        place* const next = p->after();
        if (p->strict) {
            grant(*p);
            state -= one;
        } else if (!p->nudged) {
            p->nudge(waiters_);
            ++nudged_;
        }
        p = next;
    }
    return state;
}

void gate::give_slowly(std::uint64_t permits) noexcept {
    const thread* const t = this_thread_if_any();
    waiters_.lock();
    std::uint64_t state = close() + permits * one;
    if (!leave_to_pass(t, state)) {
        state = serve(state, t ? t->box : nullptr);
        settle(state);
        if (watching_ > 0 && state >= one) [[unlikely]] {
            const std::lock_guard guard{*watchers_};
            watchers_->grant_all();
        }
    }
    waiters_.unlock();
}

void gate::begin_watch(wait_list& watchers) noexcept {
    waiters_.lock();
    const std::uint64_t state = close();
    ++watching_;
    watchers_ = &watchers;
    settle(state);
    waiters_.unlock();
}

void gate::end_watch() noexcept {
    waiters_.lock();
    const std::uint64_t state = close();
    --watching_;
    settle(state);
    waiters_.unlock();
}

bool gate::try_slowly(thread& t) noexcept {
    if (state_.load(std::memory_order_relaxed) < one) return false;
    if (take_past(t)) return true;
    waiters_.lock();
    const std::uint64_t state = close();
    const bool taken = state >= one && turn_of(t.box, nullptr);
    if (taken) note_taker(t);
    settle(taken ? state - one : state);
    waiters_.unlock();
    return taken;
}

bool gate::take_slowly(thread& t, deadline by, const char* what, const void* on) {
    scheduler& sched = scheduler::here();
    parking pause{what, on};
    pause.by = by;
    const bool may_wait = by.when() != clock::time_point::min() && !t.unwinding;
    if (may_wait && spin(t)) return true;
    waiters_.lock();
    const std::uint64_t state = close();
    if (state >= one && turn_of(t.box, nullptr)) {
        note_taker(t);
        settle(state - one);
        waiters_.unlock();
        return true;
    }
    bool parks = false;
    if (may_wait) {
        try {
            parks = sched.would_park(pause);
        } catch (...) {
            settle(state);
            waiters_.unlock();
            throw;
        }
    }
    if (parks) return queue_up(t, state, pause);
    settle(state);
    waiters_.unlock();
    // In a thread that ends this may give up the fiber for good.
    if (!may_wait) sched.would_park(pause);
    if (pause.cause == wake::killed) exit_fiber();
    return false;
}

bool gate::queue_up(thread& t, std::uint64_t state, parking& pause) {
    scheduler& sched = scheduler::here();
    const deadline by = pause.by;
    place me{t};
    // Among the fibers of one thread there is no overtaking, and no clock.
    const place* const first = place::first(waiters_);
    me.strict = last_taker_.load(std::memory_order_relaxed) == &t && (!first || first->home == me.home);
    if (!me.strict) pause.by = deadline::at(std::min(sched.now() + patience, by.when()));
    join(me);
    for (bool parks = true;;) {
        settle(serve(state, me.home));
        place_end end = pause.cause == wake::killed ? place_end::killed : place_end::timed_out;
        if (parks || me.now != grant_status::waiting) end = me.park(waiters_, pause);  // it may have served itself
        if (end == place_end::granted) {
            note_taker(t);
            return true;
        }
        if (end == place_end::granted_killed) {
            give(1);
            exit_fiber();
            return false;
        }
        state = close();
        nudged_ -= std::exchange(me.nudged, false);
        const bool over = end == place_end::killed || (end == place_end::timed_out && (me.strict || by.is_past()));
        const bool taken = !over && state >= one && turn_of(me.home, &me);
        if (over || taken) {
            leave(me);
            if (taken) note_taker(t);
            settle(serve(taken ? state - one : state, me.home));
            waiters_.unlock();
            if (end == place_end::killed) exit_fiber();
            return taken;
        }
        if (end == place_end::timed_out) be_strict(me), pause.by = by;
        parks = sched.would_park(pause);
    }
}

}  // namespace weft::detail
