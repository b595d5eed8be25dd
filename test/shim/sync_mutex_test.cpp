// pthread's and C11's mutexes, and the standard library's over them.
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <vector>

#include <threads.h>

#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/group.hpp>
#include <weft/timeout.hpp>

#include "shim/lockers.hpp"
#include "support/child.hpp"
#include "support/forked.hpp"
#include "support/sanitizers.hpp"

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

void of_nobody(const calls& c, journal& out, const kind& k) {
    mutex_of mine{k};
    const notes n{c, out, k.name, &mine.m};
    if (knows_owner(k)) n.unlock("unlock of what nobody holds");
    n.after(n.lock("lock"));
    n.after(n.trylock("trylock"));
    timed_forms(n);
    n.after(n.lock("lock"));
}

void of_the_caller(const calls& c, journal& out, const kind& k) {
    mutex_of mine{k};
    const notes n{c, out, k.name, &mine.m};
    n.lock("lock");
    n.after(n.trylock("trylock"));
    timed_forms(n);
    if (comes_again(k)) n.after(n.lock("lock again"));
    n.unlock("unlock");
    if (knows_owner(k)) n.unlock("unlock once more");
}

void of_another(const calls& c, journal& out, const kind& k) {
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

void given_back(const calls& c, journal& out, const kind& k) {
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

}  // namespace

// A body for each kind, so that none takes long.
#define WEFT_OF_KIND(number, name)                                                                  \
    DIFFERENTIAL("a mutex that is free: " name) { of_nobody(c, out, kinds[number]); }                \
    DIFFERENTIAL("a mutex that the caller holds: " name) { of_the_caller(c, out, kinds[number]); }   \
    DIFFERENTIAL("a mutex that another holds: " name) { of_another(c, out, kinds[number]); }         \
    DIFFERENTIAL("a mutex that another gives back while the caller waits: " name) { given_back(c, out, kinds[number]); }
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
            out.value("another's lock", test::by_another(c, [&] { return c.pthread_mutex_lock(&mine.m); }));
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
            out("mtx_lock of what is given back", [&] { return c11.lock(&m); });
        }
        out("mtx_unlock", [&] { return c11.unlock(&m); });
        mtx_destroy(&m);
    }
}

// The standard library's, in tasks.

namespace {

template <class Mutex>
void check_excludes() {
    const test::patched now;
    Mutex m;
    int inside = 0, most = 0, sections = 0;
    weft::group tasks;
    for (int i = 0; i < 6; ++i) {
        tasks.spawn([&, i] {
            for (int round = 0; round < 20; ++round) {
                const std::lock_guard guard{m};
                most = std::max(most, ++inside);
                if (round % 3 == 0) weft::sleep_for(100us);
                else if ((round + i) % 3 == 1) weft::yield();
                --inside;
                ++sections;
            }
        });
    }
    tasks.join();
    CHECK(most == 1);
    CHECK(sections == 120);
}

}  // namespace

HUB_TEST("the standard's mutexes held across a switch keep other tasks out, not the thread") {
    check_excludes<std::mutex>();
    check_excludes<std::recursive_mutex>();
    check_excludes<std::timed_mutex>();
    check_excludes<std::recursive_timed_mutex>();
    check_excludes<std::shared_mutex>();
    check_excludes<std::shared_timed_mutex>();
}

HUB_TEST("timed mutexes give up in time while another task holds them") {
    const test::patched now;
    std::timed_mutex plain;
    std::recursive_timed_mutex again;
    const std::scoped_lock held{plain, again};
    weft::spawn([&] {
        const auto start = weft::clock::now();
        CHECK_FALSE(plain.try_lock_for(30ms));
        CHECK_FALSE(again.try_lock_until(std::chrono::system_clock::now() + 30ms));
        CHECK_FALSE(again.try_lock());
        const auto took = weft::clock::now() - start;
        CHECK(took >= 60ms);
        CHECK(took < 60ms + 100ms * test::patience());
    }).get();
    CHECK(again.try_lock_for(1s));
    again.unlock();
}

HUB_TEST("std::lock takes two mutexes that tasks hold in the other order") {
    const test::patched now;
    std::mutex a, b;
    int sections = 0;
    weft::group tasks;
    for (int i = 0; i < 4; ++i) {
        tasks.spawn([&, i] {
            for (int round = 0; round < 30; ++round) {
                std::unique_lock first{i % 2 ? a : b, std::defer_lock}, second{i % 2 ? b : a, std::defer_lock};
                std::lock(first, second);
                weft::yield();
                ++sections;
            }
        });
    }
    tasks.join();
    CHECK(sections == 120);
}

