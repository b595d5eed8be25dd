// POSIX semaphores: what libc answers, whose turn it is, and stress.
#include <atomic>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <limits.h>

#include <weft/group.hpp>

#include "shim/lock_objects.hpp"
#include "shim/lockers.hpp"
#include "support/forked.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::journal;
using test::semaphore;

namespace {

constexpr long a_while = 60;  // ms

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
