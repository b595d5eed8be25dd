// pthread's and C11's conditions, and the standard library's over them.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <vector>

#include <threads.h>

#include <weft/event.hpp>
#include <weft/group.hpp>
#include <weft/timeout.hpp>

#include "shim/lockers.hpp"
#include "support/forked.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::journal;

namespace {

constexpr long a_while = 60;  // ms

struct condition {
    explicit condition(clockid_t clock = CLOCK_REALTIME, int shared = PTHREAD_PROCESS_PRIVATE) { init(&c, clock, shared); }
    ~condition() { pthread_cond_destroy(&c); }
    condition(const condition&) = delete;
    condition& operator=(const condition&) = delete;

    static void init(pthread_cond_t* at, clockid_t clock, int shared) {
        pthread_condattr_t attributes;
        REQUIRE(pthread_condattr_init(&attributes) == 0);
        REQUIRE(pthread_condattr_setclock(&attributes, clock) == 0);
        REQUIRE(pthread_condattr_setpshared(&attributes, shared) == 0);
        REQUIRE(pthread_cond_init(at, &attributes) == 0);
        pthread_condattr_destroy(&attributes);
    }

    pthread_cond_t c;
};

struct mutex {
    explicit mutex(int type = PTHREAD_MUTEX_NORMAL, int robust = PTHREAD_MUTEX_STALLED, int shared = PTHREAD_PROCESS_PRIVATE) {
        init(&m, type, robust, shared);
    }
    ~mutex() { pthread_mutex_destroy(&m); }
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;

    static void init(pthread_mutex_t* at, int type, int robust, int shared) {
        pthread_mutexattr_t attributes;
        REQUIRE(pthread_mutexattr_init(&attributes) == 0);
        REQUIRE(pthread_mutexattr_settype(&attributes, type) == 0);
        REQUIRE(pthread_mutexattr_setrobust(&attributes, robust) == 0);
        REQUIRE(pthread_mutexattr_setpshared(&attributes, shared) == 0);
        REQUIRE(pthread_mutex_init(at, &attributes) == 0);
        pthread_mutexattr_destroy(&attributes);
    }

