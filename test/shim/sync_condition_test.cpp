// pthread's and C11's conditions: what libc answers, natively, by name and interposed.
#include <thread>

#include <threads.h>

#include "shim/lock_objects.hpp"
#include "shim/lockers.hpp"
#include "support/forked.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::condition;
using test::journal;
using test::mutex;

namespace {

constexpr long a_while = 60;  // ms

/// Another one signals with the mutex held, once the caller waits.
auto signaller(const calls& c, pthread_cond_t& condition, pthread_mutex_t& m, bool& told, bool all = false) {
    return [&c, &condition, &m, &told, all] {
        c.usleep(a_while * 1000);
        c.pthread_mutex_lock(&m);
        told = true;
        if (all) c.pthread_cond_broadcast(&condition);
        else c.pthread_cond_signal(&condition);
        c.pthread_mutex_unlock(&m);
    };
}

void by_time(const calls& c, journal& out, clockid_t clock, int type) {
    condition cond{clock};
    mutex m{type};
    c.pthread_mutex_lock(&m.m);
    const auto timed = [&](const char* what, const timespec& until) {
        out(what, [&] { return c.pthread_cond_timedwait(&cond.c, &m.m, &until); });
        out.value("another's trylock", test::by_another(c, [&] { return c.pthread_mutex_trylock(&m.m); }));
    };
    timed("timedwait", test::in_ms(clock, a_while));
    timed("timedwait, long ago", test::long_ago);
    timed("timedwait, before all time", test::before_all_time);
    timed("timedwait, at the dawn of time", test::dawn);
    timed("timedwait, too many nanoseconds", test::too_many);
    timed("timedwait, too few nanoseconds", test::too_few);
    for (const clockid_t other : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, test::no_clock}) {
        const timespec until = test::in_ms(other == test::no_clock ? CLOCK_REALTIME : other, a_while);
        out("clockwait", [&] { return c.pthread_cond_clockwait(&cond.c, &m.m, other, &until); });
    }
    out("clockwait, too many nanoseconds",
        [&] { return c.pthread_cond_clockwait(&cond.c, &m.m, CLOCK_MONOTONIC, &test::too_many); });
    out("clockwait, too few nanoseconds by no clock",
        [&] { return c.pthread_cond_clockwait(&cond.c, &m.m, test::no_clock, &test::too_few); });
    out("unlock", [&] { return c.pthread_mutex_unlock(&m.m); });
}

void by_another(const calls& c, journal& out, bool all, int type) {
    condition cond;
    mutex m{type};
    bool told = false;
    out("signal for nobody", [&] { return c.pthread_cond_signal(&cond.c); });
    out("broadcast for nobody", [&] { return c.pthread_cond_broadcast(&cond.c); });
    c.pthread_mutex_lock(&m.m);
    {
        test::other teller{c, signaller(c, cond.c, m.m, told, all)};
        out.untimed("wait", [&] {
            int result = 0;
            while (!told && result == 0) result = c.pthread_cond_wait(&cond.c, &m.m);
            return result;
        });
    }
    told = false;
    {
        test::other teller{c, signaller(c, cond.c, m.m, told, all)};
        const timespec far = test::in_ms(CLOCK_REALTIME, 5000);
        out.untimed("timedwait", [&] {
            int result = 0;
            while (!told && result == 0) result = c.pthread_cond_timedwait(&cond.c, &m.m, &far);
            return result;
        });
    }
    out.value("another's trylock", test::by_another(c, [&] { return c.pthread_mutex_trylock(&m.m); }));
    out("unlock", [&] { return c.pthread_mutex_unlock(&m.m); });
}

}  // namespace

// A body for each kind of mutex, so that none takes long.
#define WEFT_WITH(type, name)                                                                                        \
    DIFFERENTIAL("waits that end by the real time: " name) { by_time(c, out, CLOCK_REALTIME, type); }                 \
    DIFFERENTIAL("waits that end by the monotonic time: " name) { by_time(c, out, CLOCK_MONOTONIC, type); }           \
    DIFFERENTIAL("waits that a signal ends: " name) { by_another(c, out, false, type); }                              \
    DIFFERENTIAL("waits that a broadcast ends: " name) { by_another(c, out, true, type); }