HUB_TEST("a recursive mutex comes again to who holds it, whoever has been passed meanwhile") {
    const test::patched now;
    std::recursive_mutex m;
    std::unique_lock outer{m};
    int got = 0;
    auto waiter = weft::spawn([&] {
        const std::lock_guard guard{m};
        ++got;
    });
    weft::sleep_for(1ms);
    outer.unlock();
    outer.lock();  // past the waiter, which has been told and tries in vain
    weft::sleep_for(1ms);
    CHECK(got == 0);
    m.lock();
    CHECK(m.try_lock());
    m.unlock();
    m.unlock();
    CHECK(got == 0);
    outer.unlock();
    CHECK(waiter.join(5s));
    CHECK(got == 1);
}

HUB_TEST("a task does not own what an ended one has held, though it stands where that one stood") {
    const test::patched now;
    pthread_mutex_t m = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
    weft::spawn([&] { CHECK(pthread_mutex_lock(&m) == 0); }).get();
    weft::spawn([&] {
        CHECK(pthread_mutex_unlock(&m) == EPERM);
        const timespec soon = test::in_ms(CLOCK_REALTIME, 5);
        CHECK(pthread_mutex_timedlock(&m, &soon) == ETIMEDOUT);
    }).get();
}

HUB_TEST("a loop of lock, sleep, unlock keeps each waiter out once at most") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
        bool stop = false;
        int sections = 0, most_passes = 0;
        auto loop = weft::spawn([&] {
            while (!stop) {
                CHECK(c.pthread_mutex_lock(&m) == 0);
                ++sections;
                c.usleep(200);
                CHECK(c.pthread_mutex_unlock(&m) == 0);
            }
        });
        weft::sleep_for(1ms);
        weft::group waiters;
        for (int i = 0; i < 5; ++i) {
            waiters.spawn([&] {
                for (int round = 0; round < 5; ++round) {
                    const int before = sections;
                    CHECK(c.pthread_mutex_lock(&m) == 0);
                    most_passes = std::max(most_passes, sections - before);
                    CHECK(c.pthread_mutex_unlock(&m) == 0);
                }
            });
        }
        waiters.join();
        stop = true;
        loop.get();
        // The one that holds it as the waiter comes is counted already; then one may pass each of those in front of it.
        CHECK(most_passes <= 5 + 1);
    }
}

HUB_TEST("a thread's loop of lock, sleep, unlock does not keep tasks out") {
    const test::patched now;
    std::mutex m;
    std::atomic<bool> stop{false};
    std::atomic<int> sections{0};
    std::thread loop{[&] {
        while (!stop.load()) {
            const std::lock_guard guard{m};
            sections.fetch_add(1);
            std::this_thread::sleep_for(300us);
        }
    }};
    while (sections.load() == 0) weft::sleep_for(200us);
    int most_passes = 0;
    for (int round = 0; round < 50; ++round) {
        const int before = sections.load();
        m.lock();
        most_passes = std::max(most_passes, sections.load() - before);
        m.unlock();
        weft::sleep_for(100us);
    }
    stop.store(true);
    loop.join();
    CHECK(most_passes <= 20 * test::patience());
}

HUB_TEST("tasks' loops of lock, sleep, unlock do not keep a thread out") {
    const test::patched now;
    std::mutex m;
    std::atomic<bool> stop{false};
    weft::group tasks;
    for (int i = 0; i < 2; ++i) {
        tasks.spawn([&] {
            while (!stop.load()) {
                const std::lock_guard guard{m};
                weft::sleep_for(300us);
            }
        });
    }
    std::atomic<int> got{0};
    std::thread plain{[&] {
        for (int round = 0; round < 10; ++round) {
            const std::lock_guard guard{m};
            got.fetch_add(1);
        }
    }};
    const auto end = weft::clock::now() + 10s;
    while (got.load() < 10 && weft::clock::now() < end) weft::sleep_for(1ms);
    CHECK(got.load() == 10);
    stop.store(true);
    tasks.join();
    plain.join();
}