    pthread_mutex_t m;
};

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
        out("wait", [&] {
            int result = 0;
            while (!told && result == 0) result = c.pthread_cond_wait(&cond.c, &m.m);
            return result;
        });
    }
    told = false;
    {
        test::other teller{c, signaller(c, cond.c, m.m, told, all)};
        const timespec far = test::in_ms(CLOCK_REALTIME, 5000);
        out("timedwait", [&] {
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
    mutex::init(&s->m, PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_SHARED);
    condition::init(&s->cond, CLOCK_MONOTONIC, PTHREAD_PROCESS_SHARED);
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
        out("cnd_wait", [&] {
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

// Order.

HUB_TEST("signals wake tasks and threads in the order in which they have come") {
    const test::patched now;
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    std::mutex m;
    std::vector<int> order;
    std::atomic<int> lined_up{0};
    const auto wait = [&](int number) {
        const std::lock_guard held{m};
        lined_up.fetch_add(1);
        pthread_cond_wait(&cond, m.native_handle());
        order.push_back(number);
    };
    std::vector<std::thread> threads;
    weft::group tasks;
    for (int i = 0; i < 6; ++i) {
        if (i % 2) threads.emplace_back(wait, i);
        else tasks.spawn(wait, i);
        while (lined_up.load() <= i) weft::sleep_for(200us);
        const std::lock_guard in_line{m};
    }
    for (std::size_t i = 0; i < 6; ++i) {
        CHECK(pthread_cond_signal(&cond) == 0);
        for (;;) {
            weft::sleep_for(200us);
            const std::lock_guard looks{m};
            if (order.size() > i) break;
        }
        const std::lock_guard looks{m};
        CHECK(order.size() == i + 1);
        CHECK(order.back() == static_cast<int>(i));
    }
    tasks.join();
    for (auto& t : threads) t.join();
}

HUB_TEST("who waits again and again for a time that has passed lets the others run") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        condition cond;
        mutex m;
        bool done = false;
        auto other = weft::spawn([&] { done = true; });
        CHECK(c.pthread_mutex_lock(&m.m) == 0);
        int tries = 0;
        while (!done && tries < 100'000) {
            CHECK(c.pthread_cond_timedwait(&cond.c, &m.m, &test::long_ago) == ETIMEDOUT);
            ++tries;
        }
        CHECK(done);
        CHECK(c.pthread_mutex_unlock(&m.m) == 0);
        other.get();
    }
}

// The standard library's.

HUB_TEST("std::condition_variable parks tasks, and wakes them from tasks and from threads") {
    const test::patched now;
    std::mutex m;
    std::condition_variable cond;
    int turn = 0;
    const auto play = [&](int me, int rounds) {
        for (int i = 0; i < rounds; ++i) {
            std::unique_lock held{m};
            cond.wait(held, [&] { return turn % 3 == me; });
            ++turn;
            cond.notify_all();
        }
    };
    auto first = weft::spawn([&] { play(0, 200); });
    auto second = weft::spawn([&] { play(1, 200); });
    std::thread third{[&] { play(2, 200); }};
    first.get();
    second.get();
    third.join();
    CHECK(turn == 600);
    std::unique_lock held{m};
    const auto start = weft::clock::now();
    CHECK(cond.wait_for(held, 30ms) == std::cv_status::timeout);
    CHECK(cond.wait_until(held, std::chrono::system_clock::now() + 30ms) == std::cv_status::timeout);
    CHECK_FALSE(cond.wait_for(held, 30ms, [] { return false; }));
    CHECK(weft::clock::now() - start >= 90ms);
    CHECK(held.owns_lock());
}

HUB_TEST("std::condition_variable_any waits with any lock of tasks") {
    const test::patched now;
    std::shared_mutex m;
    std::condition_variable_any cond;
    bool told = false;
    int woken = 0;
    weft::group tasks;
    for (int i = 0; i < 4; ++i) {
        tasks.spawn([&] {
            std::shared_lock held{m};
            cond.wait(held, [&] { return told; });
            ++woken;
        });
    }
    tasks.spawn([&] {
        std::unique_lock held{m};
        CHECK_FALSE(cond.wait_for(held, 5ms, [&] { return told; }));
        told = true;
        cond.notify_all();
    });
    tasks.join();
    CHECK(woken == 4);
}

// Every item once.

namespace {

class bounded_queue {
public:
    void put(int item) {
        std::unique_lock held{m_};
        room_.wait(held, [&] { return items_.size() < 4; });
        items_.push_back(item);
        some_.notify_one();
    }
    int take() {
        std::unique_lock held{m_};
        some_.wait(held, [&] { return !items_.empty(); });
        const int item = items_.front();
        items_.pop_front();
        room_.notify_one();
        return item;
    }

private:
    std::mutex m_;
    std::condition_variable room_, some_;
    std::deque<int> items_;
};

}  // namespace

HUB_TEST("a bounded queue between tasks of several hubs and plain threads delivers every item once") {
    const test::patched now;
    constexpr int each = 1500, sides = 6;  // of either side: two plain threads, two tasks here, two of another hub
    bounded_queue q;
    std::vector<std::atomic<int>> seen(each * sides);
    const auto produce = [&](int who) {
        for (int i = 0; i < each; ++i) q.put(who * each + i);
    };
    const auto consume = [&] {
        for (int i = 0; i < each; ++i) seen[static_cast<std::size_t>(q.take())].fetch_add(1);
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&, i] { produce(i); });
        threads.emplace_back(consume);
    }
    threads.emplace_back([&] {
        weft::group g;
        for (int i = 2; i < 4; ++i) {
            g.spawn([&, i] { produce(i); });
            g.spawn(consume);
        }
        g.join();
    });
    weft::group here;
    for (int i = 4; i < 6; ++i) {
        here.spawn([&, i] { produce(i); });
        here.spawn(consume);
    }
    here.join();
    for (auto& t : threads) t.join();
    bool each_once = true;
    for (const auto& count : seen) each_once = each_once && count.load() == 1;
    CHECK(each_once);
}

// Before and after patching.

HUB_TEST("who has waited since before patching is woken by signals after it, as are tasks beside him") {
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    std::atomic<int> waiting{0}, woken{0};
    int told = 0;
    const auto wait = [&] {
        pthread_mutex_lock(&m);
        waiting.fetch_add(1);
        while (told == 0) pthread_cond_wait(&cond, &m);
        --told;
        pthread_mutex_unlock(&m);
        woken.fetch_add(1);
    };
    std::thread native{wait};
    while (waiting.load() != 1) weft::sleep_for(200us);
    weft::sleep_for(2ms);
    const test::patched now;
    auto task = weft::spawn(wait);
    weft::sleep_for(1ms);
    CHECK(waiting.load() == 2);
    for (int i = 0; i < 2; ++i) {
        pthread_mutex_lock(&m);
        ++told;
        CHECK(pthread_cond_signal(&cond) == 0);
        pthread_mutex_unlock(&m);
        const auto end = weft::clock::now() + 5s;
        while (woken.load() != i + 1 && weft::clock::now() < end) weft::sleep_for(200us);
        CHECK(woken.load() == i + 1);
    }
    task.get();
    native.join();
    std::atomic<int> more{0};
    std::thread other{[&] {
        pthread_mutex_lock(&m);
        more.fetch_add(1);
        pthread_cond_wait(&cond, &m);
        pthread_mutex_unlock(&m);
        more.fetch_add(1);
    }};
    while (more.load() != 1) weft::sleep_for(200us);
    while (more.load() != 2) {
        pthread_mutex_lock(&m);
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&m);
        weft::sleep_for(200us);
    }
    other.join();
}