WEFT_WITH(PTHREAD_MUTEX_NORMAL, "normal")
WEFT_WITH(PTHREAD_MUTEX_RECURSIVE, "recursive")
WEFT_WITH(PTHREAD_MUTEX_ERRORCHECK, "error-checking")
WEFT_WITH(PTHREAD_MUTEX_ADAPTIVE_NP, "adaptive")

DIFFERENTIAL("waits with a mutex that the caller does not hold") {
    condition cond;
    mutex robust{PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST}, checking{PTHREAD_MUTEX_ERRORCHECK},
        recursive{PTHREAD_MUTEX_RECURSIVE};
    for (pthread_mutex_t* m : {&robust.m, &checking.m, &recursive.m}) {
        const timespec soon = test::in_ms(CLOCK_REALTIME, a_while);
        out("wait with a free one", [&] { return c.pthread_cond_wait(&cond.c, m); });
        out("timedwait with a free one", [&] { return c.pthread_cond_timedwait(&cond.c, m, &soon); });
        test::other_holder holder{c, [&] { c.pthread_mutex_lock(m); }, [&] { c.pthread_mutex_unlock(m); }};
        out("wait with another's", [&] { return c.pthread_cond_wait(&cond.c, m); });
        out("timedwait with another's", [&] { return c.pthread_cond_timedwait(&cond.c, m, &soon); });
    }
}

DIFFERENTIAL("a recursive mutex that is held twice is not given back by a wait") {
    condition cond;
    mutex m{PTHREAD_MUTEX_RECURSIVE};
    c.pthread_mutex_lock(&m.m);
    c.pthread_mutex_lock(&m.m);
    int seen = 0;
    test::other looks{c, [&] {
        c.usleep(a_while * 500);
        seen = c.pthread_mutex_trylock(&m.m);
    }};
    const timespec until = test::in_ms(CLOCK_REALTIME, a_while);
    out("timedwait", [&] { return c.pthread_cond_timedwait(&cond.c, &m.m, &until); });
    looks.finish();
    out.value("another's trylock meanwhile", seen);
    out("unlock", [&] { return c.pthread_mutex_unlock(&m.m); });
    out("unlock", [&] { return c.pthread_mutex_unlock(&m.m); });
    out("unlock once more", [&] { return c.pthread_mutex_unlock(&m.m); });
}

DIFFERENTIAL("a wait whose robust mutex comes back without its owner") {
    condition cond;
    mutex m{PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_ROBUST};
    c.pthread_mutex_lock(&m.m);
    test::later dies{c, a_while * 1ms, [&] {
        ::pthread_mutex_lock(&m.m);
        ::pthread_cond_signal(&cond.c);
    }};
    out("wait", [&] { return c.pthread_cond_wait(&cond.c, &m.m); });
    out("consistent", [&] { return pthread_mutex_consistent(&m.m); });
    out("unlock", [&] { return c.pthread_mutex_unlock(&m.m); });
}

DIFFERENTIAL("conditions of several processes") {
    struct shared {
        pthread_mutex_t m;
        pthread_cond_t cond;
        bool told = false;
    };
    test::between_processes<shared> s;
    test::init(&s->m, {"", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_SHARED});
    test::init(&s->cond, CLOCK_MONOTONIC, PTHREAD_PROCESS_SHARED);
    c.pthread_mutex_lock(&s->m);
    const timespec soon = test::in_ms(CLOCK_MONOTONIC, a_while);
    out("timedwait", [&] { return c.pthread_cond_timedwait(&s->cond, &s->m, &soon); });
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        ::usleep(a_while * 1000);
        ::pthread_mutex_lock(&s->m);
        s->told = true;
        ::pthread_cond_signal(&s->cond);
        ::pthread_mutex_unlock(&s->m);
        ::_exit(0);
    }
    out("wait", [&] {
        int result = 0;
        while (!s->told && result == 0) result = c.pthread_cond_wait(&s->cond, &s->m);
        return result;
    });
    out("unlock", [&] { return c.pthread_mutex_unlock(&s->m); });
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) c.usleep(500);
    out.value("the child's end", status);
}

