// What weft/task.hpp promises of links, states, kills with a reason and delayed starts, and what weft/task_hooks.hpp does.
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/context_var.hpp>
#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>
#include <weft/timeout.hpp>

#include "support/counted.hpp"
#include "support/reported.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::counted;

TASK_TEST("links are called once, in the order in which they were made, each in a task of its own") {
    std::string order;
    auto t = weft::spawn([] { return 5; });
    const auto me = weft::this_task::id();
    for (const char name : {'a', 'b', 'c'})
        (void)t.link([&, name](const weft::task<int>& ended) {
            weft::yield();  // it may wait
            order += name + std::to_string(ended.get());
            CHECK(weft::this_task::id() != me);
        });
    t.join();
    CHECK(order.empty());
    test::settle();
    CHECK(order == "a5b5c5");
    test::settle();
    CHECK(order == "a5b5c5");
}

TASK_TEST("a link to a task that has ended is called, too") {
    auto t = weft::spawn([] {});
    t.join();
    int calls = 0;
    (void)t.link([&] { ++calls; });
    CHECK(calls == 0);
    test::settle();
    CHECK(calls == 1);
}

TASK_TEST("link_value is for success, link_exception for errors, and after a kill neither is called") {
    std::string told;
    const auto watch = [&](const auto& t, const char* name) {
        (void)t.link_value([&told, name] { told += std::string{name} + "+ "; });
        (void)t.link_exception([&told, name](const auto& failed) {
            CHECK(failed.exception());
            told += std::string{name} + "- ";
        });
        (void)t.link([&told, name] { told += std::string{name} + " "; });
    };
    auto good = weft::spawn([] {});
    auto bad = weft::spawn([] { throw 1; });
    auto doomed = weft::spawn([] {});
    watch(good, "good");
    watch(bad, "bad");
    watch(doomed, "killed");
    doomed.kill();
    test::settle();
    test::settle();
    CHECK(told.find("good+ ") != std::string::npos);
    CHECK(told.find("bad- ") != std::string::npos);
    CHECK(told.find("bad+ ") == std::string::npos);
    CHECK(told.find("good- ") == std::string::npos);
    CHECK(told.find("killed+") == std::string::npos);
    CHECK(told.find("killed-") == std::string::npos);
    CHECK(told.find("killed ") != std::string::npos);
}

TASK_TEST("an error in a link is reported, and the others are called all the same") {
    const test::reported_errors scope;
    int calls = 0;
    auto t = weft::spawn([] {});
    (void)t.link([] { throw std::runtime_error("in a link"); });
    (void)t.link([&] { ++calls; });
    (void)t.rawlink([] { throw std::runtime_error("in the hub"); });
    (void)t.link([&] { ++calls; });
    test::settle();
    test::settle();
    CHECK(calls == 2);
    CHECK(scope.texts().size() == 2);
}

TASK_TEST("rawlink is called in the hub, where nobody may wait") {
    bool refused = false;
    auto t = weft::spawn([] {});
    (void)t.rawlink([&] {
        try {
            weft::yield();
        } catch (const weft::blocking_in_hub&) {
            refused = true;
        }
    });
    test::settle();
    CHECK(refused);
}

TASK_TEST("unlink() takes one link back, unlink_all() the rest, and what they hold is destroyed") {
    counted::reset();
    std::string told;
    auto t = weft::spawn([] {});
    const auto first = t.link([&, c = std::make_shared<counted>(1)] { told += "first"; });
    (void)t.link([&] { told += "second"; });
    CHECK(t.unlink(first));
    CHECK(counted::alive == 0);
    CHECK_FALSE(t.unlink(first));
    t.unlink_all();
    test::settle();
    CHECK(told.empty());
}

TASK_TEST("a result outlives the last handle until the links have seen it") {
    std::string seen;
    {
        auto t = weft::spawn([] { return std::string{"kept"}; });
        (void)t.link([&](const weft::task<std::string>& ended) { seen = ended.get(); });
    }
    test::settle();
    CHECK(seen == "kept");
}

HUB_TEST("a link runs on the thread that made it, whose task is of another thread") {
    weft::event linked, done;
    std::thread::id ran_on;
    weft::task<int> foreign;
    weft::event made;
    std::thread other{[&] {
        foreign = weft::spawn([&] {
            linked.wait();
            return 1;
        });
        made.set();
        foreign.join();
    }};
    made.wait();
    (void)foreign.link([&] {
        ran_on = std::this_thread::get_id();
        done.set();
    });
    linked.set();
    done.wait();
    other.join();
    CHECK(ran_on == std::this_thread::get_id());
}

HUB_TEST("a link of a thread that has ended is dropped") {
    counted::reset();
    weft::event go;
    auto t = weft::spawn([&] { go.wait(); });
    std::thread{[&] { (void)t.link([c = std::make_shared<counted>(1)] {}); }}.join();
    CHECK(counted::alive == 1);
    go.set();
    t.join();
    while (counted::alive > 0) weft::sleep_for(1ms);  // what it holds is destroyed in a task of this thread
    CHECK(counted::destroyed == 1);
}

