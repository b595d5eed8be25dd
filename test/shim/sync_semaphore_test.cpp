// POSIX semaphores.
#include <climits>
#include <cstring>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>

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

struct semaphore {
    explicit semaphore(unsigned value = 0) { REQUIRE(sem_init(&s, 0, value) == 0); }
    ~semaphore() { sem_destroy(&s); }
    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;
    int value() {
        int now = -1;
        sem_getvalue(&s, &now);
        return now;
    }
    sem_t s;
};

void timed_calls(const calls& c, journal& out, sem_t* s) {
    for (const timespec& until : {test::long_ago, test::before_all_time, test::dawn, test::too_many, test::too_few}) {
        out("sem_timedwait", [&] { return c.sem_timedwait(s, &until); });
        out("sem_clockwait", [&] { return c.sem_clockwait(s, CLOCK_MONOTONIC, &until); });
    }
    const timespec soon = test::in_ms(CLOCK_REALTIME, a_while);
    out("sem_timedwait", [&] { return c.sem_timedwait(s, &soon); });
    for (const clockid_t clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, test::no_clock}) {
        const timespec until = test::in_ms(clock == test::no_clock ? CLOCK_REALTIME : clock, a_while);
        out("sem_clockwait", [&] { return c.sem_clockwait(s, clock, &until); });
    }
    out("sem_clockwait, too many nanoseconds by no clock", [&] { return c.sem_clockwait(s, test::no_clock, &test::too_many); });
}

}  // namespace

DIFFERENTIAL("a semaphore that has permits") {
    semaphore s{40};
    out("sem_wait", [&] { return c.sem_wait(&s.s); });
    timed_calls(c, out, &s.s);
    out("sem_post", [&] { return c.sem_post(&s.s); });
    out.value("its value", s.value());
}

DIFFERENTIAL("a semaphore that has none") {
    semaphore s;
    timed_calls(c, out, &s.s);
    {
        test::other poster{c, [&] {
            c.usleep(a_while * 1000);
            c.sem_post(&s.s);
        }};
        out("sem_wait", [&] { return c.sem_wait(&s.s); });
    }
    {
        const timespec far = test::in_ms(CLOCK_MONOTONIC, 5000);
        test::other poster{c, [&] {
            c.usleep(a_while * 1000);
            c.sem_post(&s.s);
        }};
        out("sem_clockwait", [&] { return c.sem_clockwait(&s.s, CLOCK_MONOTONIC, &far); });
    }
    out.value("its value", s.value());
}

DIFFERENTIAL("a semaphore that is full") {
    semaphore s{SEM_VALUE_MAX};
    out("sem_post", [&] { return c.sem_post(&s.s); });
    out("sem_wait", [&] { return c.sem_wait(&s.s); });
    out("sem_post", [&] { return c.sem_post(&s.s); });
    out("sem_post", [&] { return c.sem_post(&s.s); });
}

DIFFERENTIAL("semaphores of several processes, with a name and without") {
    const std::string name = "/weft-test-" + std::to_string(::getpid());
    sem_t* const named = ::sem_open(name.c_str(), O_CREAT | O_EXCL, 0600, 0);
    REQUIRE(named != SEM_FAILED);
    ::sem_unlink(name.c_str());
    test::between_processes<sem_t> unnamed;
    REQUIRE(::sem_init(&*unnamed, 1, 0) == 0);
    for (sem_t* s : {named, &*unnamed}) {
        const timespec soon = test::in_ms(CLOCK_REALTIME, a_while);
        out("sem_timedwait", [&] { return c.sem_timedwait(s, &soon); });
        const pid_t child = test::fork_flushed();
        if (child == 0) {
            ::usleep(a_while * 1000);
            ::sem_post(s);
            ::_exit(0);
        }
        out("sem_wait", [&] { return c.sem_wait(s); });
        int status = 0;
        while (::waitpid(child, &status, WNOHANG) == 0) c.usleep(500);
        out.value("the child's end", status);
    }
    ::sem_close(named);
}

