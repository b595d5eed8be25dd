// pthread's and C11's mutexes: what libc answers, natively, by name and interposed.
#include <atomic>
#include <thread>

#include <threads.h>

#include "shim/lock_objects.hpp"
#include "shim/lockers.hpp"
#include "support/forked.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::journal;
using test::mutex;

namespace {

constexpr long a_while = 60;  // ms

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

void of_nobody(const calls& c, journal& out, const test::mutex_kind& k) {
    mutex mine{k};
    const notes n{c, out, k.name, &mine.m};
    if (k.knows_owner()) n.unlock("unlock of what nobody holds");
    n.after(n.lock("lock"));
    n.after(n.trylock("trylock"));
    timed_forms(n);
    n.after(n.lock("lock"));
}

void of_the_caller(const calls& c, journal& out, const test::mutex_kind& k) {
    mutex mine{k};
    const notes n{c, out, k.name, &mine.m};
    n.lock("lock");
    n.after(n.trylock("trylock"));
    timed_forms(n);
    if (k.comes_again()) n.after(n.lock("lock again"));
    n.unlock("unlock");
    if (k.knows_owner()) n.unlock("unlock once more");
}

void of_another(const calls& c, journal& out, const test::mutex_kind& k) {
    mutex mine{k};
    const notes n{c, out, k.name, &mine.m};
    test::other_holder holder{c, [&] { c.pthread_mutex_lock(&mine.m); }, [&] { c.pthread_mutex_unlock(&mine.m); }};
    n.after(n.trylock("trylock"));
    timed_forms(n);
    if (k.knows_owner()) n.unlock("unlock");
    n.trylock("it is still the other's");
    holder.finish();
    n.after(n.trylock("trylock of what is free"));
}

void given_back(const calls& c, journal& out, const test::mutex_kind& k) {
    mutex mine{k};
    const notes n{c, out, k.name, &mine.m};
    const auto take = [&] { c.pthread_mutex_lock(&mine.m); };
    const auto give = [&] { c.pthread_mutex_unlock(&mine.m); };
    {
        test::other_holder holder{c, take, give, a_while * 1ms};
        out.untimed("lock", [&] { return c.pthread_mutex_lock(&mine.m); });
    }
    out.value("another's trylock", test::by_another(c, [&] { return c.pthread_mutex_trylock(&mine.m); }));
    n.unlock("unlock");
    {
        test::other_holder holder{c, take, give, a_while * 1ms};
        const timespec far = test::in_ms(CLOCK_REALTIME, 5000);
        out.untimed("timedlock", [&] { return c.pthread_mutex_timedlock(&mine.m, &far); });
    }
    n.unlock("unlock");
}

}  // namespace

// A body for each kind, so that none takes long.
#define WEFT_OF_KIND(number, name)                                                                  \
    DIFFERENTIAL("a mutex that is free: " name) { of_nobody(c, out, test::mutex_kinds[number]); }                \
    DIFFERENTIAL("a mutex that the caller holds: " name) { of_the_caller(c, out, test::mutex_kinds[number]); }   \
    DIFFERENTIAL("a mutex that another holds: " name) { of_another(c, out, test::mutex_kinds[number]); }         \
    DIFFERENTIAL("a mutex that another gives back while the caller waits: " name) { given_back(c, out, test::mutex_kinds[number]); }
WEFT_OF_KIND(0, "normal")
WEFT_OF_KIND(1, "recursive")
WEFT_OF_KIND(2, "error-checking")
WEFT_OF_KIND(3, "adaptive")
WEFT_OF_KIND(4, "inheriting")
WEFT_OF_KIND(5, "inheriting recursive")
WEFT_OF_KIND(6, "inheriting error-checking")
WEFT_OF_KIND(7, "robust")
WEFT_OF_KIND(8, "robust recursive")
WEFT_OF_KIND(9, "robust error-checking")
WEFT_OF_KIND(10, "shared")
WEFT_OF_KIND(11, "shared recursive")

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
        mutex mine{test::mutex_kind{"", PTHREAD_MUTEX_RECURSIVE, protocol}};
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
            mutex mine{test::mutex_kind{"", type, protocol, PTHREAD_MUTEX_ROBUST}};
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
            out.value("another's lock", test::by_another(c, [&] { return c.pthread_mutex_lock(&mine.m); }));
            n.timedlock("timedlock");
        }
    }
}

DIFFERENTIAL("the owner of a robust mutex dies while the caller waits") {
    for (const int type : {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK}) {
        mutex mine{test::mutex_kind{"", type, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST}};
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
    for (const test::mutex_kind& k : test::mutex_kinds) {
        if (k.shared != PTHREAD_PROCESS_SHARED) continue;
        test::between_processes<pthread_mutex_t> m;
        test::init(&*m, k);
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
    test::init(&*m, {"", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_SHARED});
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

namespace {

/// C11's calls, for which weft::shim has pthread's names.
struct c11_calls {
    const calls& c;

    static pthread_mutex_t* of(mtx_t* m) { return reinterpret_cast<pthread_mutex_t*>(m); }
    static int as_c11(int error) {
        switch (error) {
            case 0: return thrd_success;
            case EBUSY: return thrd_busy;
            case ETIMEDOUT: return thrd_timedout;
            default: return thrd_error;
        }
    }
    int lock(mtx_t* m) const { return c.named ? as_c11(c.pthread_mutex_lock(of(m))) : ::mtx_lock(m); }
    int trylock(mtx_t* m) const { return c.named ? as_c11(c.pthread_mutex_trylock(of(m))) : ::mtx_trylock(m); }
    int timedlock(mtx_t* m, const timespec& until) const {
        return c.named ? as_c11(c.pthread_mutex_timedlock(of(m), &until)) : ::mtx_timedlock(m, &until);
    }
    int unlock(mtx_t* m) const { return c.named ? as_c11(c.pthread_mutex_unlock(of(m))) : ::mtx_unlock(m); }
};

}  // namespace

DIFFERENTIAL("mtx_lock and its kin answer in C11's words") {
    const c11_calls c11{c};
    for (const int type : {mtx_plain | 0, mtx_timed | 0, mtx_plain | mtx_recursive, mtx_timed | mtx_recursive}) {
        mtx_t m;
        REQUIRE(mtx_init(&m, type) == thrd_success);
        const auto after = [&](int result) {
            if (result == thrd_success) out("mtx_unlock", [&] { return c11.unlock(&m); });
        };
        const auto all = [&] {
            after(out("mtx_trylock", [&] { return c11.trylock(&m); }));
            const timespec soon = test::in_ms(CLOCK_REALTIME, a_while);
            after(out("mtx_timedlock", [&] { return c11.timedlock(&m, soon); }));
            after(out("mtx_timedlock, long ago", [&] { return c11.timedlock(&m, test::long_ago); }));
            after(out("mtx_timedlock, no time", [&] { return c11.timedlock(&m, test::too_many); }));
        };
        all();
        out("mtx_lock", [&] { return c11.lock(&m); });
        all();
        out("mtx_unlock", [&] { return c11.unlock(&m); });
        {
            test::other_holder holder{c, [&] { c11.lock(&m); }, [&] { c11.unlock(&m); }};
            all();
        }
        {
            test::other_holder holder{c, [&] { c11.lock(&m); }, [&] { c11.unlock(&m); }, a_while * 1ms};
            out.untimed("mtx_lock of what is given back", [&] { return c11.lock(&m); });
        }
        out("mtx_unlock", [&] { return c11.unlock(&m); });
        mtx_destroy(&m);
    }
}
