// What weft/event.hpp promises.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <weft/event.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;

TASK_TEST("a set event does not make anybody wait") {
    weft::event e{true};
    CHECK(e.is_set());
    e.wait();
    CHECK(e.wait(weft::deadline::past()));
}

TASK_TEST("set() wakes all waiters, longest wait first") {
    weft::event e;
    std::string order;
    std::vector<weft::task<void>> waiters;
    for (const char name : {'a', 'b', 'c'})
        waiters.push_back(weft::spawn([&, name] {
            e.wait();
            order += name;
        }));
    test::settle();
    CHECK(order.empty());
    e.set();
    CHECK(order.empty());
    weft::joinall(waiters);
    CHECK(order == "abc");
}

TASK_TEST("set() followed at once by clear() still wakes those who wait, and nobody else") {
    weft::event e;
    auto waiter = weft::spawn([&] { return e.wait(1h); });
    test::settle();
    e.set();
    e.clear();
    CHECK(waiter.get());
    CHECK_FALSE(e.is_set());
    CHECK_FALSE(e.wait(weft::deadline::past()));
}

TASK_TEST("a wait with a deadline says whether the event was set in time") {
    weft::event e;
    auto late = weft::spawn([&] { return e.wait(2s); });
    auto in_time = weft::spawn([&] { return e.wait(4s); });
    test::settle();
    test::clock.advance(3s);
    test::settle();
    e.set();
    CHECK_FALSE(late.get());
    CHECK(in_time.get());
}

TASK_TEST("an event set and a deadline passed before the waiter runs count as in time") {
    weft::event e;
    auto waiter = weft::spawn([&] { return e.wait(2s); });
    test::settle();
    e.set();
    test::clock.advance(5s);
    CHECK(waiter.get());
}

TASK_TEST("a killed waiter leaves the others waiting") {
    weft::event e;
    auto doomed = weft::spawn([&] { e.wait(); });
    auto other = weft::spawn([&] { e.wait(); });
    test::settle();
    doomed.kill();
    CHECK_FALSE(other.ready());
    e.set();
    other.get();
}

HUB_TEST("plain threads and tasks of two hubs wait for one event") {
    weft::event go;
    std::atomic<int> passed{0}, waiting{0};
    std::thread plain{[&] {
        ++waiting;
        go.wait();
        ++passed;
    }};
    std::thread with_tasks{[&] {
        auto a = weft::spawn([&] {
            ++waiting;
            go.wait();
            ++passed;
        });
        a.join();
    }};
    auto mine = weft::spawn([&] {
        ++waiting;
        go.wait();
        ++passed;
    });
    while (waiting < 3) weft::sleep_for(100us);
    go.set();
    mine.join();
    plain.join();
    with_tasks.join();
    CHECK(passed == 3);
}

HUB_TEST("stress: two threads hand a turn back and forth and lose none") {
    constexpr int turns = 2000;
    weft::event ping, pong;
    std::thread other{[&] {
        for (int i = 0; i < turns; ++i) {
            ping.wait();
            ping.clear();
            pong.set();
        }
    }};
    for (int i = 0; i < turns; ++i) {
        ping.set();
        pong.wait();
        pong.clear();
    }
    other.join();
    CHECK_FALSE(ping.is_set());
}