DIFFERENTIAL_ALONE("a signal ends a wait, unless that has no time and the handler asks for a restart") {
    semaphore s;
    const auto rings = test::alarm_clock::rang.load();
    {
        const test::alarm_clock alarm{a_while * 1ms, 0};
        out("sem_wait", [&] { return c.sem_wait(&s.s); });
    }
    {
        const test::alarm_clock alarm{a_while * 1ms, 0};
        const timespec far = test::in_ms(CLOCK_REALTIME, 5000);
        out("sem_timedwait", [&] { return c.sem_timedwait(&s.s, &far); });
    }
    {
        const test::alarm_clock alarm{a_while * 1ms, 0};
        const timespec far = test::in_ms(CLOCK_MONOTONIC, 5000);
        out("sem_clockwait", [&] { return c.sem_clockwait(&s.s, CLOCK_MONOTONIC, &far); });
    }
    {
        const test::alarm_clock alarm{a_while * 1ms, SA_RESTART};
        const timespec until = test::in_ms(CLOCK_REALTIME, 2 * a_while);
        out("sem_timedwait, not restarted", [&] { return c.sem_timedwait(&s.s, &until); });
    }
    {
        const test::alarm_clock alarm{a_while * 1ms, SA_RESTART};
        const test::later poster{c, 2 * a_while * 1ms, [&] { ::sem_post(&s.s); }};
        out("sem_wait, restarted", [&] { return c.sem_wait(&s.s); });
    }
    out.value("signals", test::alarm_clock::rang.load() - rings);
}

// Order.

HUB_TEST("permits go to tasks in the order in which they have come") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        semaphore s;
        std::vector<int> order;
        weft::group tasks;
        for (int i = 0; i < 6; ++i) {
            tasks.spawn([&, i] {
                CHECK(c.sem_wait(&s.s) == 0);
                order.push_back(i);
            });
        }
        weft::yield();
        for (int i = 0; i < 3; ++i) CHECK(c.sem_post(&s.s) == 0);
        weft::sleep_for(1ms);
        CHECK(order == std::vector{0, 1, 2});
        for (int i = 0; i < 3; ++i) CHECK(c.sem_post(&s.s) == 0);
        tasks.join();
        CHECK(order == std::vector{0, 1, 2, 3, 4, 5});
        CHECK(s.value() == 0);
    }
}

HUB_TEST("loops of wait, sleep, post keep neither tasks out nor threads") {
    const test::patched now;
    semaphore s{1};
    std::atomic<bool> stop{false};
    const auto loop = [&] {
        while (!stop.load()) {
            sem_wait(&s.s);
            ::usleep(200);
            sem_post(&s.s);
        }
    };
    auto task = weft::spawn(loop);
    std::thread thread{loop};
    std::atomic<int> got{0};
    weft::group waiters;
    for (int i = 0; i < 3; ++i) {
        waiters.spawn([&] {
            for (int round = 0; round < 10; ++round) {
                CHECK(sem_wait(&s.s) == 0);
                got.fetch_add(1);
                CHECK(sem_post(&s.s) == 0);
            }
        });
    }
    std::thread plain{[&] {
        for (int round = 0; round < 10; ++round) {
            CHECK(sem_wait(&s.s) == 0);
            got.fetch_add(1);
            CHECK(sem_post(&s.s) == 0);
        }
    }};
    const auto end = weft::clock::now() + 10s;
    while (got.load() < 40 && weft::clock::now() < end) weft::sleep_for(1ms);
    CHECK(got.load() == 40);
    stop.store(true);
    waiters.join();
    task.get();
    plain.join();
    thread.join();
    CHECK(s.value() == 1);
}

HUB_TEST("who waits again and again for a time that has passed lets the one run who posts") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        semaphore s;
        auto poster = weft::spawn([&] { CHECK(c.sem_post(&s.s) == 0); });
        int tries = 0;
        while (c.sem_timedwait(&s.s, &test::long_ago) != 0 && tries < 100'000) ++tries;
        CHECK(tries < 100'000);
        poster.get();
    }
}

// Several hubs and plain threads.

