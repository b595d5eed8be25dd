// Conditions are replaced whole: libc's waits give the mutex back where nobody could see it. Tasks and threads stand in
// one line; libc's own signal is for whoever waited before the area was patched.
#include <atomic>
#include <climits>

#include <weft/shim/sync.hpp>

#include "hub/offload.hpp"
#include "mutex.hpp"
#include "thread_sleeper.hpp"

namespace weft::shim::sync {
namespace {

constexpr unsigned shared = 1, monotonic = 2;  // of __wrefs

bool is_shared(const pthread_cond_t* c) noexcept { return (c->__data.__wrefs & shared) != 0; }
clockid_t clock_of(const pthread_cond_t* c) noexcept {
    return (c->__data.__wrefs & monotonic) != 0 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
}

// Somebody has waited here other than by libc's own means, and may stand in a line: from now on all do.
constinit std::atomic<bool> ours{false};

int wait_natively(pthread_cond_t* c, pthread_mutex_t* m, const time_limit& limit) {
    const originals& libc = original();
    const int result = limit.until ? libc.pthread_cond_clockwait(c, m, limit.clock, limit.until) : libc.pthread_cond_wait(c, m);
    note_holder(m);
    return result;
}

// What was meant for one who leaves goes to the next.
void pass_on(pthread_cond_t* c) noexcept {
    if (lot::awaken(c, 1, ~0u) == 0) original().pthread_cond_signal(c);
}

int relock_in_thread(pthread_mutex_t* m) noexcept {
    const int error = original().pthread_mutex_lock(m);
    note_holder(m);
    return error;
}

int wait_in_thread(pthread_cond_t* c, pthread_mutex_t* m, const time_limit& limit, bool asks) {
    thread_sleeper me{c};
    lot::line_up(me);
    if (const int error = unlock(m, asks)) {
        if (!me.step_out()) pass_on(c);
        return error;
    }
    // Cancelling the thread unwinds it out of the wait.
    struct when_cancelled {
        pthread_cond_t* c;
        pthread_mutex_t* m;
        thread_sleeper& me;
        bool waits = true;
        ~when_cancelled() {
            if (!waits) return;
            if (!me.step_out()) pass_on(c);
            relock_in_thread(m);
        }
    } guard{c, m, me};
    const int result = me.wait(limit);
    guard.waits = false;
    const int error = relock_in_thread(m);
    return error != 0 ? error : result;
}

int wait_in_task(pthread_cond_t* c, pthread_mutex_t* m, detail::thread& t, const asking& how) {
    const asking again{{}, how.from, how.foreign};
    if (t.unwinding) {
        if (const int error = unlock(m, true)) return error;
        lot::refuse("a pthread condition");
        return lock(m, t, again);
    }
    lot::fiber_sleeper me{c};
    lot::line_up(me);
    if (const int error = unlock(m, true)) {
        if (!lot::step_out(me)) {
            me.wait(how.manner("a pthread condition"));
            pass_on(c);
        }
        return error;
    }
    io::outcome end;
    try {
        end = me.wait(how.manner("a pthread condition"));
    } catch (...) {
        lock(m, t, again);
        throw;
    }
    const int error = lock(m, t, again);
    if (error != 0) return error;
    if (end != io::outcome::timed_out) return 0;
    io::yield_on();  // a time that has passed has parked nobody
    return ETIMEDOUT;
}

// A condition of several processes is signalled where nobody here sees it: a thread of its own waits, which may
// give the mutex back and take it again, since mutexes of the plain kind ask nobody who he is.
int wait_in_pool(pthread_cond_t* c, pthread_mutex_t* m, const time_limit& limit) {
    struct job {
        pthread_cond_t* c;
        pthread_mutex_t* m;
        time_limit limit;
        int result = 0;
    } work{c, m, limit};
    const auto run = [](void* p) {
        auto& j = *static_cast<job*>(p);
        j.result = wait_natively(j.c, j.m, j.limit);
    };
    if (!detail::offload(detail::offload_kind::unbounded, run, &work, "a condition of several processes")) run(&work);
    return work.result;
}

int wait(pthread_cond_t* c, pthread_mutex_t* m, detail::thread* t, const asking& how) {
    WEFT_TELL_WAIT(pthread_cond_wait);
    if (!how.limit.valid() || !how.limit.known_clock()) return EINVAL;
    const bool parks = t && may_park(*t);
    if (is_shared(c)) return parks && is_plain(m) ? wait_in_pool(c, m, how.limit) : wait_natively(c, m, how.limit);
    if (!ours.load(std::memory_order_relaxed)) ours.store(true, std::memory_order_relaxed);
    return parks ? wait_in_task(c, m, *t, how) : wait_in_thread(c, m, how.limit, t != nullptr);
}

int wait_from(pthread_cond_t* c, pthread_mutex_t* m, const asking& how) {
    if (on()) return wait(c, m, tasks_here(), how);
    // A task that has come to stand in the mutex's line would not be told by libc that it is given back.
    return ours.load(std::memory_order_relaxed) ? wait(c, m, nullptr, how) : wait_natively(c, m, how.limit);
}

int wait_by_name(pthread_cond_t* c, pthread_mutex_t* m, const time_limit& limit) {
    return wait(c, m, &tasks_by_name(), {limit, nullptr, false});
}

int signal(pthread_cond_t* c) noexcept {
    if (lot::anybody(c) && lot::awaken(c, 1, ~0u) == 1) return 0;
    return original().pthread_cond_signal(c);
}

int broadcast(pthread_cond_t* c) noexcept {
    if (lot::anybody(c)) lot::awaken(c, INT_MAX, ~0u);
    return original().pthread_cond_broadcast(c);
}

}  // namespace
}  // namespace weft::shim::sync