HUB_TEST("who tries again and again lets the holder run") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        for (const kind& k : kinds) {
            mutex_of mine{k};
            auto holder = weft::spawn([&] {
                CHECK(c.pthread_mutex_lock(&mine.m) == 0);
                weft::yield();
                CHECK(c.pthread_mutex_unlock(&mine.m) == 0);
            });
            weft::yield();
            int tries = 0;
            while (c.pthread_mutex_trylock(&mine.m) == EBUSY && tries < 100'000) ++tries;
            CHECK(tries < 100'000);
            c.pthread_mutex_unlock(&mine.m);
            holder.get();
            holder = weft::spawn([&] {
                CHECK(c.pthread_mutex_lock(&mine.m) == 0);
                weft::yield();
                CHECK(c.pthread_mutex_unlock(&mine.m) == 0);
            });
            weft::yield();
            while (c.pthread_mutex_timedlock(&mine.m, &test::long_ago) == ETIMEDOUT && tries < 200'000) ++tries;
            CHECK(tries < 200'000);
            c.pthread_mutex_unlock(&mine.m);
            holder.get();
        }
    }
}

// Several hubs and plain threads.

namespace {

template <class Mutex>
void stress(int rounds) {
    const test::patched now;
    Mutex m;
    std::int64_t count = 0;
    bool inside = false;
    std::atomic<bool> broken{false};
    const auto sections = [&](unsigned seed, bool tasks) {
        for (int i = 0; i < rounds; ++i) {
            const std::lock_guard guard{m};
            if (inside) broken.store(true);
            inside = true;
            ++count;
            seed = seed * 1664525 + 1013904223;
            if (tasks && seed >> 29 == 0) weft::yield();
            if (tasks && seed >> 24 == 1) weft::sleep_for(50us);
            inside = false;
        }
    };
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 2; ++t) {
        threads.emplace_back([&, t] {
            weft::group g;
            for (unsigned i = 0; i < 4; ++i) g.spawn([&, i] { sections(t * 100 + i, true); });
            g.join();
        });
        threads.emplace_back([&, t] { sections(t + 1000, false); });
    }
    weft::group here;
    for (unsigned i = 0; i < 4; ++i) here.spawn([&, i] { sections(i + 7, true); });
    here.join();
    for (auto& t : threads) t.join();
    CHECK_FALSE(broken.load());
    CHECK(count == std::int64_t{rounds} * 14);
}

}  // namespace

HUB_TEST("tasks of several hubs and plain threads exclude each other, and none is forgotten") {
    stress<std::mutex>(2000);
    stress<std::recursive_mutex>(2000);
    stress<std::timed_mutex>(500);
}

// Before and after patching.

HUB_TEST("what was taken before patching is its holder's afterwards") {
    for (const kind& k : kinds) {
        mutex_of of_task{k}, of_main{k};
        std::optional<test::patched> now;
        weft::event patch, done;
        CHECK(pthread_mutex_lock(&of_main.m) == 0);
        auto task = weft::spawn([&] {
            CHECK(pthread_mutex_lock(&of_task.m) == 0);
            patch.wait();
            if (k.type == PTHREAD_MUTEX_RECURSIVE) {
                CHECK(pthread_mutex_lock(&of_task.m) == 0);
                CHECK(pthread_mutex_unlock(&of_task.m) == 0);
            }
            done.wait();
            CHECK(pthread_mutex_unlock(&of_task.m) == 0);
        });
        weft::yield();
        now.emplace();
        patch.set();
        weft::sleep_for(1ms);
        CHECK(pthread_mutex_trylock(&of_task.m) == EBUSY);
        auto waiter = weft::spawn([&] {
            CHECK(pthread_mutex_lock(&of_main.m) == 0);
            CHECK(pthread_mutex_lock(&of_task.m) == 0);
            CHECK(pthread_mutex_unlock(&of_main.m) == 0);
            CHECK(pthread_mutex_unlock(&of_task.m) == 0);
        });
        weft::sleep_for(1ms);
        CHECK_FALSE(waiter.ready());
        CHECK(pthread_mutex_unlock(&of_main.m) == 0);
        weft::sleep_for(1ms);
        CHECK_FALSE(waiter.ready());
        done.set();
        CHECK(waiter.join(5s));
        task.get();
    }
}

HUB_TEST("a thread that has locked before patching wakes the task that waits after it") {
    std::mutex m;
    std::atomic<int> step{0};
    std::thread holder{[&] {
        m.lock();
        step.store(1);
        while (step.load() != 2) std::this_thread::sleep_for(200us);
        m.unlock();
    }};
    while (step.load() != 1) weft::sleep_for(200us);
    const test::patched now;
    auto waiter = weft::spawn([&] { const std::lock_guard guard{m}; });
    weft::sleep_for(2ms);
    CHECK_FALSE(waiter.ready());
    step.store(2);
    CHECK(waiter.join(5s));
    holder.join();
}

HUB_TEST("tasks that stand in line when everything is unpatched are served") {
    std::mutex m;
    std::optional<test::patched> now;
    now.emplace();
    m.lock();
    int got = 0;
    weft::group tasks;
    for (int i = 0; i < 5; ++i) {
        tasks.spawn([&] {
            const std::lock_guard guard{m};
            ++got;
            weft::yield();
        });
    }
    weft::sleep_for(1ms);
    now.reset();
    CHECK(got == 0);
    m.unlock();
    tasks.join();
    CHECK(got == 5);
}

// Kills and time-outs.

HUB_TEST("a kill does not end the wait for a mutex, and is thrown at weft's next wait") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        pthread_mutex_t m = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
        CHECK(c.pthread_mutex_lock(&m) == 0);
        bool held = false, came_further = false;
        auto waiter = weft::spawn([&] {
            const int result = c.pthread_mutex_lock(&m);
            held = result == 0 && m.__data.__owner == ::gettid();
            struct give_back {
                const calls& c;
                pthread_mutex_t& m;
                ~give_back() { CHECK(c.pthread_mutex_unlock(&m) == 0); }
            } at_end{c, m};
            weft::sleep_for(1h);
            came_further = true;
        });
        weft::yield();
        waiter.kill(weft::deadline::past());
        weft::sleep_for(2ms);
        CHECK_FALSE(waiter.ready());
        CHECK_FALSE(held);
        CHECK(c.pthread_mutex_unlock(&m) == 0);
        CHECK(waiter.join(5s));
        CHECK(held);
        CHECK_FALSE(came_further);
        CHECK(c.pthread_mutex_trylock(&m) == 0);
        CHECK(c.pthread_mutex_unlock(&m) == 0);
    }
}

