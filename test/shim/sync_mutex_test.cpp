// pthread's and C11's mutexes, and the standard library's over them.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <vector>

#include <threads.h>

#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/timeout.hpp>

#include "shim/lockers.hpp"
#include "support/child.hpp"
#include "support/forked.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::journal;

namespace {

constexpr long a_while = 60;  // ms

struct kind {
    const char* name;
    int type;
    int protocol = PTHREAD_PRIO_NONE;
    int robust = PTHREAD_MUTEX_STALLED;
    int shared = PTHREAD_PROCESS_PRIVATE;
};

constexpr kind kinds[] = {
    {"normal", PTHREAD_MUTEX_NORMAL},
    {"recursive", PTHREAD_MUTEX_RECURSIVE},
    {"error-checking", PTHREAD_MUTEX_ERRORCHECK},
    {"adaptive", PTHREAD_MUTEX_ADAPTIVE_NP},
    {"inheriting", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT},
    {"inheriting recursive", PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_INHERIT},
    {"inheriting error-checking", PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_INHERIT},
    {"robust", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST},
    {"robust recursive", PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST},
    {"robust error-checking", PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST},
    {"shared", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_SHARED},
    {"shared recursive", PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_SHARED},
};

bool knows_owner(const kind& k) {
    return k.type == PTHREAD_MUTEX_RECURSIVE || k.type == PTHREAD_MUTEX_ERRORCHECK || k.robust == PTHREAD_MUTEX_ROBUST ||
           k.protocol == PTHREAD_PRIO_INHERIT;
}
bool comes_again(const kind& k) { return k.type == PTHREAD_MUTEX_RECURSIVE || k.type == PTHREAD_MUTEX_ERRORCHECK; }

void init(pthread_mutex_t* m, const kind& k) {
    pthread_mutexattr_t attributes;
    REQUIRE(pthread_mutexattr_init(&attributes) == 0);
    REQUIRE(pthread_mutexattr_settype(&attributes, k.type) == 0);
    REQUIRE(pthread_mutexattr_setprotocol(&attributes, k.protocol) == 0);
    REQUIRE(pthread_mutexattr_setrobust(&attributes, k.robust) == 0);
    REQUIRE(pthread_mutexattr_setpshared(&attributes, k.shared) == 0);
    REQUIRE(pthread_mutex_init(m, &attributes) == 0);
    pthread_mutexattr_destroy(&attributes);
}

struct mutex_of {
    explicit mutex_of(const kind& k) { init(&m, k); }
    ~mutex_of() { pthread_mutex_destroy(&m); }
    mutex_of(const mutex_of&) = delete;
    mutex_of& operator=(const mutex_of&) = delete;
    pthread_mutex_t m;
};

/// Notes calls about one mutex under its kind's name.
struct notes {
    const calls& c;
    journal& out;
    const char* name;
    pthread_mutex_t* m;

    template <class Call>
    auto operator()(const char* what, Call call) const {
        return out(std::string{name} + ": " + what, call);
    }
    int lock(const char* what) const { return (*this)(what, [&] { return c.pthread_mutex_lock(m); }); }
    int trylock(const char* what) const { return (*this)(what, [&] { return c.pthread_mutex_trylock(m); }); }
    int unlock(const char* what) const { return (*this)(what, [&] { return c.pthread_mutex_unlock(m); }); }
    int timedlock(const char* what, const timespec& until) const {
        return (*this)(what, [&] { return c.pthread_mutex_timedlock(m, &until); });
    }
    int timedlock(const char* what) const { return timedlock(what, test::in_ms(CLOCK_REALTIME, a_while)); }
    int clocklock(const char* what, clockid_t clock) const {
        const timespec until = test::in_ms(clock == test::no_clock ? CLOCK_REALTIME : clock, a_while);
        return (*this)(what, [&] { return c.pthread_mutex_clocklock(m, clock, &until); });
    }
    /// Every lock that has been taken is given back.
    void after(int result) const {
        if (result == 0) unlock("given back");
    }
};

void timed_forms(const notes& n) {
    n.after(n.timedlock("timedlock"));
    n.after(n.clocklock("clocklock by the real time", CLOCK_REALTIME));
    n.after(n.clocklock("clocklock by the monotonic time", CLOCK_MONOTONIC));
    n.after(n.clocklock("clocklock by no clock", test::no_clock));
    n.after(n.clocklock("clocklock by the boot's time", CLOCK_BOOTTIME));
    n.after(n.timedlock("timedlock, long ago", test::long_ago));
    n.after(n.timedlock("timedlock, before all time", test::before_all_time));
    n.after(n.timedlock("timedlock, at the dawn of time", test::dawn));
    n.after(n.timedlock("timedlock, too many nanoseconds", test::too_many));
    n.after(n.timedlock("timedlock, too few nanoseconds", test::too_few));
}

}  // namespace

