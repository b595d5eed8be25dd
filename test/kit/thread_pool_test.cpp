// What weft/thread_pool.hpp promises.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <pthread.h>
#include <signal.h>

#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/hub.hpp>
#include <weft/semaphore.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>
#include <weft/thread_pool.hpp>

#include "support/held_back.hpp"
#include "support/no_threads.hpp"
#include "support/sanitizers.hpp"
#include "support/task_test.hpp"
#include "support/when_destroyed.hpp"

using namespace std::chrono_literals;
using test::gate;
using test::until;

HUB_TEST("spawn() runs a job on another thread, and its future has what it returns or throws") {
    weft::thread_pool pool{2};
    const auto elsewhere = pool.spawn([here = std::this_thread::get_id()] { return std::this_thread::get_id() != here; });
    const auto sum = pool.spawn([](int a, std::unique_ptr<int> b) { return a + *b; }, 1, std::make_unique<int>(2));
    const auto bad = pool.spawn([]() -> int { throw std::out_of_range("far"); });
    const auto nothing = pool.spawn([] {});
    CHECK(elsewhere.get());
    CHECK(sum.get() == 3);
    CHECK_THROWS_AS((void)bad.get(), std::out_of_range);
    CHECK_NOTHROW(nothing.get());
}

HUB_TEST("apply() waits for the value and hands it out, move-only or a reference") {
    weft::thread_pool pool{1};
    static int number = 1;
    CHECK(*pool.apply([] { return std::make_unique<int>(5); }) == 5);
    CHECK(&pool.apply([]() -> int& { return number; }) == &number);
    CHECK_NOTHROW(pool.apply([] {}));
    CHECK_THROWS_AS(pool.apply([] { throw 1; }), int);
}

HUB_TEST("map() gives the values in the range's order, or the first error of it") {
    weft::thread_pool pool{3};
    std::vector<int> numbers(50);
    std::iota(numbers.begin(), numbers.end(), 0);
    const auto squares = pool.map(numbers, [](int n) { return std::to_string(n * n); });
    REQUIRE(squares.size() == 50);
    for (int i = 0; i < 50; ++i) CHECK(squares[i] == std::to_string(i * i));
    CHECK(pool.map(std::vector<int>{}, [](int n) { return n; }).empty());
    std::atomic<int> sum{0};
    pool.map(numbers, [&](int n) { sum += n; });
    CHECK(sum == 49 * 50 / 2);
    try {
        pool.map(numbers, [](int n) { return n % 10 == 7 ? throw n : n; });
        FAIL("nothing thrown");
    } catch (int first) {
        CHECK(first == 7);
    }
}

HUB_TEST("jobs begin in the order of spawn(), on no more threads than allowed") {
    weft::thread_pool one{1};
    std::vector<int> order;
    for (int i = 0; i < 20; ++i) (void)one.spawn([&, i] { order.push_back(i); });
    one.join();
    for (int i = 0; i < 20; ++i) CHECK(order[i] == i);
    CHECK(one.size() == 1);

    weft::thread_pool three{3};
    CHECK(three.size() == 0);
    std::atomic<int> now{0}, most{0};
    for (int i = 0; i < 60; ++i)
        (void)three.spawn([&] {
            const int n = ++now;
            int seen = most;
            while (n > seen && !most.compare_exchange_weak(seen, n)) {}
            std::this_thread::yield();
            --now;
        });
    three.join();
    CHECK(most <= 3);
    CHECK(three.size() <= 3);
    CHECK(three.max_size() == 3);
    CHECK(three.unfinished() == 0);
}

HUB_TEST("what a job holds is destroyed on its thread before its outcome is known") {
    weft::thread_pool pool{1};
    bool gone = false;
    auto held = std::make_unique<test::when_destroyed<std::function<void()>>>([&] { gone = true; });
    const auto done = pool.spawn([h = std::move(held)] { return 1; });
    CHECK(done.get() == 1);
    CHECK(gone);
}

HUB_TEST("size: no thread for none, the limit is raised at once and lowered job by job, nonsense is refused") {
    weft::thread_pool pool{1};
    gate g;
    weft::semaphore begun{0};
    for (int i = 0; i < 3; ++i)
        (void)pool.spawn([&] {
            begun.release();
            g.pass();
        });
    begun.acquire();
    CHECK(pool.size() == 1);
    CHECK(pool.unfinished() == 3);
    pool.set_max_size(3);
    begun.acquire();
    begun.acquire();
    CHECK(pool.size() == 3);
    pool.set_max_size(1);
    CHECK(pool.size() == 3);
    g.open();
    pool.join();
    until([&] { return pool.size() == 1; });
    CHECK(pool.apply([] { return 2; }) == 2);
    CHECK_THROWS_AS(pool.set_max_size(0), std::invalid_argument);
    CHECK_THROWS_AS(weft::thread_pool{0}, std::invalid_argument);
    CHECK_THROWS_AS((weft::thread_pool{1, -1s}), std::invalid_argument);
}

HUB_TEST("idle threads end after their time, and new ones come for new jobs") {
    weft::thread_pool pool{4, 1ms};
    for (int i = 0; i < 8; ++i) (void)pool.spawn([] {});
    pool.join();
    until([&] { return pool.size() == 0; });
    CHECK(pool.apply([] { return 3; }) == 3);
    weft::thread_pool patient{1, weft::clock::duration::max()};
    CHECK(patient.apply([] { return 4; }) == 4);
    CHECK(patient.size() == 1);
}

