// What weft/timer.hpp promises.
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/error.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>
#include <weft/timer.hpp>

#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;

namespace {

void pass(weft::clock::duration span) {
    test::clock.advance(span);
    test::settle();
}

std::string reported;

struct catch_reports {
    static void keep(std::uint64_t, const std::string& name, const std::exception_ptr& e) {
        try {
            std::rethrow_exception(e);
        } catch (const std::exception& error) {
            reported += name + ": " + error.what() + ";";
        }
    }
    weft::unhandled_hook before = weft::on_unhandled(&keep);
    ~catch_reports() { weft::on_unhandled(before); }
};

}  // namespace

TASK_TEST("a timer that runs once is called at its time, never before, and once") {
    int calls = 0;
    weft::timer timer{[&] { ++calls; }};
    CHECK_FALSE(timer.active());
    timer.start(10ms);
    test::settle();
    pass(10ms - 1ns);
    CHECK(calls == 0);
    CHECK(timer.active());
    pass(1ns);
    CHECK(calls == 1);
    CHECK_FALSE(timer.active());
    pass(1h);
    CHECK(calls == 1);
    CHECK(timer.calls() == 1);
}

TASK_TEST("a cancelled timer is not called, and can be started again") {
    int calls = 0;
    weft::timer timer{[&] { ++calls; }};
    timer.cancel();
    timer.start(1s);
    test::settle();
    timer.cancel();
    CHECK_FALSE(timer.active());
    pass(1h);
    CHECK(calls == 0);
    timer.again();
    pass(1s);
    CHECK(calls == 1);
}

TASK_TEST("a cancel that comes when the time has passed, but before the call, still keeps it from being called") {
    int calls = 0;
    weft::timer timer{[&] { ++calls; }};
    timer.start(1s);
    test::settle();
    test::clock.advance(1s);
    timer.cancel();
    test::settle();
    CHECK(calls == 0);
}

TASK_TEST("a periodic timer is called at start + n * period however late or long its calls are") {
    std::vector<weft::clock::duration> at;
    const auto start = weft::now();
    weft::timer timer{[&] {
        at.push_back(weft::now() - start);
        weft::sleep_for(300ms);
    }};
    timer.start_every(1s);
    test::settle();
    for (int i = 0; i < 80; ++i) pass(50ms);
    CHECK(at == std::vector<weft::clock::duration>{1s, 2s, 3s, 4s});
    CHECK(timer.missed() == 0);
    timer.cancel();
    pass(1s);
}

TASK_TEST("a periodic timer never overlaps itself: what passes meanwhile is skipped and counted") {
    std::vector<weft::clock::duration> at;
    int inside = 0, overlaps = 0;
    const auto start = weft::now();
    weft::timer timer{[&] {
        overlaps += inside++ != 0;
        at.push_back(weft::now() - start);
        if (at.size() == 1) weft::sleep_for(2500ms);  // from 1 s to 3.5 s: misses 2 and 3
        if (at.size() == 2) weft::sleep_for(2s);      // from 4 s to 6 s: misses 5; 6 is due just then
        --inside;
    }};
    timer.start_every(1s);
    test::settle();
    for (int i = 0; i < 70; ++i) pass(100ms);
    CHECK(at == std::vector<weft::clock::duration>{1s, 4s, 6s, 7s});
    CHECK(timer.missed() == 3);
    CHECK(overlaps == 0);
    timer.cancel();
    test::settle();
}

TASK_TEST("a call that waits delays no other timer") {
    int others = 0;
    weft::timer slow{[] { weft::sleep_for(1h); }};
    weft::timer other{[&] { ++others; }};
    slow.start(1s);
    other.start_every(1s);
    test::settle();
    for (int i = 0; i < 5; ++i) pass(1s);
    CHECK(others == 5);
    other.cancel();
    pass(1h);
}

TASK_TEST("timers that are due at the same time are called in the order in which they were started") {
    std::string order;
    weft::timer a{[&] { order += 'a'; }}, b{[&] { order += 'b'; }}, c{[&] { order += 'c'; }};
    for (weft::timer* t : {&c, &a, &b}) t->start(1s);
    test::settle();
    pass(1s);
    CHECK(order == "cab");
}

TASK_TEST("cancel(), again() and start() work in the timer's own function") {
    int calls = 0;
    std::optional<weft::timer> timer;
    timer.emplace([&] {
        if (++calls == 3) timer->cancel();
    });
    timer->start_every(1s);
    test::settle();
    for (int i = 0; i < 10; ++i) pass(1s);
    CHECK(calls == 3);

    int more = 0;
    std::optional<weft::timer> restarted;
    restarted.emplace([&] {
        CHECK(restarted->active() == (more >= 3));
        if (++more < 3) restarted->again();
        else if (more == 3) restarted->start_every(2s);
    });
    restarted->start(1s);
    test::settle();
    for (int i = 0; i < 7; ++i) pass(1s);
    CHECK(more == 5);  // at 1, 2, 3 s, then each 2 s: 5, 7
    restarted->cancel();
    test::settle();
}

TASK_TEST("starting an active timer replaces what it waits for") {
    int calls = 0;
    weft::timer timer{[&] { ++calls; }};
    timer.start(1s);
    test::settle();
    pass(900ms);
    timer.again();
    pass(900ms);
    CHECK(calls == 0);
    timer.start(1h);
    pass(1s);
    CHECK(calls == 0);
    timer.start(0s);
    test::settle();
    CHECK(calls == 1);
}

TASK_TEST("what the function throws is reported with the timer's name, and a periodic timer goes on") {
    reported.clear();
    const catch_reports hook;
    weft::timer timer{[] { throw std::runtime_error("no"); }, "ticker"};
    timer.start_every(1s);
    test::settle();
    pass(1s);
    pass(1s);
    CHECK(reported == "ticker: no;ticker: no;");
    CHECK(timer.active());
    timer.cancel();
    test::settle();
}

