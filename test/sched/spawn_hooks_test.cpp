// What weft/task_hooks.hpp and weft/spawn_later.hpp promise, idle(), and what a task inherits.
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

TASK_TEST("spawn_later starts at its time; until then it is pending and can be killed") {
    std::string order;
    auto second = weft::spawn_later(2s, [&](int n) { order += std::to_string(n); return n; }, 2);
    auto first = weft::spawn_later({.name = "early"}, 1s, [&] { order += "1"; });
    auto doomed = weft::spawn_later(1s, [&] { order += "never"; });
    CHECK(first.name() == "early");
    test::settle();
    CHECK_FALSE(first.started());
    doomed.kill();
    CHECK(doomed.killed());
    test::clock.advance(1s);
    test::settle();
    CHECK(order == "1");
    CHECK(first.started());
    test::clock.advance(1s);
    CHECK(second.get() == 2);
    CHECK(order == "12");
    CHECK_THROWS_AS((void)weft::spawn_later(-1s, [] {}), std::invalid_argument);
}

TASK_TEST("spawn callbacks are told of each task before it runs, in their order, until they are removed") {
    std::string told;
    const auto first = weft::add_spawn_callback([&](const weft::fiber& f) { told += "1" + f.name(); });
    const auto second = weft::add_spawn_callback([&](const weft::fiber& f) { told += f.started() ? "late" : "2"; });
    auto t = weft::spawn({.name = "x"}, [&] { told += "run"; });
    CHECK(told == "1x2");
    t.join();
    CHECK(told == "1x2run");
    CHECK(weft::remove_spawn_callback(first));
    CHECK_FALSE(weft::remove_spawn_callback(first));
    told.clear();
    weft::spawn([] {}).join();
    CHECK(told == "2");
    CHECK(weft::remove_spawn_callback(second));
    told.clear();
    weft::spawn([] {}).join();
    CHECK(told.empty());
}

TASK_TEST("what a spawn callback throws is reported, and the task runs") {
    const test::reported_errors scope;
    const auto id = weft::add_spawn_callback([](const weft::fiber&) { throw std::runtime_error("from a callback"); });
    auto t = weft::spawn([] { return 1; });
    CHECK(weft::remove_spawn_callback(id));
    CHECK(t.get() == 1);
    CHECK(scope.texts() == std::vector<std::string>{"from a callback"});
}

TASK_TEST("a task begins with a copy of its spawner's context variables; changes go neither way") {
    weft::context_var<int> depth{"depth", 0};
    depth.set(1);
    weft::event go;
    auto child = weft::spawn([&] {
        const int seen = depth.get();
        depth.set(10);
        auto grandchild = weft::spawn([&] { return depth.get(); });
        go.wait();
        return seen * 100 + grandchild.get() + depth.get();
    });
    test::settle();
    depth.set(2);
    go.set();
    CHECK(child.get() == 100 + 10 + 10);
    CHECK(depth.get() == 2);
    weft::fiber plain{[&] { CHECK(depth.get() == 0); }};
    plain.switch_to();
}

TASK_TEST("idle() waits until nothing else is ready, and does not wait for those who sleep") {
    std::string order;
    weft::event go;
    auto sleeper = weft::spawn([] { weft::sleep_for(1h); });
    auto idler = weft::spawn([&] {
        weft::this_task::idle();
        order += "idle ";
    });
    auto busy = weft::spawn([&] {
        for (int i = 0; i < 3; ++i) weft::yield();
        order += "busy ";
    });
    idler.join();
    CHECK(order == "busy idle ");
    auto doomed = weft::spawn([] { weft::this_task::idle(); });
    weft::yield();
    doomed.kill();
    CHECK(doomed.ready());
    sleeper.kill();
}

TASK_TEST("a spawn callback may remove itself, and its task is no fiber to switch to") {
    std::uint64_t id = 0;
    int told = 0;
    bool refused = false;
    id = weft::add_spawn_callback([&, text = std::string(100, 'x')](const weft::fiber& f) {
        CHECK(weft::remove_spawn_callback(id));
        try {
            f.switch_to();
        } catch (const weft::invalid_switch&) {
            refused = true;
        }
        told += text.size() == 100;
    });
    CHECK(weft::spawn([] { return 5; }).get() == 5);
    CHECK(told == 1);
    CHECK(refused);
}

TASK_TEST("spawn_later keeps the order of the times where they have passed, too") {
    std::string order;
    auto first = weft::spawn_later(1s, [&] { order += "x"; });
    test::settle();
    const auto at = weft::now() + 1s;
    test::clock.advance(2s);
    auto second = weft::spawn_later(weft::deadline::at(at), [&] { order += "y"; });
    first.join();
    test::clock.advance(1s);
    second.join();
    CHECK(order == "xy");
}