HUB_TEST("join() waits for all jobs, with a deadline no longer, and the pool serves on") {
    weft::thread_pool pool{2};
    pool.join();
    gate g;
    const auto held = pool.spawn([&] { g.pass(); });
    CHECK_FALSE(pool.join(weft::deadline::past()));
    CHECK_FALSE(pool.join(1ms));
    auto killed = weft::spawn([&] { pool.join(); });
    weft::yield();
    killed.kill();
    CHECK_THROWS_AS(killed.get(), weft::task_killed);
    auto joiner = weft::spawn([&] { return pool.join(10s); });
    weft::yield();
    g.open();
    CHECK(joiner.get());
    CHECK(held.ready());
    CHECK(pool.apply([] { return 1; }) == 1);
}

HUB_TEST("a job that joins its own pool is told") {
    weft::thread_pool pool{1};
    CHECK_THROWS_AS(pool.apply([&] { pool.join(); }), weft::lock_misuse);
}

HUB_TEST("wait_available() waits until a job would begin at once") {
    weft::thread_pool pool{2};
    pool.wait_available();
    gate first, second;
    (void)pool.spawn([&] { first.pass(); });
    CHECK(pool.wait_available(weft::deadline::past()));
    (void)pool.spawn([&] { second.pass(); });
    CHECK_FALSE(pool.wait_available(weft::deadline::past()));
    CHECK_FALSE(pool.wait_available(1ms));
    auto joiner = weft::spawn([&] { pool.join(); });
    auto spawner = weft::spawn([&] { return pool.wait_available(); });
    auto killed = weft::spawn([&] { return pool.wait_available(); });
    weft::yield();
    killed.kill();
    first.open();
    CHECK(spawner.get());
    CHECK_FALSE(joiner.ready());
    second.open();
    joiner.join();
}

HUB_TEST("jobs block every signal, and may sleep, spawn and wait by weft") {
    weft::thread_pool pool{1};
    CHECK(pool.apply([] {
        sigset_t set;
        pthread_sigmask(SIG_SETMASK, nullptr, &set);
        return sigismember(&set, SIGINT) == 1;
    }));
    weft::event here;
    const auto used = pool.spawn([&] {
        auto task = weft::spawn([] {
            weft::sleep_for(1ms);
            return 6;
        });
        here.wait();
        return task.get();
    });
    here.set();
    CHECK(used.get() == 6);
}

HUB_TEST("without any thread spawn() throws and nothing is taken; with one the job waits for that") {
    weft::thread_pool pool{2, weft::clock::duration::max()};
    bool gone = false;
    auto held = std::make_unique<test::when_destroyed<std::function<void()>>>([&] { gone = true; });
    {
        const test::no_threads refused;
        CHECK_THROWS_AS((void)pool.spawn([h = std::move(held)] {}), std::system_error);
        CHECK(gone);
        CHECK(pool.unfinished() == 0);
        CHECK(pool.size() == 0);
        pool.join();
    }
    gate g;
    weft::event begun;
    (void)pool.spawn([&] {
        begun.set();
        g.pass();
    });
    begun.wait();
    std::optional<weft::future<int>> second;
    {
        const test::no_threads refused;
        second = pool.spawn([] { return 2; });
        CHECK_NOTHROW(pool.set_max_size(3));
    }
    CHECK(pool.size() == 1);
    g.open();
    CHECK(second->get() == 2);
}

TEST_CASE("plain threads use a pool alike") {
    int sum = 0;
    std::thread{[&] {
        weft::thread_pool pool{2};
        for (const int n : pool.map(std::vector{1, 2, 3}, [](int n) { return n * n; })) sum += n;
        (void)pool.spawn([] {});
        pool.join();
    }}.join();
    CHECK(sum == 14);
}

TASK_TEST("a future of a job is waited for under a manual clock, too") {
    weft::thread_pool pool{1};
    CHECK(pool.spawn([] { return 9; }).get() == 9);
}

HUB_TEST("stress: tasks and threads spawn, wait and give up, and every job runs once") {
    constexpr int rounds = test::under_tsan || test::under_asan ? 40 : 200;
    std::atomic<int> ran{0}, wrong{0};
    int offered = 0;
    {
        weft::thread_pool pool{3, 1ms};
        std::atomic<int> taken{0};
        const auto work = [&](int from) {
            for (int i = 0; i < rounds; ++i) {
                const int want = from + i;
                const auto f = pool.spawn([&ran, want] {
                    ++ran;
                    return want;
                });
                ++taken;
                if (i % 3 == 0) wrong += f.get() != want;
                if (i % 5 == 0) (void)f.get(10us);
                if (i % 7 == 0) pool.set_max_size(1 + i % 4);
                if (i % 11 == 0) (void)pool.wait_available(20us);
                if (i % 13 == 0) (void)pool.join(20us);
            }
        };
        std::vector<std::thread> threads;
        for (int h = 0; h < 2; ++h)
            threads.emplace_back([&, h] {
                auto task = weft::spawn([&, h] { work(h * 10'000); });
                work(h * 20'000);
                task.join();
            });
        work(50'000);
        for (auto& t : threads) t.join();
        offered = taken;
    }
    CHECK(ran == offered);
    CHECK(offered == 5 * rounds);
    CHECK(wrong == 0);
}
