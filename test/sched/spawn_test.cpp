// What weft/task.hpp promises of spawn, join and get.
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/event.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::counted;

TASK_TEST("spawn does not switch; tasks first run in the order of their spawns") {
    std::vector<int> order;
    std::vector<weft::task<void>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(weft::spawn([&order, i] { order.push_back(i); }));
    CHECK(order.empty());
    CHECK(weft::joinall(tasks));
    CHECK(order == std::vector{0, 1, 2, 3, 4});
}

TASK_TEST("yields take turns, first in first out") {
    std::string order;
    const auto worker = [&](char name) {
        for (int i = 0; i < 3; ++i) {
            order += name;
            weft::yield();
        }
    };
    weft::joinall(std::vector{weft::spawn(worker, 'a'), weft::spawn(worker, 'b'), weft::spawn(worker, 'c')});
    CHECK(order == "abcabcabc");
}

TASK_TEST("tasks that never wait run one after the other") {
    std::string order;
    const auto worker = [&](char name) { order.append(3, name); };
    weft::joinall(std::vector{weft::spawn(worker, 'a'), weft::spawn(worker, 'b')});
    CHECK(order == "aaabbb");
}

TASK_TEST("arguments are decayed and moved into the task") {
    std::string text = "before";
    auto task = weft::spawn([](std::string s, std::unique_ptr<int> n) { return s + std::to_string(*n); }, text,
                            std::make_unique<int>(7));
    text = "after";
    CHECK(task.get() == "before7");
}

TASK_TEST("the function and its arguments are destroyed once, when the task ends") {
    counted::reset();
    auto task = weft::spawn([c = counted{1}](counted d) { return c.number + d.number; }, counted{2});
    CHECK(counted::alive == 2);
    task.join();
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 2);
    CHECK(task.get() == 3);
}

TASK_TEST("a result may be asked for again, by every copy of the handle") {
    auto task = weft::spawn([] { return std::string{"value"}; });
    const auto copy = task;
    CHECK(task.get() == "value");
    CHECK(copy.get() == "value");
    CHECK(&copy.get() == &task.get());
    CHECK(copy == task);
}

TASK_TEST("a result lives as long as a handle does") {
    counted::reset();
    {
        auto task = weft::spawn([] { return counted{4}; });
        CHECK(task.get().number == 4);
        CHECK(counted::alive == 1);
    }
    CHECK(counted::destroyed == 1);
}

TASK_TEST("a result may be a reference or move-only") {
    int target = 1;
    auto reference = weft::spawn([&]() -> int& { return target; });
    reference.get() = 2;
    CHECK(target == 2);
    CHECK(*weft::spawn([] { return std::make_unique<int>(3); }).get() == 3);
}

TASK_TEST("get throws what the task threw: the same object, every time") {
    auto task = weft::spawn([]() -> int { throw std::runtime_error("boom"); });
    const void* first = nullptr;
    try {
        task.get();
    } catch (const std::runtime_error& e) {
        first = &e;
    }
    try {
        task.get();
    } catch (const std::runtime_error& e) {
        CHECK(&e == first);
        CHECK(e.what() == std::string{"boom"});
    }
    CHECK(first);
    CHECK_FALSE(task.successful());
}

TASK_TEST("join returns however the task ends") {
    auto good = weft::spawn([] {});
    auto bad = weft::spawn([] { throw 5; });
    good.join();
    CHECK_NOTHROW(bad.join());
    CHECK(good.ready());
    CHECK(good.successful());
    CHECK(bad.ready());
    CHECK_FALSE(bad.successful());
    CHECK_THROWS_AS(std::rethrow_exception(bad.exception()), int);
    CHECK(good.exception() == nullptr);
}

TASK_TEST("join with a deadline that passes leaves the task running") {
    weft::event go;
    auto task = weft::spawn([&] { go.wait(); });
    auto waiter = weft::spawn([&] { return task.join(3s); });
    test::settle();
    test::clock.advance(3s);
    CHECK_FALSE(waiter.get());
    CHECK_FALSE(task.join(weft::deadline::past()));
    go.set();
    CHECK(task.join(1s));
    CHECK(task.join(weft::deadline::past()));
}

TASK_TEST("joinall waits for all, or says that the deadline passed first") {
    weft::event go;
    std::vector tasks{weft::spawn([] {}), weft::spawn([&] { go.wait(); }), weft::spawn([] {})};
    auto waiter = weft::spawn([&] { return weft::joinall(tasks, 1s); });
    test::settle();
    test::clock.advance(1s);
    CHECK_FALSE(waiter.get());
    go.set();
    CHECK(weft::joinall(tasks));
}

TASK_TEST("a task that joins itself is told so") {
    weft::task<void> self;
    self = weft::spawn([&] {
        CHECK_THROWS_AS(self.join(), weft::lock_misuse);
        CHECK_THROWS_AS(self.get(), weft::lock_misuse);
        CHECK_THROWS_AS((void)self.join(1s), weft::lock_misuse);
    });
    self.get();
    CHECK_NOTHROW(self.get());
    self = {};
}

TASK_TEST("many may wait for one task, and all are woken in their order") {
    weft::event go;
    auto task = weft::spawn([&] {
        go.wait();
        return 1;
    });
    std::vector<int> order;
    std::vector<weft::task<void>> waiters;
    for (int i = 0; i < 4; ++i)
        waiters.push_back(weft::spawn([&, i] {
            task.join();
            order.push_back(i);
        }));
    test::settle();
    go.set();
    weft::joinall(waiters);
    CHECK(order == std::vector{0, 1, 2, 3});
}

TASK_TEST("dropping the last handle detaches: the task runs on") {
    bool ran = false;
    weft::spawn([&] {
        weft::yield();
        ran = true;
    });
    test::settle();
    CHECK(ran);
}

TASK_TEST("a handle that names no task says so") {
    const weft::task<int> none;
    CHECK_FALSE(static_cast<bool>(none));
    CHECK_THROWS_AS(none.join(), std::logic_error);
    CHECK_THROWS_AS(none.get(), std::logic_error);
    CHECK_THROWS_AS(none.kill(), std::logic_error);
    CHECK_THROWS_AS((void)none.ready(), std::logic_error);
}

TASK_TEST("a task has the name and the id that it sees itself") {
    std::uint64_t seen = 0;
    std::string name;
    auto task = weft::spawn({.name = "worker"}, [&] {
        seen = weft::this_task::id();
        name = weft::this_task::name();
    });
    task.join();
    CHECK(seen == task.id());
    CHECK(name == "worker");
    CHECK(task.name() == "worker");
}

HUB_TEST("a task may be joined from another hub and from a plain thread") {
    auto task = weft::spawn([] {
        weft::sleep_for(5ms);
        return 11;
    });
    int from_thread = 0, from_task = 0;
    std::thread other{[&] {
        auto inner = weft::spawn([&] { from_task = task.get(); });
        from_thread = task.get();
        inner.join();
    }};
    task.join();
    other.join();
    CHECK(from_thread == 11);
    CHECK(from_task == 11);
}
