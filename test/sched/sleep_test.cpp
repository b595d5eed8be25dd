// What weft/this_task.hpp and weft/deadline.hpp promise: time.
#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include <weft/deadline.hpp>
#include <weft/event.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;
using weft::deadline;

TASK_TEST("a sleep ends at its deadline, never before") {
    bool awake = false;
    auto task = weft::spawn([&] {
        weft::sleep_for(10s);
        awake = true;
    });
    test::settle();
    test::clock.advance(10s - 1ns);
    test::settle();
    CHECK_FALSE(awake);
    test::clock.advance(1ns);
    test::settle();
    CHECK(awake);
    task.get();
}

TASK_TEST("sleeps of every length end at their deadline to the nanosecond, never before") {
    for (const weft::clock::duration span : {weft::clock::duration{1ns}, weft::clock::duration{50us},
                                             weft::clock::duration{999'999ns}, weft::clock::duration{2ms},
                                             weft::clock::duration{530ms}, weft::clock::duration{1100ms},
                                             weft::clock::duration{5min}, weft::clock::duration{24h}}) {
        CAPTURE(span.count());
        auto sleeper = weft::spawn([span] { weft::sleep_for(span); });
        test::settle();
        for (const auto step : {span / 2, span - span / 2 - 1ns}) {
            test::clock.advance(step);
            test::settle();
            CHECK_FALSE(sleeper.ready());
        }
        test::clock.advance(1ns);
        test::settle();
        CHECK(sleeper.ready());
        sleeper.join();
    }
}

TASK_TEST("sleepers wake by their deadlines, equal ones in the order in which they went to sleep") {
    std::string order;
    std::vector<weft::task<void>> tasks;
    const auto when = weft::now() + 3s;
    for (const auto& [name, at] : {std::pair{'c', when + 1s}, {'a', when}, {'b', when}, {'x', when - 1s}, {'d', when + 1s}})
        tasks.push_back(weft::spawn([&order, n = name, t = at] {
            weft::sleep_until(deadline::at(t));
            order += n;
        }));
    test::settle();
    test::clock.advance(10s);
    weft::joinall(tasks);
    CHECK(order == "xabcd");
}

TASK_TEST("a sleep of nothing, or until a time gone by, yields") {
    std::string order;
    auto other = weft::spawn([&] { order += "other "; });
    weft::sleep_for(0s);
    order += "slept ";
    auto again = weft::spawn([&] { order += "again "; });
    weft::sleep_until(deadline::at(weft::now() - 1h));
    order += "slept";
    CHECK(order == "other slept again slept");
}

TASK_TEST("a negative sleep and one that is not a number are refused") {
    CHECK_THROWS_AS(weft::sleep_for(-1ns), std::invalid_argument);
    CHECK_THROWS_AS(weft::sleep_for(std::chrono::duration<double>{std::nan("")}), std::invalid_argument);
    CHECK_THROWS_AS(deadline::after(-1h), std::invalid_argument);
}

TASK_TEST("an absurdly long time means never and does not wrap round") {
    CHECK(deadline::after(std::chrono::hours::max()).is_never());
    CHECK(deadline::after(std::chrono::nanoseconds::max()).is_never());
    CHECK(deadline::after(std::chrono::years{std::numeric_limits<int>::max()}).is_never());
    CHECK(deadline::after(std::chrono::duration<double>{std::numeric_limits<double>::infinity()}).is_never());
    CHECK(deadline::after(std::chrono::duration<double>{1e300}).is_never());
    CHECK_FALSE(deadline::after(24h * 365 * 100).is_never());
}

TASK_TEST("a long but sane deadline survives the sleepers before it") {
    auto century = weft::spawn([] { weft::sleep_for(24h * 365 * 100); });
    auto eternity = weft::spawn([] { weft::sleep_for(std::chrono::hours::max()); });
    test::settle();
    test::clock.advance(24h * 365 * 99);
    test::settle();
    CHECK_FALSE(century.ready());
    test::clock.advance(24h * 366);
    century.get();
    CHECK_FALSE(eternity.ready());
    eternity.kill();
}

TASK_TEST("a deadline rounds up: a fraction of a nanosecond is waited for, not cut off") {
    const auto by = deadline::after(std::chrono::duration<double, std::nano>{0.4});
    CHECK(by.when() == weft::now() + 1ns);
    CHECK_FALSE(by.is_past());
}

TASK_TEST("past is past and never is never, at any time") {
    CHECK(deadline::past().is_past());
    CHECK_FALSE(deadline::never().is_past());
    CHECK(deadline{}.is_never());
    CHECK(deadline::after(0s).is_past());
    const auto soon = deadline::after(1s);
    CHECK_FALSE(soon.is_past());
    test::clock.advance(1s);
    CHECK(soon.is_past());
}

TASK_TEST("now is the manual clock's, and advance() refuses to go back") {
    const auto before = weft::now();
    test::clock.advance(42s);
    CHECK(weft::now() == before + 42s);
    CHECK_THROWS_AS(test::clock.advance(-1ns), std::invalid_argument);
}

TASK_TEST("a second manual clock is refused and the first one goes on") {
    CHECK_THROWS_AS(weft::testing::manual_clock{}, std::logic_error);
    const auto before = weft::now();
    test::clock.advance(1s);
    CHECK(weft::now() == before + 1s);
}

TASK_TEST("settle() gives up on a task that yields for ever") {
    bool stop = false;
    auto task = weft::spawn([&] {
        while (!stop) weft::yield();
    });
    CHECK_THROWS_AS(test::settle(), std::logic_error);
    stop = true;
    task.join();
}

HUB_TEST("real sleeps last at least as long as asked, also below a millisecond") {
    for (const auto span : {100us, 700us, 2000us}) {
        const auto start = std::chrono::steady_clock::now();
        weft::sleep_for(span);
        CHECK(std::chrono::steady_clock::now() - start >= span);
    }
}

HUB_TEST("sleeps of many tasks pass at the same time") {
    const auto start = std::chrono::steady_clock::now();
    std::vector<weft::task<void>> tasks;
    for (int i = 0; i < 100; ++i) tasks.push_back(weft::spawn([] { weft::sleep_for(20ms); }));
    weft::joinall(tasks);
    CHECK(std::chrono::steady_clock::now() - start < 1s);
}
