// What weft/recursive_mutex.hpp promises.
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <weft/error.hpp>
#include <weft/recursive_mutex.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;

TASK_TEST("its holder locks it again, and it is free after as many unlock()s") {
    weft::recursive_mutex lock;
    CHECK(lock.depth() == 0);
    lock.lock();
    lock.lock();
    CHECK(lock.try_lock());
    CHECK(lock.try_lock_for(1s));
    CHECK(lock.try_lock_until(weft::deadline::past()));
    CHECK(lock.depth() == 5);
    for (int i = 0; i < 4; ++i) lock.unlock();
    CHECK(lock.locked());
    lock.unlock();
    CHECK_FALSE(lock.locked());
    CHECK(lock.depth() == 0);
}

TASK_TEST("it belongs to the task: another one of the same thread is kept out while the holder is parked") {
    weft::recursive_mutex lock;
    std::string order;
    auto holder = weft::spawn([&] {
        const std::lock_guard outer{lock};
        const std::lock_guard inner{lock};
        order += 'a';
        weft::sleep_for(1s);
        order += 'a';
    });
    auto other = weft::spawn([&] {
        CHECK_FALSE(lock.try_lock());
        CHECK(lock.depth() == 0);
        const std::lock_guard guard{lock};
        order += 'b';
    });
    test::settle();
    test::clock.advance(1s);
    holder.get();
    other.get();
    CHECK(order == "aab");
}

TASK_TEST("unlock() by somebody who does not hold it is refused, and one too many, too") {
    weft::recursive_mutex lock;
    CHECK_THROWS_AS(lock.unlock(), weft::lock_misuse);
    lock.lock();
    weft::spawn([&] { CHECK_THROWS_AS(lock.unlock(), weft::lock_misuse); }).get();
    CHECK(lock.depth() == 1);
    lock.unlock();
    CHECK_THROWS_AS(lock.unlock(), weft::lock_misuse);
    CHECK_FALSE(lock.locked());
}

TASK_TEST("a recursive mutex: a wait that times out or is killed has locked nothing, and the next one gets its turn") {
    weft::recursive_mutex lock;
    lock.lock();
    lock.lock();
    auto late = weft::spawn([&] { return lock.try_lock_for(2s); });
    auto doomed = weft::spawn([&] { lock.lock(); });
    int depth = 0;
    auto next = weft::spawn([&] {
        const std::lock_guard guard{lock};
        depth = static_cast<int>(lock.depth());
    });
    test::settle();
    test::clock.advance(2s);
    CHECK_FALSE(late.get());
    lock.unlock();
    test::settle();
    CHECK(depth == 0);
    lock.unlock();  // on its way to doomed
    doomed.kill();
    next.get();
    CHECK(depth == 1);
    CHECK_FALSE(lock.locked());
}

TASK_TEST("who holds it locks it again without meeting a pending kill") {
    weft::recursive_mutex lock;
    bool twice = false;
    auto task = weft::spawn([&] {
        const std::lock_guard outer{lock};
        try {
            weft::sleep_for(1h);
        } catch (const weft::fiber_exit&) {
            const std::lock_guard inner{lock};
            twice = lock.depth() == 2;
            throw;
        }
    });
    test::settle();
    task.kill();
    CHECK(twice);
    CHECK_FALSE(lock.locked());
}

HUB_TEST("stress: threads and tasks count under a recursive mutex, nested by chance, and miss none") {
    constexpr int hubs = 3, tasks = 3, rounds = 200;
    weft::recursive_mutex lock;
    long count = 0;
    const auto work = [&] {
        for (int i = 0; i < rounds; ++i) {
            const std::lock_guard outer{lock};
            const long seen = count;
            if (i % 7 == 0) weft::yield();
            if (i % 3 == 0) {
                const std::lock_guard inner{lock};
                count = seen + 1;
            } else {
                count = seen + 1;
            }
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
    CHECK(count == hubs * (tasks + 1) * rounds);
    CHECK_FALSE(lock.locked());
}
