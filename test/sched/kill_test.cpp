// What weft/task.hpp promises of kill(), and of errors that nobody asks for.
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/event.hpp>
#include <weft/mutex.hpp>
#include <weft/semaphore.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/counted.hpp"
#include "support/reported.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::counted;

TASK_TEST("a task killed before its first turn never runs, and its function is destroyed") {
    counted::reset();
    bool ran = false;
    auto task = weft::spawn([&ran, c = counted{1}] { ran = c.number > 0; });
    CHECK(task.kill());
    CHECK(task.ready());
    CHECK_FALSE(task.successful());
    CHECK_FALSE(ran);
    CHECK(counted::destroyed == 1);
    CHECK_THROWS_AS(task.get(), weft::task_killed);
    CHECK(task.exception() == nullptr);
}

TASK_TEST("a parked task meets the kill at its wait, and its destructors run") {
    weft::event never;
    bool unwound = false;
    auto task = weft::spawn([&] {
        struct note {
            bool& told;
            ~note() { told = true; }
        } at_end{unwound};
        never.wait();
    });
    test::settle();
    CHECK(task.kill());
    CHECK(unwound);
}

TASK_TEST("fiber_exit passes a handler of std::exception") {
    bool swallowed = false;
    auto task = weft::spawn([&] {
        try {
            weft::sleep_for(1h);
        } catch (const std::exception&) {
            swallowed = true;
        }
    });
    test::settle();
    task.kill();
    CHECK_FALSE(swallowed);
}

TASK_TEST("a kill of a ready task is met at its next wait, or at the yield that it is in") {
    int steps = 0;
    auto task = weft::spawn([&] {
        ++steps;
        weft::yield();
        ++steps;
    });
    weft::yield();
    CHECK(steps == 1);
    CHECK(task.kill());
    CHECK(steps == 1);
}

TASK_TEST("a swallowed kill is thrown again at the next wait") {
    int swallowed = 0;
    auto task = weft::spawn([&] {
        for (int i = 0; i < 3; ++i) {
            try {
                weft::sleep_for(1h);
            } catch (const weft::fiber_exit&) {
                ++swallowed;
            }
        }
        return std::string{"done all the same"};
    });
    test::settle();
    CHECK(task.kill());
    CHECK(swallowed == 3);
    CHECK(task.successful());
    CHECK(task.get() == "done all the same");
}

TASK_TEST("a kill is idempotent, before the end and after it") {
    auto task = weft::spawn([] { weft::sleep_for(1h); });
    test::settle();
    CHECK_FALSE(task.kill(weft::deadline::past()));
    CHECK_FALSE(task.kill(weft::deadline::past()));
    CHECK(task.kill());
    CHECK(task.kill());
}

TASK_TEST("a kill with a deadline says whether the task has ended by then") {
    weft::event go;
    auto task = weft::spawn([&] {
        for (;;) {
            try {
                weft::sleep_for(1h);
            } catch (const weft::fiber_exit&) {
                break;
            }
        }
        struct waits_at_end {
            weft::event& e;
            ~waits_at_end() { e.wait(); }
        };
        try {
            const waits_at_end w{go};
            throw 1;  // a wait while this is in flight cannot be killed
        } catch (int) {
        }
    });
    test::settle();
    auto killer = weft::spawn([&] { return task.kill(2s); });
    test::settle();
    test::clock.advance(2s);
    CHECK_FALSE(killer.get());
    go.set();
    CHECK(task.kill());
}

TASK_TEST("nothing is thrown while unwinding: a wait in a destructor really waits") {
    weft::event go;
    std::string order;
    auto task = weft::spawn([&] {
        struct slow {
            weft::event& e;
            std::string& o;
            ~slow() {
                e.wait();
                o += "waited";
            }
        } at_end{go, order};
        weft::sleep_for(1h);
    });
    test::settle();
    CHECK_FALSE(task.kill(weft::deadline::past()));
    test::settle();
    CHECK_FALSE(task.ready());
    CHECK(order.empty());
    go.set();
    task.join();
    CHECK(order == "waited");
}

