// What weft/future.hpp promises.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/async_result.hpp>
#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/future.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/sanitizers.hpp"
#include "support/task_test.hpp"
#include "support/when_destroyed.hpp"

using namespace std::chrono_literals;

TASK_TEST("copies of a future name one outcome, which outlives the promise") {
    weft::future<std::string> a;
    {
        weft::promise<std::string> p;
        a = p.get_future();
        CHECK_FALSE(a.ready());
        CHECK(a.try_get() == nullptr);
        CHECK(a.get(weft::deadline::past()) == nullptr);
        CHECK_FALSE(a.wait(weft::deadline::past()));
        CHECK(a.value() == nullptr);
        p.set("kept");
        CHECK(p.get_future() == a);
    }
    const auto b = a;
    CHECK(a == b);
    CHECK(&a.get() == &b.get());
    CHECK(*b.try_get() == "kept");
    CHECK(b.ready());
    CHECK(b.successful());
    CHECK(b.exception() == nullptr);
}

TASK_TEST("an exception is everybody's, and wait() does not throw it") {
    weft::promise<void> p;
    const auto f = p.get_future();
    auto waiter = weft::spawn([f] { f.get(); });
    test::settle();
    p.set_exception(std::out_of_range("far"));
    CHECK_THROWS_AS(waiter.get(), std::out_of_range);
    CHECK_THROWS_AS(f.get(), std::out_of_range);
    CHECK_NOTHROW(f.wait());
    CHECK_FALSE(f.successful());
    CHECK(f.exception() != nullptr);
    CHECK_THROWS_AS(p.set(), weft::already_set);
}

TASK_TEST("a promise that is dropped or assigned over without an outcome is told to those who wait") {
    std::optional<weft::promise<int>> p{std::in_place};
    const auto f = p->get_future();
    auto waiter = weft::spawn([f] { return f.get(); });
    test::settle();
    p.reset();
    CHECK_THROWS_AS((void)waiter.get(), weft::broken_promise);
    weft::promise<int> second;
    const auto overwritten = second.get_future();
    second = weft::promise<int>{};
    CHECK_THROWS_AS((void)overwritten.get(), weft::broken_promise);
    second.set(1);
    CHECK(second.get_future().get() == 1);
}

TASK_TEST("a handle that names nothing says so") {
    const weft::future<int> none;
    CHECK_FALSE(none);
    CHECK_THROWS_AS((void)none.get(), std::logic_error);
    CHECK_THROWS_AS(none.wait(), std::logic_error);
    CHECK_THROWS_AS(none.on_done([](const auto&) {}), std::logic_error);
    weft::promise<int> p;
    auto moved = std::move(p);
    CHECK_THROWS_AS(p.set(1), std::logic_error);
    CHECK_THROWS_AS((void)p.get_future(), std::logic_error);
    moved.set(1);
}

TASK_TEST("a deadline passes and a kill ends the wait; the outcome still comes") {
    weft::promise<std::unique_ptr<int>> p;
    const auto f = p.get_future();
    auto late = weft::spawn([f] { return f.get(1s) == nullptr; });
    auto killed = weft::spawn([f] { (void)f.get(); });
    test::settle();
    killed.kill();
    test::clock.advance(1s);
    CHECK(late.get());
    p.set(std::make_unique<int>(4));
    CHECK(*f.get() == 4);
    CHECK_THROWS_AS(killed.get(), weft::task_killed);
}

TASK_TEST("a promise takes over how a task ended, and a result how a future did") {
    auto task = weft::spawn([] { return 3; });
    task.join();
    weft::promise<int> p;
    p.complete_from(task);
    weft::async_result<int> r;
    r(p.get_future());
    CHECK(r.get() == 3);
}

TASK_TEST("callbacks run in tasks, in the order in which they were added, and may wait") {
    weft::promise<int> p;
    const auto f = p.get_future();
    std::string order;
    for (const char name : {'a', 'b', 'c'})
        f.on_done([&, name](const weft::future<int>& done) {
            CHECK(done == f);
            CHECK(done.get() == 2);
            order += name;
            weft::sleep_for(1s);
            order += name;
        });
    test::settle();
    CHECK(order.empty());
    p.set(2);
    CHECK(order.empty());
    test::settle();
    CHECK(order == "abc");
    test::clock.advance(1s);
    test::settle();
    CHECK(order == "abcabc");
}