using namespace weft::shim;

WEFT_INTERPOSED(int, pthread_cond_wait, (pthread_cond_t* c, pthread_mutex_t* m)) { return sync::wait_from(c, m, {}); }
WEFT_INTERPOSED(int, pthread_cond_timedwait, (pthread_cond_t* c, pthread_mutex_t* m, const timespec* until)) {
    return sync::wait_from(c, m, {{sync::clock_of(c), until}});
}
WEFT_INTERPOSED(int, pthread_cond_clockwait,
                (pthread_cond_t* c, pthread_mutex_t* m, clockid_t clock, const timespec* until)) {
    return sync::wait_from(c, m, {{clock, until}});
}
WEFT_INTERPOSED(int, pthread_cond_signal, (pthread_cond_t* c)) { return sync::signal(c); }
WEFT_INTERPOSED(int, pthread_cond_broadcast, (pthread_cond_t* c)) { return sync::broadcast(c); }

// C11's are the same objects under other names.
WEFT_INTERPOSED(int, cnd_wait, (cnd_t* condition, mtx_t* mutex)) {
    return sync::as_c11(sync::wait_from(sync::of_c11(condition), sync::of_c11(mutex), {}));
}
WEFT_INTERPOSED(int, cnd_timedwait, (cnd_t* condition, mtx_t* mutex, const timespec* until)) {
    return sync::as_c11(sync::wait_from(sync::of_c11(condition), sync::of_c11(mutex), {{CLOCK_REALTIME, until}}));
}
WEFT_INTERPOSED(int, cnd_signal, (cnd_t* condition)) { return sync::as_c11(sync::signal(sync::of_c11(condition))); }
WEFT_INTERPOSED(int, cnd_broadcast, (cnd_t* condition)) {
    return sync::as_c11(sync::broadcast(sync::of_c11(condition)));
}

namespace weft::shim {

int pthread_cond_wait(pthread_cond_t* c, pthread_mutex_t* m) { return sync::wait_by_name(c, m, {}); }
int pthread_cond_timedwait(pthread_cond_t* c, pthread_mutex_t* m, const timespec* until) {
    return sync::wait_by_name(c, m, {sync::clock_of(c), until});
}
int pthread_cond_clockwait(pthread_cond_t* c, pthread_mutex_t* m, clockid_t clock, const timespec* until) {
    return sync::wait_by_name(c, m, {clock, until});
}
int pthread_cond_signal(pthread_cond_t* c) { return sync::signal(c); }
int pthread_cond_broadcast(pthread_cond_t* c) { return sync::broadcast(c); }

}  // namespace weft::shim