TASK_TEST("killing the running task throws here and now") {
    bool came_past = false;
    weft::task<void> self;
    self = weft::spawn([&] {
        self.kill();
        came_past = true;
    });
    self.join();
    CHECK_FALSE(came_past);
    CHECK_THROWS_AS(self.get(), weft::task_killed);
    self = {};
}

TASK_TEST("a task that kills itself in a destructor while an exception is in flight goes on") {
    bool ended_by_its_own_error = false;
    weft::task<void> self;
    self = weft::spawn([&] {
        struct kills {
            weft::task<void>& t;
            ~kills() { (void)t.kill(); }
        };
        try {
            const kills k{self};
            throw 1;
        } catch (int) {
            ended_by_its_own_error = true;
        }
    });
    self.join();
    CHECK(ended_by_its_own_error);
    self = {};
}

TASK_TEST("a kill ends neither the waiter of the killed one nor the task that a killed one waits for") {
    weft::event go;
    auto target = weft::spawn([&] { go.wait(); });
    auto joiner = weft::spawn([&] { target.join(); });
    test::settle();
    joiner.kill();
    CHECK_FALSE(target.ready());
    go.set();
    target.get();
}

TASK_TEST("a pending kill beats a deadline that has passed") {
    weft::event never;
    auto task = weft::spawn([&] { return never.wait(weft::deadline::past()); });
    task.kill();
    CHECK_THROWS_AS(task.get(), weft::task_killed);
}

HUB_TEST("a task is killed from another thread, waiting for its end there") {
    auto task = weft::spawn([] { weft::sleep_for(1h); });
    weft::yield();
    bool ended = false;
    std::thread other{[&] { ended = task.kill(); }};
    task.join();
    other.join();
    CHECK(ended);
    CHECK_THROWS_AS(task.get(), weft::task_killed);
}

HUB_TEST("killing a task whose thread has ended is no error") {
    weft::task<void> task;
    std::thread{[&] {
        task = weft::spawn([] { weft::sleep_for(1h); });
        weft::yield();
    }}.join();
    CHECK(task.kill());
    CHECK_THROWS_AS(task.get(), weft::task_killed);
}

TASK_TEST("an error that nobody asks for is reported once, when the last handle goes") {
    const test::reported_errors scope;
    {
        auto task = weft::spawn({.name = "failing"}, [] { throw std::runtime_error("unseen"); });
        task.join();  // waiting is not asking
        const auto copy = task;
        CHECK(scope.texts().empty());
    }
    CHECK(scope.texts() == std::vector<std::string>{"failing: unseen"});
}

TASK_TEST("an error of a detached task is reported when it ends") {
    const test::reported_errors scope;
    weft::spawn({.name = "detached"}, [] { throw std::runtime_error("alone"); });
    test::settle();
    CHECK(scope.texts() == std::vector<std::string>{"detached: alone"});
}

TASK_TEST("an error that somebody asked for is never reported, and neither is a kill") {
    const test::reported_errors scope;
    {
        auto by_get = weft::spawn([] { throw 1; });
        CHECK_THROWS_AS(by_get.get(), int);
        auto by_exception = weft::spawn([] { throw 2; });
        by_exception.join();
        CHECK(by_exception.exception());
        auto killed = weft::spawn([] { weft::sleep_for(1h); });
        killed.kill();
    }
    CHECK(scope.texts().empty());
}

TASK_TEST("the hook that was there before is returned, and null restores the default") {
    const auto outer = weft::on_unhandled(&test::reported_errors::collect);
    const bool returned = weft::on_unhandled(nullptr) == &test::reported_errors::collect;
    const auto usual = weft::on_unhandled(outer);
    const bool restored = usual && usual != &test::reported_errors::collect && usual != outer;
    CHECK(returned);
    CHECK(restored);
}
