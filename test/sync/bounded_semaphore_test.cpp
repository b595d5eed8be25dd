// What weft/bounded_semaphore.hpp promises.
#include <atomic>
#include <chrono>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/bounded_semaphore.hpp>
#include <weft/error.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;

TASK_TEST("a permit too many is refused and changes nothing") {
    weft::bounded_semaphore gate{2};
    CHECK(gate.bound() == 2);
    CHECK_THROWS_AS(gate.release(), weft::lock_misuse);
    CHECK(gate.available() == 2);
    gate.acquire();
    CHECK_THROWS_AS(gate.release(2), std::logic_error);
    CHECK(gate.available() == 1);
    gate.release();
    CHECK(gate.available() == 2);
}

TASK_TEST("several permits are given back at once, and giving back none is nothing") {
    weft::bounded_semaphore gate{3};
    gate.release(0);
    for (int i = 0; i < 3; ++i) CHECK(gate.try_acquire());
    CHECK_FALSE(gate.try_acquire());
    gate.release(3);
    CHECK(gate.available() == 3);
}

TASK_TEST("a permit on its way to a waiter is nobody's to give back") {
    weft::bounded_semaphore gate{1};
    gate.acquire();
    auto next = weft::spawn([&] { gate.acquire(); });
    test::settle();
    gate.release();  // next has not run yet
    CHECK_THROWS_AS(gate.release(), weft::lock_misuse);
    next.join();
    gate.release();  // what another task took
    CHECK(gate.available() == 1);
}

TASK_TEST("permits go first come, first served, and nobody overtakes a waiter") {
    weft::bounded_semaphore gate{1};
    gate.acquire();
    std::string order;
    std::vector<weft::task<void>> waiters;
    for (const char name : {'a', 'b', 'c'})
        waiters.push_back(weft::spawn([&, name] {
            gate.acquire();
            order += name;
            gate.release();
        }));
    test::settle();
    gate.release();
    CHECK_FALSE(gate.try_acquire());
    weft::joinall(waiters);
    CHECK(order == "abc");
    CHECK(gate.available() == 1);
}

TASK_TEST("a bounded waiter that times out or is killed takes no permit, and hands its turn on") {
    weft::bounded_semaphore gate{1};
    gate.acquire();
    auto late = weft::spawn([&] { return gate.try_acquire_until(5s); });
    auto doomed = weft::spawn([&] { gate.acquire(); });
    auto next = weft::spawn([&] { gate.acquire(); });
    test::settle();
    test::clock.advance(5s);
    CHECK_FALSE(late.get());
    gate.release();
    doomed.kill();
    next.join();
    CHECK(gate.available() == 0);
    gate.release();
    CHECK_THROWS_AS(gate.release(), weft::lock_misuse);
}

TASK_TEST("randomly timed-out, killed and served users never meet the bound") {
    for (const unsigned seed : {1u, 2u, 3u}) {
        CAPTURE(seed);
        std::mt19937 random{seed};
        weft::bounded_semaphore gate{3};
        std::vector<weft::task<bool>> users;
        int refused = 0;
        for (int step = 0; step < 1000; ++step) {
            switch (random() % 4) {
                case 0:
                case 1:
                    users.push_back(weft::spawn([&, wait = std::chrono::seconds{random() % 5},
                                                 hold = std::chrono::seconds{random() % 3}] {
                        if (!gate.try_acquire_until(wait)) return false;
                        struct giver {
                            weft::bounded_semaphore& of;
                            int& refused;
                            ~giver() {
                                try {
                                    of.release();
                                } catch (const weft::lock_misuse&) {
                                    ++refused;
                                }
                            }
                        } at_end{gate, refused};
                        weft::sleep_for(hold);
                        return true;
                    }));
                    break;
                case 2: test::clock.advance(1s); break;
                case 3:
                    if (!users.empty()) (void)users[random() % users.size()].kill(weft::deadline::past());
                    break;
            }
            if (random() % 3 == 0) test::settle();
        }
        // At most so many hold one after the other, for two seconds each.
        for (int i = 0; i < 2000; ++i) {
            test::settle();
            test::clock.advance(1s);
        }
        weft::joinall(users);
        CHECK(refused == 0);
        CHECK(gate.available() == gate.bound());
        CHECK_THROWS_AS(gate.release(), weft::lock_misuse);
    }
}

HUB_TEST("stress: users on several threads give back exactly what they took") {
    constexpr int hubs = 3, tasks = 4;
    constexpr int rounds = test::under_tsan || test::under_asan ? 60 : 200;
    weft::bounded_semaphore gate{2};
    std::atomic<int> holders{0}, most{0}, refused{0};
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
            try {
                gate.release();
            } catch (const weft::lock_misuse&) {
                ++refused;
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
    CHECK(refused == 0);
    CHECK(most <= 2);
    CHECK(gate.available() == 2);
}

static constinit weft::bounded_semaphore constant{1};

TASK_TEST("a bounded semaphore is there before any code runs") {
    constant.acquire();
    constant.release();
    CHECK(constant.available() == 1);
}