TASK_TEST("states: pending, started, ended; successful, killed or failed") {
    weft::event go;
    auto good = weft::spawn([&] { go.wait(); return 3; });
    CHECK_FALSE(good.started());
    CHECK(good.value() == nullptr);
    test::settle();
    CHECK(good.started());
    CHECK_FALSE(good.ready());
    CHECK_FALSE(good.successful());
    go.set();
    good.join();
    CHECK(good.ready());
    CHECK(good.successful());
    CHECK(*good.value() == 3);
    auto bad = weft::spawn([]() -> int { throw 1; });
    bad.join();
    CHECK(bad.ready());
    CHECK_FALSE(bad.successful());
    CHECK_FALSE(bad.killed());
    CHECK(bad.exception());
    CHECK(bad.value() == nullptr);
    auto doomed = weft::spawn([] { return 1; });
    doomed.kill();
    CHECK(doomed.killed());
    CHECK_FALSE(doomed.exception());
}

TASK_TEST("get() with a deadline points to the result, or to nothing in time") {
    auto slow = weft::spawn([] { weft::sleep_for(3s); return std::string{"here"}; });
    auto asker = weft::spawn([&] { return slow.get(1s) == nullptr; });
    test::settle();
    test::clock.advance(1s);
    CHECK(asker.get());
    test::clock.advance(2s);
    CHECK(*slow.get(1s) == "here");
    auto nothing = weft::spawn([] {});
    CHECK_FALSE(nothing.get(weft::deadline::past()));
    CHECK(nothing.get(1s));
    int there = 0;
    auto reference = weft::spawn([&]() -> int& { return there; });
    CHECK(reference.get(1s) == &there);
    auto bad = weft::spawn([]() -> int { throw 1; });
    CHECK_THROWS_AS((void)bad.get(1s), int);
}

TASK_TEST("a kill with a reason throws that, again at each wait, and counts as seen") {
    struct reason {};
    const test::reported_errors scope;
    {
        int met = 0;
        auto t = weft::spawn([&] {
            for (int i = 0; i < 2; ++i) {
                try {
                    weft::sleep_for(1h);
                } catch (const reason&) {
                    ++met;
                }
            }
            weft::sleep_for(1h);
        });
        test::settle();
        CHECK(t.kill(std::make_exception_ptr(reason{})));
        CHECK(met == 2);
        CHECK_FALSE(t.killed());
        CHECK_THROWS_AS(t.get(), reason);
        auto unseen = weft::spawn([] { weft::sleep_for(1h); });
        test::settle();
        unseen.kill(std::make_exception_ptr(reason{}));
    }
    CHECK(scope.texts().empty());
}

TASK_TEST("before its first turn a task killed with a reason ends with it, and never runs") {
    struct reason {};
    bool ran = false;
    auto t = weft::spawn([&] { ran = true; });
    t.kill(std::make_exception_ptr(reason{}));
    CHECK_FALSE(ran);
    CHECK_THROWS_AS(t.get(), reason);
    CHECK_THROWS_AS(t.kill(std::exception_ptr{}), std::invalid_argument);
}

TASK_TEST("the first reason counts; one derived from fiber_exit is a kill") {
    struct mild : weft::fiber_exit {};
    auto t = weft::spawn([] { weft::sleep_for(1h); });
    test::settle();
    (void)t.kill(std::make_exception_ptr(mild{}), weft::deadline::past());
    (void)t.kill(std::make_exception_ptr(1), weft::deadline::past());
    t.join();
    CHECK(t.killed());
    CHECK_THROWS_AS(t.get(), weft::task_killed);
}

HUB_TEST("a reason travels to a task of another thread") {
    struct reason {};
    weft::event made;
    weft::task<void> foreign;
    std::thread other{[&] {
        foreign = weft::spawn([] { weft::sleep_for(1h); });
        made.set();
        foreign.join();
    }};
    made.wait();
    foreign.kill(std::make_exception_ptr(reason{}));
    other.join();
    CHECK_THROWS_AS(foreign.get(), reason);
}

TASK_TEST("what a link that is not called holds is destroyed in a living fiber") {
    struct waits {
        ~waits() { weft::yield(); }
    };
    auto good = weft::spawn([] {});
    (void)good.link_exception([w = std::make_shared<waits>()] {});
    weft::fiber suspended{[] { weft::fiber::current().parent().switch_to(); }};
    suspended.switch_to();
    auto other = weft::spawn([] {});
    (void)other.link_exception([f = std::move(suspended)] {});
    good.join();
    other.join();
    test::settle();
    CHECK(other.successful());
}

TASK_TEST("a task that kills itself in a shield goes on, and ends behind it with the reason") {
    struct reason {};
    bool went_on = false;
    weft::task<void> self;
    self = weft::spawn([&] {
        {
            const weft::shield whole;
            CHECK_FALSE(self.kill(std::make_exception_ptr(reason{})));
            went_on = true;
        }
        weft::yield();
    });
    self.join();
    CHECK(went_on);
    CHECK_THROWS_AS(self.get(), reason);
    self = {};
}