HUB_TEST("tasks that wait when everything is unpatched are woken") {
    std::mutex m;
    std::condition_variable cond;
    std::optional<test::patched> now;
    now.emplace();
    int told = 0, woken = 0;
    weft::group tasks;
    for (int i = 0; i < 4; ++i) {
        tasks.spawn([&] {
            std::unique_lock held{m};
            cond.wait(held, [&] { return told > 0; });
            --told;
            ++woken;
        });
    }
    weft::sleep_for(1ms);
    now.reset();
    std::thread{[&] {
        const std::lock_guard held{m};
        told = 1;
        cond.notify_one();
    }}.join();
    weft::sleep_for(2ms);
    CHECK(woken == 1);
    {
        const std::lock_guard held{m};
        told = 3;
        cond.notify_all();
    }
    tasks.join();
    CHECK(woken == 4);
}

HUB_TEST("a thread that waits after unpatching leaves its mutex to the task in line") {
    std::mutex m;
    std::condition_variable cond;
    std::optional<test::patched> now;
    now.emplace();
    bool told = false;
    std::atomic<int> step{0};
    std::thread plain{[&] {
        std::unique_lock held{m};
        step.store(1);
        while (step.load() != 2) std::this_thread::sleep_for(200us);
        cond.wait(held, [&] { return told; });
    }};
    while (step.load() != 1) weft::sleep_for(200us);
    auto task = weft::spawn([&] {
        std::unique_lock held{m};
        cond.wait_for(held, 1ms);
        told = true;
        cond.notify_one();
    });
    weft::sleep_for(1ms);
    now.reset();
    step.store(2);
    CHECK(task.join(5s));
    plain.join();
}

// Kills and time-outs.

HUB_TEST("a kill or a timeout does not end the wait for a condition, and is thrown behind it with the mutex held") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        condition cond;
        mutex m{PTHREAD_MUTEX_ERRORCHECK};
        bool told = false, further = false, late = false;
        int unlocked = -1;
        auto killed = weft::spawn([&] {
            CHECK(c.pthread_mutex_lock(&m.m) == 0);
            while (!told) CHECK(c.pthread_cond_wait(&cond.c, &m.m) == 0);
            struct give_back {
                const calls& c;
                mutex& m;
                int& unlocked;
                ~give_back() { unlocked = c.pthread_mutex_unlock(&m.m); }
            } at_end{c, m, unlocked};
            weft::sleep_for(1h);
            further = true;
        });
        auto timed = weft::spawn([&] {
            CHECK(c.pthread_mutex_lock(&m.m) == 0);
            try {
                const weft::timeout limit{1ms};
                while (!told) CHECK(c.pthread_cond_wait(&cond.c, &m.m) == 0);
                CHECK(c.pthread_mutex_unlock(&m.m) == 0);
                weft::sleep_for(1h);
            } catch (const weft::timed_out&) {
                late = true;
            }
        });
        weft::yield();
        killed.kill(weft::deadline::past());
        weft::sleep_for(5ms);
        CHECK_FALSE(killed.ready());
        CHECK_FALSE(timed.ready());
        CHECK(c.pthread_mutex_lock(&m.m) == 0);
        told = true;
        CHECK(c.pthread_cond_broadcast(&cond.c) == 0);
        CHECK(c.pthread_mutex_unlock(&m.m) == 0);
        CHECK(killed.join(5s));
        CHECK(timed.join(5s));
        CHECK(unlocked == 0);
        CHECK_FALSE(further);
        CHECK(late);
    }
}