HUB_TEST("permits between tasks of several hubs and plain threads are neither lost nor made") {
    const test::patched now;
    constexpr int permits = 3, rounds = 2000;
    semaphore s{permits}, done;
    std::atomic<int> inside{0}, most{0};
    const auto sections = [&](unsigned seed, bool tasks) {
        for (int i = 0; i < rounds; ++i) {
            seed = seed * 1664525 + 1013904223;
            if (seed >> 30 == 0) {
                const timespec soon = test::in_ms(CLOCK_MONOTONIC, 1);
                while (sem_clockwait(&s.s, CLOCK_MONOTONIC, &soon) != 0) {}
            } else {
                CHECK(sem_wait(&s.s) == 0);
            }
            const int in = inside.fetch_add(1) + 1;
            for (int before = most.load(); before < in && !most.compare_exchange_weak(before, in);) {}
            if (tasks && seed >> 29 == 1) weft::yield();
            if (tasks && seed >> 24 == 1) weft::sleep_for(50us);
            inside.fetch_sub(1);
            CHECK(sem_post(&s.s) == 0);
        }
        CHECK(sem_post(&done.s) == 0);
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
    for (int i = 0; i < 14; ++i) CHECK(sem_wait(&done.s) == 0);
    here.join();
    for (auto& t : threads) t.join();
    CHECK(most.load() <= permits);
    CHECK(s.value() == permits);
    CHECK(done.value() == 0);
}

// Handlers of signals.

namespace {

sem_t* posted_by_handler = nullptr;
std::atomic<int> handled{0};

void post(int) {
    const int before = errno;
    sem_post(posted_by_handler);
    handled.fetch_add(1);
    errno = before;
}

/// While one lives, SIGUSR2 posts.
struct posting_handler {
    explicit posting_handler(sem_t* s) {
        posted_by_handler = s;
        handled.store(0);
        struct sigaction action {};
        action.sa_handler = &post;
        action.sa_flags = SA_RESTART;
        ::sigaction(SIGUSR2, &action, &before);
    }
    ~posting_handler() { ::sigaction(SIGUSR2, &before, nullptr); }
    posting_handler(const posting_handler&) = delete;
    posting_handler& operator=(const posting_handler&) = delete;
    struct sigaction before {};
};

}  // namespace

HUB_TEST("a handler's post on top of a running task of the same thread is told") {
    const test::patched now;
    semaphore s;
    const posting_handler installed{&s.s};
    int got = 0;
    weft::group tasks;
    for (int i = 0; i < 20; ++i) {
        tasks.spawn([&] {
            CHECK(sem_wait(&s.s) == 0);
            ++got;
        });
    }
    weft::yield();
    for (int i = 1; i <= 20; ++i) {
        CHECK(::pthread_kill(::pthread_self(), SIGUSR2) == 0);
        CHECK(handled.load() == i);
        const auto end = weft::clock::now() + 5s;
        while (got < i && weft::clock::now() < end) weft::sleep_for(100us);
        CHECK(got == i);
    }
    tasks.join();
}

HUB_TEST("a handler's post while the thread sleeps, or on another thread, is told") {
    const test::patched now;
    semaphore s;
    const posting_handler installed{&s.s};
    const pthread_t here = ::pthread_self();
    for (const bool elsewhere : {false, true}) {
        for (int i = 0; i < 20; ++i) {
            std::thread sender{[&] {
                std::this_thread::sleep_for(1ms);
                ::pthread_kill(elsewhere ? ::pthread_self() : here, SIGUSR2);
            }};
            int result = sem_wait(&s.s);
            // An interruption that comes with the permit may be told first.
            while (result != 0 && errno == EINTR) result = sem_wait(&s.s);
            CHECK(result == 0);
            sender.join();
        }
    }
    CHECK(handled.load() == 40);
    CHECK(s.value() == 0);
}

HUB_TEST("posts of handlers that interrupt waits, posts and switches are all told") {
    const test::patched now;
    semaphore s, other{1};
    const posting_handler installed{&s.s};
    const pthread_t here = ::pthread_self();
    constexpr int signals = 2000;
    std::atomic<bool> stop{false};
    std::thread sender{[&] {
        for (int i = 0; i < signals; ++i) {
            const int before = handled.load();
            ::pthread_kill(here, SIGUSR2);
            while (handled.load() == before) {}
        }
    }};
    // The interrupted code stands in the same bucket's lock often.
    auto busy = weft::spawn([&] {
        while (!stop.load()) {
            for (int i = 0; i < 50; ++i) {
                sem_post(&s.s);
                while (sem_wait(&s.s) != 0) {}
                while (sem_wait(&other.s) != 0) {}
                sem_post(&other.s);
            }
            weft::yield();
        }
    });
    int got = 0;
    while (got < signals) {
        if (sem_wait(&s.s) == 0) ++got;
        else CHECK(errno == EINTR);
    }
    stop.store(true);
    busy.get();
    sender.join();
    CHECK(handled.load() == signals);
    CHECK(s.value() == 0);
}

HUB_TEST("a thread that keeps signals blocked posts to tasks, too") {
    const test::patched now;
    semaphore s;
    sigset_t some;
    sigemptyset(&some);
    sigaddset(&some, SIGWINCH);
    auto waiter = weft::spawn([&] { CHECK(sem_wait(&s.s) == 0); });
    weft::yield();
    std::thread{[&] {
        ::pthread_sigmask(SIG_BLOCK, &some, nullptr);
        CHECK(sem_post(&s.s) == 0);
    }}.join();
    CHECK(waiter.join(5s));
}

// Before and after patching.

HUB_TEST("a thread that has waited since before patching is woken by a task's post, and a task by a thread's") {
    semaphore s, answer;
    std::atomic<bool> waits{false};
    std::thread native{[&] {
        waits.store(true);
        while (sem_wait(&s.s) != 0) {}
        sem_post(&answer.s);
    }};
    while (!waits.load()) weft::sleep_for(200us);
    weft::sleep_for(2ms);
    const test::patched now;
    CHECK(sem_post(&s.s) == 0);
    CHECK(sem_wait(&answer.s) == 0);
    native.join();
}

HUB_TEST("tasks that wait for permits when everything is unpatched are served") {
    semaphore s;
    std::optional<test::patched> now;
    now.emplace();
    int got = 0;
    weft::group tasks;
    for (int i = 0; i < 4; ++i) {
        tasks.spawn([&] {
            CHECK(sem_wait(&s.s) == 0);
            ++got;
        });
    }
    weft::sleep_for(1ms);
    now.reset();
    for (int i = 0; i < 2; ++i) CHECK(sem_post(&s.s) == 0);
    std::thread{[&] {
        for (int i = 0; i < 2; ++i) CHECK(sem_post(&s.s) == 0);
    }}.join();
    tasks.join();
    CHECK(got == 4);
    CHECK(s.value() == 0);
}

// Kills, ends.

HUB_TEST("a kill or a timeout does not end the wait for a permit, and is thrown at weft's next wait") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        semaphore s;
        int got = 0, further = 0;
        const auto wait = [&] {
            CHECK(c.sem_wait(&s.s) == 0);
            ++got;
            weft::sleep_for(1h);
            ++further;
        };
        auto killed = weft::spawn(wait);
        auto timed = weft::spawn([&] {
            const weft::timeout limit{1ms};
            wait();
        });
        weft::yield();
        killed.kill(weft::deadline::past());
        weft::sleep_for(4ms);
        CHECK(got == 0);
        for (int i = 0; i < 2; ++i) CHECK(c.sem_post(&s.s) == 0);
        CHECK(killed.join(5s));
        CHECK(timed.join(5s));
        CHECK_THROWS_AS(timed.get(), weft::timed_out);
        CHECK(got == 2);
        CHECK(further == 0);
        CHECK(s.value() == 0);
    }
}