HUB_TEST("a timeout around a lock is thrown behind it") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
        CHECK(c.pthread_mutex_lock(&m) == 0);
        bool held = false, thrown = false;
        auto waiter = weft::spawn([&] {
            try {
                const weft::timeout limit{2ms};
                held = c.pthread_mutex_lock(&m) == 0;
                weft::sleep_for(1h);
            } catch (const weft::timed_out&) {
                thrown = true;
            }
            if (held) c.pthread_mutex_unlock(&m);
        });
        weft::sleep_for(10ms);
        CHECK_FALSE(held);
        CHECK(c.pthread_mutex_unlock(&m) == 0);
        CHECK(waiter.join(5s));
        CHECK(held);
        CHECK(thrown);
    }
}

// Ends.

HUB_TEST("a thread that ends leaves tasks behind that wait for a mutex nobody gives back, and unwinds the others") {
    const test::patched now;
    const test::leaks_on_purpose leaks;
    std::mutex held, free;
    held.lock();
    free.lock();
    std::atomic<int> got{0};
    std::thread{[&] {
        weft::spawn([&] { held.lock(); });
        weft::spawn([&] {
            const std::lock_guard guard{free};
            got.fetch_add(1);
        });
        weft::yield();
        free.unlock();
    }}.join();
    CHECK(got.load() == 1);
    CHECK(free.try_lock());
    free.unlock();
    CHECK_FALSE(held.try_lock());
    held.unlock();
    held.lock();
    held.unlock();
}

HUB_TEST("a forked child of a process whose tasks stand in line for locks works") {
    const test::patched now;
    std::mutex m;
    std::recursive_mutex again;
    std::unique_lock one{m};
    std::unique_lock two{again};
    weft::group tasks;
    for (int i = 0; i < 3; ++i) {
        tasks.spawn([&] { const std::lock_guard guard{m}; });
        tasks.spawn([&] { const std::lock_guard guard{again}; });
    }
    weft::yield();
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        one.unlock();
        int sections = 0;
        std::vector<weft::task<void>> others;
        for (int i = 0; i < 3; ++i) {
            others.push_back(weft::spawn([&] {
                const std::lock_guard guard{m};
                weft::sleep_for(100us);
                ++sections;
            }));
        }
        for (auto& t : others) t.get();
        ::_exit(sections == 3 ? 7 : 1);
    }
    CHECK(test::exited_with(test::end_of(child), 7));
    one.unlock();
    two.unlock();
    tasks.join();
}

DOCTEST_TEST_CASE("child: crossed mutexes" * doctest::skip()) {
    REQUIRE(weft::monkey::patch_all());
    std::mutex a, b;
    const auto cross = [](std::mutex& first, std::mutex& second) {
        const std::lock_guard one{first};
        weft::yield();
        const std::lock_guard two{second};
    };
    auto left = weft::spawn({.name = "left"}, [&] { cross(a, b); });
    auto right = weft::spawn({.name = "right"}, [&] { cross(b, a); });
    try {
        (void)left.join();
    } catch (const weft::deadlock& e) {
        std::printf("told: %s\n", e.what());
        std::fflush(stdout);
        std::_Exit(3);
    }
}

DOCTEST_TEST_CASE("a deadlock of two tasks on two mutexes is told, with what each waits for") {
    const auto end = test::run_child({"/proc/self/exe", "--no-skip", "--test-case=child: crossed mutexes"});
    CAPTURE(end.output);
    CHECK(end.exited_with(3));
    CHECK(end.says("told: "));
    CHECK(end.says("left"));
    CHECK(end.says("right"));
    CHECK(end.says("a pthread mutex"));
}