DIFFERENTIAL("a mutex of any kind that is free") {
    for (const kind& k : kinds) {
        mutex_of mine{k};
        const notes n{c, out, k.name, &mine.m};
        if (knows_owner(k)) n.unlock("unlock of what nobody holds");
        n.after(n.lock("lock"));
        n.after(n.trylock("trylock"));
        timed_forms(n);
        n.after(n.lock("lock"));
    }
}

DIFFERENTIAL("a mutex of any kind that the caller holds") {
    for (const kind& k : kinds) {
        mutex_of mine{k};
        const notes n{c, out, k.name, &mine.m};
        n.lock("lock");
        n.after(n.trylock("trylock"));
        timed_forms(n);
        if (comes_again(k)) n.after(n.lock("lock again"));
        n.unlock("unlock");
        if (knows_owner(k)) n.unlock("unlock once more");
    }
}

DIFFERENTIAL("a mutex of any kind that another holds") {
    for (const kind& k : kinds) {
        mutex_of mine{k};
        const notes n{c, out, k.name, &mine.m};
        test::other_holder holder{c, [&] { c.pthread_mutex_lock(&mine.m); }, [&] { c.pthread_mutex_unlock(&mine.m); }};
        n.after(n.trylock("trylock"));
        timed_forms(n);
        if (knows_owner(k)) n.unlock("unlock");
        n.trylock("it is still the other's");
        holder.finish();
        n.after(n.trylock("trylock of what is free"));
    }
}

DIFFERENTIAL("a mutex of any kind that another gives back while the caller waits") {
    for (const kind& k : kinds) {
        mutex_of mine{k};
        const notes n{c, out, k.name, &mine.m};
        const auto take = [&] { c.pthread_mutex_lock(&mine.m); };
        const auto give = [&] { c.pthread_mutex_unlock(&mine.m); };
        {
            test::other_holder holder{c, take, give, a_while * 1ms};
            n.lock("lock");
        }
        out.value("another's trylock", test::by_another(c, [&] { return c.pthread_mutex_trylock(&mine.m); }));
        n.unlock("unlock");
        {
            test::other_holder holder{c, take, give, a_while * 1ms};
            const timespec far = test::in_ms(CLOCK_REALTIME, 5000);
            n.timedlock("timedlock", far);
        }
        n.unlock("unlock");
    }
}

DIFFERENTIAL("static initialisers make what they say") {
    pthread_mutex_t statics[] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
                                 PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP, PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP};
    for (pthread_mutex_t& m : statics) {
        const notes n{c, out, "static", &m};
        n.lock("lock");
        n.after(n.trylock("trylock"));
        n.after(n.timedlock("timedlock"));
        out.value("another's trylock", test::by_another(c, [&] { return c.pthread_mutex_trylock(&m); }));
        n.unlock("unlock");
        out.value("another's trylock", test::by_another(c, [&] {
                      const int result = c.pthread_mutex_trylock(&m);
                      return result == 0 ? c.pthread_mutex_unlock(&m) : result;
                  }));
    }
}

