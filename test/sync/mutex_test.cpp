// What weft/mutex.hpp promises.
#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <weft/error.hpp>
#include <weft/mutex.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;

TASK_TEST("a mutex may be held across a wait, and keeps others out meanwhile") {
    weft::mutex lock;
    std::string order;
    const auto worker = [&](char name) {
        const std::lock_guard guard{lock};
        order += name;
        weft::sleep_for(1s);
        order += name;
    };
    auto a = weft::spawn(worker, 'a');
    auto b = weft::spawn(worker, 'b');
    test::settle();
    test::clock.advance(1s);
    test::settle();
    test::clock.advance(1s);
    a.get();
    b.get();
    CHECK(order == "aabb");
    CHECK_FALSE(lock.locked());
}

TASK_TEST("unlock() hands the lock to whoever has waited longest") {
    weft::mutex lock;
    std::string order;
    lock.lock();
    std::vector<weft::task<void>> waiters;
    for (const char name : {'a', 'b', 'c'})
        waiters.push_back(weft::spawn([&, name] {
            lock.lock();
            order += name;
            lock.unlock();
        }));
    test::settle();
    lock.unlock();
    CHECK(lock.locked());  // it is a's already: nobody overtakes
    CHECK_FALSE(lock.try_lock());
    weft::joinall(waiters);
    CHECK(order == "abc");
}

TASK_TEST("locking twice is refused, and the lock stays as it is") {
    weft::mutex lock;
    lock.lock();
    CHECK_THROWS_AS(lock.lock(), weft::lock_misuse);
    CHECK_THROWS_AS((void)lock.try_lock_for(1s), weft::lock_misuse);
    CHECK_FALSE(lock.try_lock());
    CHECK(lock.locked());
    lock.unlock();
}

TASK_TEST("unlock() by somebody who does not hold it is refused") {
    weft::mutex lock;
    CHECK_THROWS_AS(lock.unlock(), weft::lock_misuse);
    lock.lock();
    weft::spawn([&] { CHECK_THROWS_AS(lock.unlock(), weft::lock_misuse); }).get();
    CHECK(lock.locked());
    lock.unlock();
}

TASK_TEST("a wait that times out does not hold the lock") {
    weft::mutex lock;
    lock.lock();
    auto late = weft::spawn([&] { return lock.try_lock_for(2s); });
    auto until = weft::spawn([&] { return lock.try_lock_until(weft::now() + 2s); });
    test::settle();
    test::clock.advance(2s);
    CHECK_FALSE(late.get());
    CHECK_FALSE(until.get());
    lock.unlock();
    CHECK_FALSE(lock.locked());
    CHECK(lock.try_lock_for(-1s));
    lock.unlock();
}

TASK_TEST("a killed waiter does not hold the lock") {
    weft::mutex lock;
    lock.lock();
    auto doomed = weft::spawn([&] { lock.lock(); });
    test::settle();
    doomed.kill();
    lock.unlock();
    CHECK_FALSE(lock.locked());
}

TASK_TEST("a waiter killed with the lock on its way to it hands it to the next") {
    weft::mutex lock;
    lock.lock();
    auto doomed = weft::spawn([&] { lock.lock(); });
    bool got_it = false;
    auto next = weft::spawn([&] {
        const std::lock_guard guard{lock};
        got_it = true;
    });
    test::settle();
    lock.unlock();
    doomed.kill();
    next.get();
    CHECK(got_it);
    CHECK_FALSE(lock.locked());
}

TASK_TEST("the standard's lock types work on it") {
    weft::mutex a, b;
    {
        const std::scoped_lock both{a, b};
        CHECK(a.locked());
        CHECK(b.locked());
    }
    std::unique_lock timed{a, 1s};
    CHECK(timed.owns_lock());
    timed.unlock();
    CHECK_FALSE(a.locked());
}

TASK_TEST("a task that ends by an exception gives the lock back") {
    weft::mutex lock;
    auto task = weft::spawn([&] {
        const std::lock_guard guard{lock};
        weft::yield();
        throw 1;
    });
    task.join();
    CHECK_THROWS_AS(task.get(), int);
    CHECK_FALSE(lock.locked());
}

HUB_TEST("stress: threads and tasks of several hubs count under one mutex and miss none") {
    constexpr int hubs = 3, tasks = 3, rounds = 300;
    weft::mutex lock;
    long count = 0;
    long expected = 0;
    std::atomic<long> entered{0};
    const auto work = [&] {
        for (int i = 0; i < rounds; ++i) {
            if (i % 4 == 3 ? !lock.try_lock_for(100us) : (lock.lock(), false)) continue;
            const long seen = count;
            if (i % 7 == 0) weft::yield();
            count = seen + 1;
            ++entered;
            lock.unlock();
        }
    };
    std::vector<std::thread> threads;
    for (int h = 0; h < hubs; ++h)
        threads.emplace_back([&] {
            std::vector<weft::task<void>> mine;
            for (int t = 0; t < tasks; ++t) mine.push_back(weft::spawn(work));
            work();
            weft::joinall(mine);
        });
    for (auto& t : threads) t.join();
    expected = entered;
    CHECK(count == expected);
    CHECK(count >= hubs * (tasks + 1) * rounds / 2);
    CHECK_FALSE(lock.locked());
}

HUB_TEST("stress: waiters killed from another thread neither lose nor keep the lock") {
    weft::mutex lock;
    std::atomic<int> held{0};
    for (int round = 0; round < 100; ++round) {
        lock.lock();
        std::vector<weft::task<void>> waiters;
        for (int i = 0; i < 4; ++i)
            waiters.push_back(weft::spawn([&] {
                const std::lock_guard guard{lock};
                ++held;
            }));
        weft::yield();
        std::thread killer{[&] {
            for (int i = 0; i < 4; i += 2) (void)waiters[static_cast<std::size_t>(i)].kill();
        }};
        lock.unlock();
        weft::joinall(waiters);
        killer.join();
        REQUIRE_FALSE(lock.locked());
    }
    CHECK(held >= 200);
}
