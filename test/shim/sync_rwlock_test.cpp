// pthread's rwlocks: what libc answers, natively, by name and interposed.
#include <atomic>

#include "shim/lock_objects.hpp"
#include "shim/lockers.hpp"
#include "support/forked.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::journal;
using test::rwlock;

namespace {

constexpr long a_while = 60;  // ms

/// Every call once; what is taken is given back.
void all_calls(const calls& c, journal& out, pthread_rwlock_t* l, bool blocking) {
    const auto after = [&](int result) {
        if (result == 0) out("given back", [&] { return c.pthread_rwlock_unlock(l); });
    };
    after(out("tryrdlock", [&] { return c.pthread_rwlock_tryrdlock(l); }));
    after(out("trywrlock", [&] { return c.pthread_rwlock_trywrlock(l); }));
    if (blocking) {
        after(out("rdlock", [&] { return c.pthread_rwlock_rdlock(l); }));
        after(out("wrlock", [&] { return c.pthread_rwlock_wrlock(l); }));
    }
    const auto timed = [&](const char* what, const timespec& until) {
        after(out(std::string{"timedrdlock"} + what, [&] { return c.pthread_rwlock_timedrdlock(l, &until); }));
        after(out(std::string{"timedwrlock"} + what, [&] { return c.pthread_rwlock_timedwrlock(l, &until); }));
    };
    timed(", long ago", test::long_ago);
    timed(", before all time", test::before_all_time);
    timed(", at the dawn of time", test::dawn);
    timed(", too many nanoseconds", test::too_many);
    timed(", too few nanoseconds", test::too_few);
    const timespec until = test::in_ms(CLOCK_REALTIME, a_while);
    after(out("timedrdlock", [&] { return c.pthread_rwlock_timedrdlock(l, &until); }));
    const timespec later = test::in_ms(CLOCK_REALTIME, a_while);
    after(out("timedwrlock", [&] { return c.pthread_rwlock_timedwrlock(l, &later); }));
    for (const clockid_t clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, test::no_clock}) {
        const clockid_t real = clock == test::no_clock ? CLOCK_REALTIME : clock;
        const timespec one = test::in_ms(real, a_while);
        after(out("clockrdlock", [&] { return c.pthread_rwlock_clockrdlock(l, clock, &one); }));
        const timespec two = test::in_ms(real, a_while);
        after(out("clockwrlock", [&] { return c.pthread_rwlock_clockwrlock(l, clock, &two); }));
    }
    after(out("clockrdlock, too many nanoseconds by no clock",
              [&] { return c.pthread_rwlock_clockrdlock(l, test::no_clock, &test::too_many); }));
}

void of_nobody(const calls& c, journal& out, int preference) {
    rwlock lock{preference};
    all_calls(c, out, &lock.l, true);
}

void read_by_caller(const calls& c, journal& out, int preference) {
    rwlock lock{preference};
    out("rdlock", [&] { return c.pthread_rwlock_rdlock(&lock.l); });
    out("rdlock again", [&] { return c.pthread_rwlock_rdlock(&lock.l); });
    all_calls(c, out, &lock.l, false);
    out("unlock", [&] { return c.pthread_rwlock_unlock(&lock.l); });
    out("unlock", [&] { return c.pthread_rwlock_unlock(&lock.l); });
    out("it is free", [&] { return c.pthread_rwlock_trywrlock(&lock.l); });
}

void written_by_caller(const calls& c, journal& out, int preference) {
    rwlock lock{preference};
    out("wrlock", [&] { return c.pthread_rwlock_wrlock(&lock.l); });
    all_calls(c, out, &lock.l, true);
    out("unlock", [&] { return c.pthread_rwlock_unlock(&lock.l); });
    out("it is free", [&] { return c.pthread_rwlock_trywrlock(&lock.l); });
}