DIFFERENTIAL("a recursive mutex is held as often as it was taken, up to a limit") {
    for (const int protocol : {PTHREAD_PRIO_NONE, PTHREAD_PRIO_INHERIT}) {
        mutex_of mine{{"recursive", PTHREAD_MUTEX_RECURSIVE, protocol}};
        const notes n{c, out, "recursive", &mine.m};
        for (int i = 0; i < 3; ++i) n.lock("lock");
        for (int i = 0; i < 2; ++i) n.unlock("unlock");
        out.value("another's trylock", test::by_another(c, [&] { return c.pthread_mutex_trylock(&mine.m); }));
        const unsigned before = mine.m.__data.__count;
        mine.m.__data.__count = ~0u;
        n.lock("lock at the limit");
        n.trylock("trylock at the limit");
        n.timedlock("timedlock at the limit");
        mine.m.__data.__count = before;
        n.unlock("unlock");
        n.unlock("unlock once more");
    }
}

DIFFERENTIAL("a robust mutex whose owner has died") {
    for (const int type : {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK}) {
        for (const int protocol : {PTHREAD_PRIO_NONE, PTHREAD_PRIO_INHERIT}) {
            mutex_of mine{{"", type, protocol, PTHREAD_MUTEX_ROBUST}};
            const notes n{c, out, "robust", &mine.m};
            const auto die_with_it = [&] { std::thread{[&] { ::pthread_mutex_lock(&mine.m); }}.join(); };
            die_with_it();
            n.lock("lock");
            if (type != PTHREAD_MUTEX_NORMAL) n.after(n.trylock("trylock, before it is consistent"));
            out("consistent", [&] { return pthread_mutex_consistent(&mine.m); });
            n.unlock("unlock");
            n.after(n.lock("lock of what is whole again"));
            die_with_it();
            n.trylock("trylock");
            n.unlock("unlock of what is not consistent");
            n.lock("lock");
            n.trylock("trylock");
            n.timedlock("timedlock");
        }
    }
}

DIFFERENTIAL("the owner of a robust mutex dies while the caller waits") {
    for (const int type : {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK}) {
        mutex_of mine{{"", type, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST}};
        const notes n{c, out, "robust", &mine.m};
        std::atomic<bool> taken{false};
        test::later dies{c, 0ms, [&] {
            ::pthread_mutex_lock(&mine.m);
            taken.store(true);
            std::this_thread::sleep_for(a_while * 1ms);
        }};
        while (!taken.load()) c.usleep(200);
        n.lock("lock");
        out("consistent", [&] { return pthread_mutex_consistent(&mine.m); });
        n.unlock("unlock");
    }
}

DIFFERENTIAL("a mutex that another process holds for a while") {
    for (const kind& k : kinds) {
        if (k.shared != PTHREAD_PROCESS_SHARED) continue;
        test::between_processes<pthread_mutex_t> m;
        init(&*m, k);
        test::between_processes<std::atomic<bool>> taken;
        const pid_t child = test::fork_flushed();
        if (child == 0) {
            ::pthread_mutex_lock(&*m);
            taken->store(true);
            ::usleep(a_while * 1000);
            ::pthread_mutex_unlock(&*m);
            ::_exit(0);
        }
        while (!taken->load()) c.usleep(200);
        const notes n{c, out, k.name, &*m};
        n.trylock("trylock");
        n.lock("lock");
        n.unlock("unlock");
        int status = 0;
        while (::waitpid(child, &status, WNOHANG) == 0) c.usleep(500);
        out.value("the child's end", status);
    }
}

DIFFERENTIAL("a robust mutex that another process dies with while the caller waits") {
    test::between_processes<pthread_mutex_t> m;
    init(&*m, {"", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_SHARED});
    test::between_processes<std::atomic<bool>> taken;
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        ::pthread_mutex_lock(&*m);
        taken->store(true);
        ::usleep(a_while * 1000);
        ::_exit(0);
    }
    while (!taken->load()) c.usleep(200);
    const notes n{c, out, "robust", &*m};
    n.lock("lock");
    out("consistent", [&] { return pthread_mutex_consistent(&*m); });
    n.unlock("unlock");
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) c.usleep(500);
    out.value("the child's end", status);
}

DIFFERENTIAL("mtx_lock and its kin") {
    // weft::shim has no names of C11's.
    if (c.named) {
        out.value("done", 1);
        return;
    }
    out.value("done", 1);
}
