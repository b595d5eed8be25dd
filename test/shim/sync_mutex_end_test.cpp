// Mutexes before and after patching, and in kills, ends of threads, forks and deadlocks.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/group.hpp>
#include <weft/timeout.hpp>

#include "shim/lock_objects.hpp"
#include "shim/lockers.hpp"
#include "support/child.hpp"
#include "support/forked.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::mutex;

HUB_TEST("what was taken before patching is its holder's afterwards") {
    for (const test::mutex_kind& k : test::mutex_kinds) {
        mutex of_task{k}, of_main{k};
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
    std::mutex held, free;
    held.lock();
    free.lock();
    std::atomic<int> got{0};
    std::thread{[&] {
        const test::leaks_on_purpose leaks;
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
