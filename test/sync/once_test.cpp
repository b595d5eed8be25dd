// What weft/once.hpp promises.
#include <atomic>
#include <chrono>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/error.hpp>
#include <weft/once.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;

TASK_TEST("of all calls one runs its function, with its arguments, and the others wait for its end") {
    weft::once flag;
    std::string log;
    std::vector<weft::task<void>> callers;
    for (const char name : {'a', 'b', 'c'})
        callers.push_back(weft::spawn([&, name] {
            flag.call([&log](char n) {
                log += n;
                weft::sleep_for(1s);
                log += '!';
            }, name);
            log += name;
        }));
    test::settle();
    CHECK(log == "a");
    CHECK_FALSE(flag.done());
    test::clock.advance(1s);
    weft::joinall(callers);
    CHECK(log == "a!abc");
    CHECK(flag.done());
    flag.call([&] { log += "again"; });
    CHECK(log == "a!abc");
}

TASK_TEST("a function that throws has not run: its caller gets the exception, and the longest waiter runs its own") {
    weft::once flag;
    std::string log;
    auto first = weft::spawn([&] {
        flag.call([] {
            weft::sleep_for(1s);
            throw std::runtime_error("no");
        });
    });
    std::vector<weft::task<void>> others;
    for (const char name : {'b', 'c'})
        others.push_back(weft::spawn([&, name] { flag.call([&log, name] { log += name; }); }));
    test::settle();
    test::clock.advance(1s);
    CHECK_THROWS_AS(first.get(), std::runtime_error);
    weft::joinall(others);
    CHECK(log == "b");
}

TASK_TEST("after an exception with nobody waiting the next call runs its function") {
    weft::once flag;
    CHECK_THROWS_AS(flag.call([] { throw std::runtime_error("no"); }), std::runtime_error);
    CHECK_FALSE(flag.done());
    int ran = 0;
    flag.call([&] { ++ran; });
    flag.call([&] { ++ran; });
    CHECK(ran == 1);
}

TASK_TEST("a function that is killed has not run, and the next caller's runs") {
    weft::once flag;
    auto doomed = weft::spawn([&] { flag.call([] { weft::sleep_for(1h); }); });
    int ran = 0;
    auto next = weft::spawn([&] { flag.call([&] { ++ran; }); });
    test::settle();
    doomed.kill();
    next.get();
    CHECK(ran == 1);
    CHECK(flag.done());
}

TASK_TEST("a waiter that is killed as its turn comes hands the turn on") {
    weft::once flag;
    std::string log;
    weft::task<void> doomed, next;
    CHECK_THROWS_AS(flag.call([&] {
        doomed = weft::spawn([&] { flag.call([&] { log += "doomed"; }); });
        next = weft::spawn([&] { flag.call([&] { log += "next"; }); });
        test::settle();
        throw std::runtime_error("no");
    }), std::runtime_error);
    doomed.kill();  // the turn is on its way to it
    next.get();
    CHECK(log == "next");
}

TASK_TEST("a function that calls its own once is told so, and goes on") {
    weft::once flag;
    bool told = false;
    flag.call([&] {
        try {
            flag.call([] {});
        } catch (const weft::lock_misuse&) {
            told = true;
        }
    });
    CHECK(told);
    CHECK(flag.done());
}

TASK_TEST("random kills and failures: exactly one function has returned in the end") {
    for (const unsigned seed : {1u, 2u, 3u, 4u, 5u}) {
        CAPTURE(seed);
        std::mt19937 random{seed};
        weft::once flag;
        int running = 0, overlaps = 0, returned = 0;
        std::vector<weft::task<void>> callers;
        for (int step = 0; step < 300; ++step) {
            callers.push_back(weft::spawn([&, fails = random() % 20 != 0, span = std::chrono::seconds{random() % 3}] {
                try {
                    flag.call([&] {
                        overlaps += running++ != 0;
                        struct leave {
                            int& running;
                            ~leave() { --running; }
                        } at_end{running};
                        weft::sleep_for(span);
                        if (fails) throw std::runtime_error("no");
                        ++returned;
                    });
                } catch (const std::runtime_error&) {
                }
            }));
            if (random() % 2 == 0) test::clock.advance(1s);
            if (random() % 2 == 0) test::settle();
            (void)callers[random() % callers.size()].kill(weft::deadline::past());
        }
        for (int i = 0; i < 1000; ++i) {
            test::clock.advance(1s);
            test::settle();
        }
        weft::joinall(callers);
        flag.call([&] { ++returned; });
        CHECK(overlaps == 0);
        CHECK(returned == 1);
    }
}

HUB_TEST("stress: many threads and tasks call one once, and all see what it wrote") {
    constexpr int hubs = 3, tasks = 4;
    constexpr int rounds = test::under_tsan || test::under_asan ? 40 : 150;
    std::atomic<int> wrong{0};
    for (int round = 0; round < rounds; ++round) {
        weft::once flag;
        int written = 0;
        std::atomic<int> tries{0};
        std::vector<std::thread> threads;
        for (int h = 0; h < hubs; ++h)
            threads.emplace_back([&] {
                std::vector<weft::task<void>> mine;
                for (int t = 0; t < tasks; ++t)
                    mine.push_back(weft::spawn([&] {
                        try {
                            flag.call([&] {
                                weft::yield();
                                if (tries++ == 0) throw std::runtime_error("no");
                                ++written;
                            });
                            wrong += written != 1;
                        } catch (const std::runtime_error&) {
                        }
                    }));
                weft::joinall(mine);
            });
        for (auto& t : threads) t.join();
        wrong += written != 1 || tries != 2;
    }
    CHECK(wrong == 0);
}

static constinit weft::once constant;

TASK_TEST("a once is there before any code runs") {
    constant.call([] {});
    CHECK(constant.done());
}
