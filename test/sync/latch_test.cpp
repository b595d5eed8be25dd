// What weft/latch.hpp promises.
#include <atomic>
#include <chrono>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/error.hpp>
#include <weft/latch.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;

TASK_TEST("a latch lets its waiters go when the count is 0, in the order in which they came, and stays open") {
    weft::latch gate{3};
    std::string order;
    std::vector<weft::task<void>> waiters;
    for (const char name : {'a', 'b', 'c'})
        waiters.push_back(weft::spawn([&, name] {
            gate.wait();
            order += name;
        }));
    test::settle();
    gate.count_down();
    gate.count_down();
    test::settle();
    CHECK(order == "");
    CHECK_FALSE(gate.try_wait());
    gate.count_down();
    CHECK(order == "");  // count_down() does not switch
    CHECK(gate.try_wait());
    weft::joinall(waiters);
    CHECK(order == "abc");
    gate.wait();
    CHECK(gate.wait(weft::deadline::past()));
}

TASK_TEST("a latch of 0 is open") {
    weft::latch gate{0};
    gate.wait();
    gate.count_down(0);
    CHECK(gate.try_wait());
}

TASK_TEST("counting down below 0 or by a negative number is refused and changes nothing") {
    weft::latch gate{2};
    CHECK_THROWS_AS(gate.count_down(3), weft::lock_misuse);
    CHECK_THROWS_AS(gate.count_down(-1), weft::lock_misuse);
    CHECK_THROWS_AS(gate.arrive_and_wait(3), weft::lock_misuse);
    CHECK_FALSE(gate.try_wait());
    gate.count_down(2);
    CHECK(gate.try_wait());
    CHECK_THROWS_AS(gate.count_down(), weft::lock_misuse);
    CHECK_THROWS_AS(weft::latch{-1}, std::invalid_argument);
}

TASK_TEST("a wait for a latch with a deadline returns false when that has passed, and one already past never parks") {
    weft::latch gate{1};
    bool other_ran = false;
    auto other = weft::spawn([&] { other_ran = true; });
    CHECK_FALSE(gate.wait(weft::deadline::past()));
    CHECK_FALSE(other_ran);
    auto late = weft::spawn([&] { return gate.wait(5s); });
    auto in_time = weft::spawn([&] { return gate.wait(6s); });
    test::settle();
    test::clock.advance(5s);
    CHECK_FALSE(late.get());
    gate.count_down();
    CHECK(in_time.get());
    other.join();
}

TASK_TEST("whoever is killed or times out in arrive_and_wait() has arrived all the same") {
    weft::latch gate{3};
    auto doomed = weft::spawn([&] { gate.arrive_and_wait(); });
    auto late = weft::spawn([&] { return gate.arrive_and_wait(1, 1s); });
    test::settle();
    doomed.kill();
    test::clock.advance(1s);
    CHECK_FALSE(late.get());
    gate.count_down();
    CHECK(gate.try_wait());
}

TASK_TEST("a kill of a waiter of a latch disturbs nobody") {
    weft::latch gate{1};
    bool through = false;
    auto doomed = weft::spawn([&] {
        gate.wait();
        through = true;
    });
    auto other = weft::spawn([&] { gate.wait(); });
    test::settle();
    gate.count_down();
    doomed.kill();  // let go, but it has not run yet
    other.get();
    CHECK_FALSE(through);
    CHECK_THROWS_AS(doomed.get(), weft::task_killed);
}

TASK_TEST("random arrivals, kills and deadlines: nobody passes too early, and everybody in the end") {
    for (const unsigned seed : {1u, 2u, 3u}) {
        CAPTURE(seed);
        std::mt19937 random{seed};
        constexpr int count = 200;
        weft::latch gate{count};
        int left = count, too_early = 0;
        std::vector<weft::task<bool>> waiters;
        while (left > 0) {
            switch (random() % 4) {
                case 0:
                    waiters.push_back(weft::spawn([&, span = std::chrono::seconds{random() % 5}] {
                        const bool open = gate.wait(span);
                        too_early += open != (left == 0);
                        return open;
                    }));
                    break;
                case 1: {
                    const int n = std::min<int>(left, static_cast<int>(random() % 4));
                    left -= n;
                    gate.count_down(n);
                    break;
                }
                case 2: test::clock.advance(1s); break;
                case 3:
                    if (!waiters.empty()) (void)waiters[random() % waiters.size()].kill(weft::deadline::past());
                    break;
            }
            if (left > 0 && random() % 3 == 0) test::settle();
            // A deadline that has passed is reported although the latch opens before its waiter runs.
            if (left > 0 && left < 4) test::settle();
        }
        weft::joinall(waiters);
        CHECK(too_early == 0);
    }
}

HUB_TEST("stress: what many threads and tasks write before they count down, all who pass see") {
    constexpr int hubs = 3, tasks = 4;
    constexpr int rounds = test::under_tsan || test::under_asan ? 40 : 150;
    std::atomic<int> wrong{0};
    for (int round = 0; round < rounds; ++round) {
        weft::latch gate{hubs * tasks};
        int written[hubs * tasks] = {};
        std::vector<std::thread> threads;
        for (int h = 0; h < hubs; ++h)
            threads.emplace_back([&, h] {
                std::vector<weft::task<void>> mine;
                for (int t = 0; t < tasks; ++t)
                    mine.push_back(weft::spawn([&, n = h * tasks + t] {
                        written[n] = round + 1;
                        gate.arrive_and_wait();
                        for (const int w : written) wrong += w != round + 1;
                    }));
                weft::joinall(mine);
            });
        for (auto& t : threads) t.join();
    }
    CHECK(wrong == 0);
}

static constinit weft::latch constant{1};

TASK_TEST("a latch is there before any code runs") {
    constant.arrive_and_wait();
    CHECK(constant.try_wait());
}