TASK_TEST("a callback added once there is an outcome runs in a task, not at once") {
    weft::promise<void> p;
    p.set_exception(1);
    bool ran = false;
    p.get_future().on_done([&](const weft::future<void>& done) { ran = !done.successful(); });
    CHECK_FALSE(ran);
    test::settle();
    CHECK(ran);
}

TASK_TEST("what a callback throws is reported as unhandled, and the others run") {
    static std::string reported;
    reported.clear();
    const auto before = weft::on_unhandled([](std::uint64_t, const std::string&, const std::exception_ptr&) {
        reported += "x";
    });
    weft::promise<void> p;
    bool ran = false;
    p.get_future().on_done([](const auto&) { throw 1; });
    p.get_future().on_done([&](const auto&) { ran = true; });
    p.set();
    test::settle();
    weft::on_unhandled(before);
    CHECK(reported == "x");
    CHECK(ran);
}

TASK_TEST("callbacks that are never called are destroyed with the outcome, and keep it from nobody") {
    int destroyed = 0;
    {
        weft::promise<int> kept;
        kept.get_future().on_done(
            [d = std::make_unique<test::when_destroyed<std::function<void()>>>([&] { ++destroyed; })](const auto&) {});
        kept.set(1);
        test::settle();
    }
    CHECK(destroyed == 1);
}

HUB_TEST("a callback runs on the thread that added it, whoever sets the outcome") {
    weft::promise<int> p;
    const auto f = p.get_future();
    std::atomic<int> right{0};
    weft::event ran;
    const auto add = [&] {
        f.on_done([&, here = std::this_thread::get_id()](const auto&) {
            right += here == std::this_thread::get_id();
            ran.set();
        });
    };
    add();
    std::thread other{[&] {
        weft::event mine;
        f.on_done([&, here = std::this_thread::get_id()](const auto&) {
            right += here == std::this_thread::get_id();
            mine.set();
        });
        std::thread{[&] { p.set(1); }}.join();
        mine.wait();
    }};
    ran.wait();
    other.join();
    CHECK(right == 2);
}

HUB_TEST("a callback whose thread has ended is destroyed uncalled") {
    weft::promise<int> p;
    std::atomic<int> called{0}, destroyed{0};
    std::thread{[&, f = p.get_future()] {
        f.on_done([&, d = std::make_shared<test::when_destroyed<std::function<void()>>>([&] { ++destroyed; })](
                      const auto&) { ++called; });
    }}.join();
    CHECK(destroyed == 0);
    p.set(1);
    CHECK(destroyed == 1);
    CHECK(called == 0);
}

HUB_TEST("a callback of the hub may set a promise and add callbacks") {
    weft::promise<int> p;
    const auto f = p.get_future();
    weft::event ran;
    weft::hub::current().post([&] {
        f.on_done([&](const auto&) { ran.set(); });
        p.set(5);
        f.on_done([](const auto&) {});
    });
    CHECK(f.get() == 5);
    ran.wait();
}

HUB_TEST("stress: callbacks added while the outcome is being set are each called once") {
    constexpr int rounds = test::under_tsan || test::under_asan ? 100 : 500;
    int called = 0;
    for (int i = 0; i < rounds; ++i) {
        weft::promise<int> p;
        const auto f = p.get_future();
        std::atomic<bool> go{false};
        std::thread setter{[&] {
            while (!go) std::this_thread::yield();
            p.set(i);
        }};
        go = true;
        for (int k = 0; k < 4; ++k) f.on_done([&](const auto& done) { called += done.get() == i; });
        f.wait();
        setter.join();
        while (called < 4 * (i + 1)) weft::yield();
    }
    weft::yield();
    CHECK(called == 4 * rounds);
}

TASK_TEST("a callback that is added after the outcome comes behind those that were added before it") {
    weft::promise<int> promise;
    const auto future = promise.get_future();
    std::string order;
    future.on_done([&](const auto&) { order += "1"; });
    promise.set(0);
    future.on_done([&](const auto&) { order += "2"; });
    test::settle();
    CHECK(order == "12");
}