HUB_TEST("a thread that ends leaves tasks behind that wait for a permit, and takes none with it") {
    const test::patched now;
    const test::leaks_on_purpose leaks;
    semaphore s;
    std::atomic<int> got{0};
    std::thread{[&] {
        weft::spawn([&] {
            sem_wait(&s.s);
            got.fetch_add(1);
        });
        weft::yield();
    }}.join();
    CHECK(got.load() == 0);
    auto task = weft::spawn([&] { CHECK(sem_wait(&s.s) == 0); });
    weft::yield();
    CHECK(sem_post(&s.s) == 0);
    CHECK(task.join(5s));
}

HUB_TEST("a forked child of a process whose tasks wait for permits works, its handlers' posts included") {
    const test::patched now;
    semaphore s;
    const posting_handler installed{&s.s};
    weft::group tasks;
    for (int i = 0; i < 3; ++i) tasks.spawn([&] { CHECK(sem_wait(&s.s) == 0); });
    weft::yield();
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        auto task = weft::spawn([&] {
            for (int i = 0; i < 2; ++i) while (sem_wait(&s.s) != 0) {}
        });
        weft::yield();
        sem_post(&s.s);
        ::raise(SIGUSR2);
        ::_exit(task.join(5s) ? 7 : 1);
    }
    CHECK(test::exited_with(test::end_of(child), 7));
    for (int i = 0; i < 3; ++i) CHECK(sem_post(&s.s) == 0);
    tasks.join();
    CHECK(s.value() == 0);
}