DIFFERENTIAL("cnd_wait and its kin answer in C11's words") {
    mtx_t m;
    cnd_t cond;
    REQUIRE(mtx_init(&m, mtx_plain) == thrd_success);
    REQUIRE(cnd_init(&cond) == thrd_success);
    auto* const pthreads = reinterpret_cast<pthread_cond_t*>(&cond);
    auto* const its_mutex = reinterpret_cast<pthread_mutex_t*>(&m);
    // weft::shim has pthread's names only.
    const auto as_c11 = [](int error) {
        return error == 0 ? thrd_success : error == ETIMEDOUT ? thrd_timedout : error == EBUSY ? thrd_busy : thrd_error;
    };
    const bool native = !test::in_task(c);
    const auto wait = native ? weft::monkey::original<&::cnd_wait>() : &::cnd_wait;
    const auto timedwait = native ? weft::monkey::original<&::cnd_timedwait>() : &::cnd_timedwait;
    const auto timed = [&](const timespec& until) {
        return c.named ? as_c11(c.pthread_cond_timedwait(pthreads, its_mutex, &until)) : timedwait(&cond, &m, &until);
    };
    c.pthread_mutex_lock(its_mutex);
    const timespec soon = test::in_ms(CLOCK_REALTIME, a_while);
    out("cnd_timedwait", [&] { return timed(soon); });
    out("cnd_timedwait, long ago", [&] { return timed(test::long_ago); });
    out("cnd_timedwait, no time", [&] { return timed(test::too_few); });
    for (const bool all : {false, true}) {
        bool told = false;
        test::other teller{c, [&] {
            c.usleep(a_while * 1000);
            c.pthread_mutex_lock(its_mutex);
            told = true;
            if (all) out.value("cnd_broadcast", c.named ? c.pthread_cond_broadcast(pthreads) : ::cnd_broadcast(&cond));
            else out.value("cnd_signal", c.named ? c.pthread_cond_signal(pthreads) : ::cnd_signal(&cond));
            c.pthread_mutex_unlock(its_mutex);
        }};
        out.untimed("cnd_wait", [&] {
            int result = thrd_success;
            while (!told && result == thrd_success)
                result = c.named ? as_c11(c.pthread_cond_wait(pthreads, its_mutex)) : wait(&cond, &m);
            return result;
        });
    }
    c.pthread_mutex_unlock(its_mutex);
    cnd_destroy(&cond);
    mtx_destroy(&m);
}

HUB_TEST("plain threads of a patched program get libc's answers, too") {
    const test::patched now;
    std::thread{[] {
        condition cond{CLOCK_MONOTONIC};
        mutex m{PTHREAD_MUTEX_ERRORCHECK};
        errno = 77;
        CHECK(pthread_cond_wait(&cond.c, &m.m) == EPERM);
        CHECK(pthread_mutex_lock(&m.m) == 0);
        const timespec soon = test::in_ms(CLOCK_MONOTONIC, 20);
        CHECK(pthread_cond_timedwait(&cond.c, &m.m, &soon) == ETIMEDOUT);
        CHECK(pthread_cond_timedwait(&cond.c, &m.m, &test::dawn) == ETIMEDOUT);
        CHECK(pthread_cond_timedwait(&cond.c, &m.m, &test::too_many) == EINVAL);
        CHECK(pthread_cond_clockwait(&cond.c, &m.m, test::no_clock, &soon) == EINVAL);
        CHECK(errno == 77);
        CHECK(pthread_mutex_unlock(&m.m) == 0);
    }}.join();
}