namespace {

struct cancelled_wait {
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    pthread_mutex_t m = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
    std::atomic<bool> waits{false};
    int unlocked = -1;  // what the cleanup handler has got

    static void clean_up(void* p) {
        auto& me = *static_cast<cancelled_wait*>(p);
        me.unlocked = pthread_mutex_unlock(&me.m);
    }
    static void* run(void* p) {
        auto& me = *static_cast<cancelled_wait*>(p);
        pthread_mutex_lock(&me.m);
        pthread_cleanup_push(clean_up, p);
        me.waits.store(true);
        for (;;) pthread_cond_wait(&me.cond, &me.m);
        pthread_cleanup_pop(0);
        return nullptr;
    }
};

}  // namespace

HUB_TEST("a thread that is cancelled in a wait runs its handlers with the mutex held") {
    const test::patched now;
    cancelled_wait w;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, cancelled_wait::run, &w) == 0);
    while (!w.waits.load()) weft::sleep_for(200us);
    CHECK(pthread_mutex_lock(&w.m) == 0);
    CHECK(pthread_cancel(thread) == 0);
    weft::sleep_for(5ms);
    CHECK(w.unlocked == -1);
    CHECK(pthread_mutex_unlock(&w.m) == 0);
    void* result = nullptr;
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED);
    CHECK(w.unlocked == 0);
    CHECK(pthread_mutex_trylock(&w.m) == 0);
    CHECK(pthread_mutex_unlock(&w.m) == 0);
}

HUB_TEST("the signal for a thread that is cancelled as it comes goes to the next") {
    const test::patched now;
    for (int round = 0; round < 200; ++round) {
        cancelled_wait w;
        pthread_t thread;
        REQUIRE(pthread_create(&thread, nullptr, cancelled_wait::run, &w) == 0);
        while (!w.waits.load()) weft::sleep_for(100us);
        bool woken = false;
        auto task = weft::spawn([&] {
            pthread_mutex_lock(&w.m);
            pthread_cond_wait(&w.cond, &w.m);
            woken = true;
            pthread_mutex_unlock(&w.m);
        });
        weft::sleep_for(50us);
        pthread_cond_signal(&w.cond);  // the thread's, which stands first
        pthread_cancel(thread);
        void* result = nullptr;
        pthread_join(thread, &result);
        // It may have taken the signal, and waited again, before it was cancelled.
        if (!task.join(weft::deadline::after(2ms))) pthread_cond_signal(&w.cond);
        CHECK(task.join(5s));
        CHECK(woken);
    }
}

// Ends.

HUB_TEST("a thread that ends with tasks in a condition's line leaves nobody in it") {
    const test::patched now;
    const test::leaks_on_purpose leaks;
    std::mutex m;
    std::condition_variable cond;
    bool told = false;
    int left = 0;
    std::thread{[&] {
        weft::spawn([&] {
            std::unique_lock held{m};
            cond.wait(held);
            ++left;
        });
        weft::spawn([&] {
            std::unique_lock held{m};
            cond.wait(held, [&] { return told; });  // for ever
        });
        weft::yield();
    }}.join();
    CHECK(left == 1);
    auto task = weft::spawn([&] {
        std::unique_lock held{m};
        cond.wait(held, [&] { return told; });
    });
    weft::yield();
    {
        const std::lock_guard held{m};
        told = true;
    }
    cond.notify_one();
    CHECK(task.join(5s));
}

HUB_TEST("a forked child of a process whose tasks wait for conditions can wait for them") {
    const test::patched now;
    std::mutex m;
    std::condition_variable cond;
    bool told = false;
    weft::group tasks;
    for (int i = 0; i < 3; ++i) {
        tasks.spawn([&] {
            std::unique_lock held{m};
            cond.wait(held, [&] { return told; });
        });
    }
    weft::yield();
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        bool mine = false;
        auto task = weft::spawn([&] {
            std::unique_lock held{m};
            cond.wait(held, [&] { return mine; });
        });
        weft::yield();
        {
            const std::lock_guard held{m};
            mine = true;
            cond.notify_one();
        }
        ::_exit(task.join(5s) ? 7 : 1);
    }
    CHECK(test::exited_with(test::end_of(child), 7));
    {
        const std::lock_guard held{m};
        told = true;
    }
    cond.notify_all();
    tasks.join();
}