TASK_TEST("destroying a timer cancels it, in its own function, too, whose call goes on") {
    int calls = 0;
    auto timer = std::make_unique<weft::timer>([&] { ++calls; });
    timer->start(1s);
    test::settle();
    timer.reset();
    pass(1h);
    CHECK(calls == 0);

    std::string log;
    timer = std::make_unique<weft::timer>([&, text = std::string(100, 'x')] {
        timer.reset();
        weft::sleep_for(1s);
        log += text.substr(99);
    });
    timer->start_every(1s);
    test::settle();
    pass(1s);
    pass(1s);
    CHECK(log == "x");
}

TASK_TEST("join() waits until nothing is to be called and no call is in progress") {
    bool ended = false;
    std::optional<weft::timer> timer;
    bool told = false;
    timer.emplace([&] {
        try {
            timer->join();
        } catch (const weft::lock_misuse&) {
            told = true;
        }
        weft::sleep_for(1s);
        ended = true;
    });
    CHECK(timer->join(weft::deadline::past()));
    timer->start(1s);
    test::settle();
    CHECK_FALSE(timer->join(weft::deadline::past()));
    pass(1s);
    timer->cancel();
    CHECK_FALSE(timer->join(weft::deadline::past()));
    auto joiner = weft::spawn([&] {
        timer->join();
        CHECK(ended);
    });
    test::settle();
    CHECK_FALSE(joiner.ready());
    pass(1s);
    joiner.get();
    CHECK(told);
}

TASK_TEST("wrong times are refused, absurd ones mean never, and a timer must be started before again()") {
    weft::timer timer{[] {}};
    CHECK_THROWS_AS(timer.again(), std::logic_error);
    CHECK_THROWS_AS(timer.start(-1s), std::invalid_argument);
    CHECK_THROWS_AS(timer.start_every(0s), std::invalid_argument);
    CHECK_THROWS_AS(timer.start_every(-1s), std::invalid_argument);
    CHECK_FALSE(timer.active());
    timer.start_every(std::chrono::hours::max());
    test::settle();
    pass(24h * 365 * 100);
    CHECK(timer.calls() == 0);
    CHECK(timer.active());
    timer.cancel();
    test::settle();
}

TASK_TEST("a timer can be started where nothing may wait, in a callback of the hub") {
    int calls = 0;
    weft::timer timer{[&] {
        weft::sleep_for(1s);
        ++calls;
    }};
    weft::hub::current().post([&] { timer.start(1s); });
    test::settle();
    pass(1s);
    pass(1s);
    CHECK(calls == 1);
}

TASK_TEST("random starts, cancels and steps of time call as a model says") {
    for (const unsigned seed : {1u, 2u, 3u}) {
        CAPTURE(seed);
        std::mt19937 random{seed};
        int calls = 0, expected = 0;
        weft::timer timer{[&] { ++calls; }};
        constexpr auto never = weft::clock::time_point::max();
        auto due = never;
        weft::clock::duration period{};
        for (int step = 0; step < 3000; ++step) {
            switch (random() % 6) {
                case 0:
                    period = 0s;
                    due = weft::now() + std::chrono::seconds{1 + random() % 5};
                    timer.start(due - weft::now());
                    break;
                case 1:
                    period = std::chrono::seconds{1 + random() % 3};
                    due = weft::now() + period;
                    timer.start_every(period);
                    break;
                case 2:
                    due = never;
                    timer.cancel();
                    break;
                default:
                    test::settle();
                    pass(1s);
                    if (due <= weft::now()) {
                        ++expected;
                        if (period == 0s) due = never;
                        else due += period;
                    }
            }
            test::settle();
            REQUIRE(calls == expected);
            REQUIRE(timer.active() == (due != never));
        }
        timer.cancel();
        CHECK(timer.missed() == 0);
        test::settle();
    }
}

HUB_TEST("stress: several threads start and cancel one timer, whose calls never overlap") {
    constexpr int rounds = test::under_tsan || test::under_asan ? 200 : 1000;
    std::atomic<int> inside{0}, overlaps{0};
    weft::timer timer{[&] {
        overlaps += inside++ != 0;
        weft::yield();
        --inside;
    }};
    std::vector<std::thread> threads;
    for (unsigned seed = 1; seed <= 3; ++seed)
        threads.emplace_back([&, seed] {
            std::mt19937 random{seed};
            for (int i = 0; i < rounds; ++i) {
                switch (random() % 4) {
                    case 0: timer.start(0s); break;
                    case 1: timer.start_every(10us); break;
                    case 2: timer.cancel(); break;
                    case 3: weft::sleep_for(20us); break;
                }
            }
            timer.cancel();
            timer.join();
        });
    for (auto& t : threads) t.join();
    timer.cancel();
    CHECK(timer.join());
    CHECK(inside == 0);
    CHECK(overlaps == 0);
}

HUB_TEST("a timer ends with the thread that it runs on, and can be started on another one") {
    std::atomic<int> calls{0};
    weft::timer timer{[&] { ++calls; }};
    std::thread{[&] {
        timer.start(1h);
        weft::yield();
    }}.join();
    CHECK_FALSE(timer.active());
    CHECK(timer.join());
    timer.start(1ms);
    CHECK(timer.join());
    CHECK(calls == 1);
}

HUB_TEST("a timer whose thread ends before the timer's first turn is none any more, and can be started anew") {
    int calls = 0;
    weft::timer t{[&] { ++calls; }};
    std::thread{[&] { t.start(1ms); }}.join();
    CHECK_FALSE(t.active());
    t.start(1ms);
    t.join();
    CHECK(calls == 1);
}