void of_another(const calls& c, journal& out, int preference, bool writes) {
    rwlock lock{preference};
    const auto take = [&] { writes ? c.pthread_rwlock_wrlock(&lock.l) : c.pthread_rwlock_rdlock(&lock.l); };
    const auto give = [&] { c.pthread_rwlock_unlock(&lock.l); };
    {
        test::other_holder holder{c, take, give};
        all_calls(c, out, &lock.l, false);
    }
    {
        test::other_holder holder{c, take, give, a_while * 1ms};
        out.untimed("wrlock of what is given back", [&] { return c.pthread_rwlock_wrlock(&lock.l); });
    }
    out("unlock", [&] { return c.pthread_rwlock_unlock(&lock.l); });
    {
        test::other_holder holder{c, take, give, a_while * 1ms};
        out.untimed("rdlock", [&] { return c.pthread_rwlock_rdlock(&lock.l); });
        out("unlock", [&] { return c.pthread_rwlock_unlock(&lock.l); });
    }
    const timespec far = test::in_ms(CLOCK_REALTIME, 5000);
    {
        test::other_holder holder{c, take, give, a_while * 1ms};
        out.untimed("timedwrlock of what is given back", [&] { return c.pthread_rwlock_timedwrlock(&lock.l, &far); });
    }
    out("unlock", [&] { return c.pthread_rwlock_unlock(&lock.l); });
}

}  // namespace

// A body for each, so that none takes long.
#define WEFT_PREFERRING(preference, name)                                                                          \
    DIFFERENTIAL("an rwlock that is free: " name) { of_nobody(c, out, preference); }                                \
    DIFFERENTIAL("an rwlock that the caller reads: " name) { read_by_caller(c, out, preference); }                  \
    DIFFERENTIAL("an rwlock that the caller writes: " name) { written_by_caller(c, out, preference); }              \
    DIFFERENTIAL("an rwlock that another reads: " name) { of_another(c, out, preference, false); }                  \
    DIFFERENTIAL("an rwlock that another writes: " name) { of_another(c, out, preference, true); }
WEFT_PREFERRING(PTHREAD_RWLOCK_PREFER_READER_NP, "readers first")
WEFT_PREFERRING(PTHREAD_RWLOCK_PREFER_WRITER_NP, "writers first, if nobody reads again")
WEFT_PREFERRING(PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP, "writers first")

DIFFERENTIAL("more readers than an rwlock can count") {
    rwlock lock;
    out("rdlock", [&] { return c.pthread_rwlock_rdlock(&lock.l); });
    const unsigned before = lock.l.__data.__readers;
    lock.l.__data.__readers = ~0u << 3;
    out("tryrdlock", [&] { return c.pthread_rwlock_tryrdlock(&lock.l); });
    lock.l.__data.__readers = ~0u << 3;
    out("rdlock", [&] { return c.pthread_rwlock_rdlock(&lock.l); });
    lock.l.__data.__readers = before;
    out("unlock", [&] { return c.pthread_rwlock_unlock(&lock.l); });
}

DIFFERENTIAL("an rwlock that another process writes for a while") {
    test::between_processes<pthread_rwlock_t> l;
    test::init(&*l, PTHREAD_RWLOCK_PREFER_READER_NP, PTHREAD_PROCESS_SHARED);
    test::between_processes<std::atomic<bool>> taken;
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        ::pthread_rwlock_wrlock(&*l);
        taken->store(true);
        ::usleep(a_while * 1000);
        ::pthread_rwlock_unlock(&*l);
        ::_exit(0);
    }
    while (!taken->load()) c.usleep(200);
    out("tryrdlock", [&] { return c.pthread_rwlock_tryrdlock(&*l); });
    out("rdlock", [&] { return c.pthread_rwlock_rdlock(&*l); });
    out("unlock", [&] { return c.pthread_rwlock_unlock(&*l); });
    out("wrlock", [&] { return c.pthread_rwlock_wrlock(&*l); });
    out("unlock", [&] { return c.pthread_rwlock_unlock(&*l); });
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) c.usleep(500);
    out.value("the child's end", status);
}
