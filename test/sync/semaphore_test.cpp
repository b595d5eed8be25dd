// What weft/semaphore.hpp promises.
#include <atomic>
#include <chrono>
#include <cmath>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/semaphore.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;

TASK_TEST("free permits are taken without waiting") {
    weft::semaphore gate{2};
    gate.acquire();
    CHECK(gate.try_acquire());
    CHECK_FALSE(gate.try_acquire());
    CHECK(gate.available() == 0);
    gate.release(3);
    CHECK(gate.available() == 3);
}

TASK_TEST("a waiter that times out takes no permit") {
    weft::semaphore gate{0};
    auto late = weft::spawn([&] { return gate.try_acquire_until(weft::deadline::after(5s)); });
    test::settle();

    test::clock.advance(5s);
    CHECK_FALSE(late.get());

    gate.release();
    CHECK(gate.available() == 1);
}

TASK_TEST("killing a waiter hands its turn to the next one") {
    weft::semaphore gate{0};
    auto doomed = weft::spawn([&] { gate.acquire(); });
    auto next = weft::spawn([&] { gate.acquire(); });
    test::settle();

    gate.release();  // the permit is on its way to doomed, which has not run yet
    doomed.kill();

    next.join();  // would never return if the permit had died with doomed
    CHECK(gate.available() == 0);
}

TASK_TEST("a killed waiter that was not chosen takes nothing") {
    weft::semaphore gate{0};
    auto doomed = weft::spawn([&] { gate.acquire(); });
    test::settle();
    doomed.kill();
    gate.release();
    CHECK(gate.available() == 1);
}

TASK_TEST("permits go first come, first served, and nobody overtakes a waiter") {
    weft::semaphore gate{0};
    std::string order;
    std::vector<weft::task<void>> waiters;
    for (const char name : {'a', 'b', 'c'})
        waiters.push_back(weft::spawn([&, name] {
            gate.acquire();
            order += name;
        }));
    test::settle();
    gate.release();
    CHECK_FALSE(gate.try_acquire());
    gate.release(2);
    weft::joinall(waiters);
    CHECK(order == "abc");
}

TASK_TEST("release() wakes but does not switch") {
    weft::semaphore gate{0};
    bool ran = false;
    auto waiter = weft::spawn([&] {
        gate.acquire();
        ran = true;
    });
    test::settle();
    gate.release();
    CHECK_FALSE(ran);
    waiter.join();
    CHECK(ran);
}

TASK_TEST("a deadline already past never parks") {
    weft::semaphore gate{0};
    bool other_ran = false;
    auto other = weft::spawn([&] { other_ran = true; });
    CHECK_FALSE(gate.try_acquire_until(weft::deadline::past()));
    CHECK_FALSE(other_ran);
    other.join();
}

TASK_TEST("absurd timeouts: the longest means never, a negative one and no number are refused") {
    weft::semaphore gate{0};
    auto patient = weft::spawn([&] { return gate.try_acquire_until(std::chrono::hours::max()); });
    test::settle();
    test::clock.advance(24h * 365 * 100);
    test::settle();
    CHECK_FALSE(patient.ready());
    gate.release();
    CHECK(patient.get());
    CHECK_THROWS_AS((void)gate.try_acquire_until(-1s), std::invalid_argument);
    CHECK_THROWS_AS((void)gate.try_acquire_until(std::chrono::duration<double>{std::nan("")}), std::invalid_argument);
    CHECK(gate.available() == 0);
}

TASK_TEST("randomly timed-out, killed and served waiters leave the count right") {
    std::mt19937 random{7};
    weft::semaphore gate{0};
    std::vector<weft::task<bool>> waiters;
    int released = 0;
    for (int step = 0; step < 2000; ++step) {
        switch (random() % 4) {
            case 0:
                waiters.push_back(weft::spawn([&gate, span = std::chrono::seconds{random() % 5}] {
                    return gate.try_acquire_until(span);
                }));
                break;
            case 1: gate.release(), ++released; break;
            case 2: test::clock.advance(1s); break;
            case 3:
                if (!waiters.empty()) (void)waiters[random() % waiters.size()].kill(weft::deadline::past());
                break;
        }
        if (random() % 3 == 0) test::settle();
    }
    test::clock.advance(1h);
    int taken = 0;
    for (auto& w : waiters) {
        w.join();
        taken += w.successful() && w.get();
    }
    CHECK(released - taken == static_cast<int>(gate.available()));
}

HUB_TEST("stress: threads and tasks of several hubs keep the number of holders within the permits") {
    constexpr int permits = 3, hubs = 3, tasks = 4, rounds = 150;
    weft::semaphore gate{permits};
    std::atomic<int> holders{0}, most{0}, done{0};
    const auto work = [&] {
        for (int i = 0; i < rounds; ++i) {
            if (i % 5 == 4) {
                if (!gate.try_acquire_until(50us)) continue;
            } else {
                gate.acquire();
            }
            const int now = ++holders;
            int seen = most;
            while (now > seen && !most.compare_exchange_weak(seen, now)) {}
            if (i % 3 == 0) weft::yield();
            --holders;
            gate.release();
        }
        ++done;
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
    CHECK(done == hubs * (tasks + 1));
    CHECK(most <= permits);
    CHECK(gate.available() == permits);
}
