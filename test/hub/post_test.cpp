// What weft/hub.hpp promises of post() and of callbacks.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/hub.hpp>
#include <weft/mutex.hpp>
#include <weft/semaphore.hpp>
#include <weft/spawn_later.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::counted;

TASK_TEST("posted functions run once, in their order, on the hub's fiber") {
    std::string order;
    std::string ran_in;
    const auto hub = weft::hub::current();
    for (const char c : {'a', 'b', 'c'}) CHECK(hub.post([&order, c] { order += c; }));
    hub.post([&] { ran_in = weft::this_task::name(); });
    CHECK(order.empty());
    test::settle();
    CHECK(order == "abc");
    CHECK(ran_in == "hub");
}

TASK_TEST("a posted function may be move-only, may post again and may spawn") {
    bool spawned_ran = false;
    int seen = 0;
    const auto hub = weft::hub::current();
    hub.post([&, owned = std::make_unique<int>(3)] {
        seen = *owned;
        hub.post([&] { weft::spawn([&] { spawned_ran = true; }); });
    });
    test::settle();
    CHECK(seen == 3);
    CHECK(spawned_ran);
}

HUB_TEST("posts from many threads all arrive, each thread's in order") {
    constexpr int threads = 4, each = 500;
    int next[threads] = {};
    bool in_order = true;
    int total = 0;
    weft::event all;
    std::vector<std::thread> posters;
    for (int t = 0; t < threads; ++t)
        posters.emplace_back([&, t, hub = weft::hub::current()] {
            for (int i = 0; i < each; ++i)
                hub.post([&, t, i] {
                    in_order = in_order && next[t]++ == i;
                    if (++total == threads * each) all.set();
                });
        });
    all.wait();
    for (auto& p : posters) p.join();
    CHECK(in_order);
}

HUB_TEST("a post wakes a hub that sleeps") {
    weft::event posted;
    std::thread poster{[&, hub = weft::hub::current()] {
        std::this_thread::sleep_for(10ms);
        hub.post([&] { posted.set(); });
    }};
    posted.wait();
    poster.join();
}

HUB_TEST("a post to a thread that has ended is refused, and the function destroyed uncalled") {
    std::unique_ptr<weft::hub> other;
    std::thread{[&] { other = std::make_unique<weft::hub>(weft::hub::current()); }}.join();
    counted::reset();
    bool called = false;
    CHECK_FALSE(other->post([&called, c = counted{1}] { called = c.number > 0; }));
    CHECK_FALSE(called);
    CHECK(counted::destroyed == 1);
}

HUB_TEST("a post that its thread does not reach any more is destroyed uncalled") {
    counted::reset();
    bool called = false;
    std::thread{[&] { weft::hub::current().post([&called, c = counted{1}] { called = c.number > 0; }); }}.join();
    CHECK_FALSE(called);
    CHECK(counted::destroyed == 1);
}

TASK_TEST("an exception that leaves a posted function is reported as unhandled, and the rest goes on") {
    static std::string reported;
    const auto before = weft::on_unhandled([](std::uint64_t, const std::string& name, const std::exception_ptr& e) {
        try {
            std::rethrow_exception(e);
        } catch (const std::runtime_error& error) {
            reported = name + ": " + error.what();
        }
    });
    bool next = false;
    weft::hub::current().post([] { throw std::runtime_error("in a callback"); });
    weft::hub::current().post([&] { next = true; });
    test::settle();
    weft::on_unhandled(before);
    CHECK(reported == "hub: in a callback");
    CHECK(next);
}

TASK_TEST("a wait in a callback of the hub is refused with the remedy, and leaves no trace") {
    weft::event never;
    weft::semaphore none{0};
    weft::mutex held;
    held.lock();
    auto parked = weft::spawn([&] { never.wait(); });
    int refused = 0;
    std::string text;
    const auto refuses = [&](auto&& wait) {
        try {
            wait();
        } catch (const weft::blocking_in_hub& e) {
            ++refused;
            text = e.what();
        }
    };
    weft::hub::current().post([&] {
        refuses([] { weft::sleep_for(1s); });
        refuses([] { weft::yield(); });
        refuses([&] { never.wait(); });
        refuses([&] { (void)never.wait(1s); });
        refuses([&] { none.acquire(); });
        refuses([&] { held.lock(); });
        refuses([&] { parked.join(); });
    });
    test::settle();
    CHECK(refused == 7);
    CHECK(text.find("spawn a task there") != std::string::npos);
    none.release();
    CHECK(none.available() == 1);
    held.unlock();
    CHECK_FALSE(held.locked());
    parked.kill();
}

TASK_TEST("a try that does not wait is allowed in a callback of the hub") {
    weft::event never;
    weft::semaphore none{0};
    int tried = 0;
    weft::hub::current().post([&] {
        tried += !never.wait(weft::deadline::past());
        tried += !none.try_acquire_until(weft::deadline::past());
        tried += !none.try_acquire();
        never.set();
        tried += never.wait(1s);
    });
    test::settle();
    CHECK(tried == 4);
    CHECK(none.available() == 0);
}

TASK_TEST("explicit switching in a callback of the hub is refused") {
    weft::fiber f{[] {}};
    bool refused = false;
    weft::hub::current().post([&] {
        try {
            f.switch_to();
        } catch (const weft::invalid_switch&) {
            refused = true;
        }
    });
    test::settle();
    CHECK(refused);
    CHECK_FALSE(f.started());
}

TASK_TEST("the hub's own fiber cannot be switched to") {
    weft::fiber of_hub;
    weft::hub::current().post([&] { of_hub = weft::fiber::current(); });
    test::settle();
    CHECK_THROWS_AS(of_hub.switch_to(), weft::invalid_switch);
    CHECK_THROWS_AS(of_hub.throw_into(), weft::invalid_switch);
}

HUB_TEST("a wait in a callback is refused also while another thread wakes everybody") {
    weft::event event;
    weft::semaphore gate{0};
    std::atomic<bool> stop{false};
    std::thread waker{[&] {
        while (!stop) {
            event.set();
            event.clear();
            gate.release();
            (void)gate.try_acquire();
        }
    }};
    int answered = 0;
    weft::event done;
    const auto hub = weft::hub::current();
    for (int i = 0; i < 2000; ++i)
        hub.post([&] {
            try {
                if (event.wait(1h)) ++answered;
            } catch (const weft::blocking_in_hub&) {
                ++answered;
            }
            try {
                gate.acquire();
                ++answered;
                gate.release();
            } catch (const weft::blocking_in_hub&) {
                ++answered;
            }
            if (answered == 4000) done.set();
        });
    done.wait();
    stop = true;
    waker.join();
}

TASK_TEST("join() waits for every task of the thread but those that wait there themselves") {
    std::string order;
    const auto hub = weft::hub::current();
    auto late = weft::spawn_later(2s, [&] { order += "late "; });
    auto spawner = weft::spawn([&] {
        weft::sleep_for(1s);
        weft::spawn([&] {
            weft::sleep_for(2s);
            order += "grandchild ";
        });
    });
    auto other = weft::spawn([&] {
        const bool all = hub.join();
        order += all ? "other " : "";
    });
    CHECK_FALSE(hub.join(weft::deadline::past()));
    auto limited = weft::spawn([&] { return hub.join(1s); });
    for (int second = 0; second < 3; ++second) {
        test::settle();
        test::clock.advance(1s);
    }
    CHECK(hub.join());
    CHECK_FALSE(limited.get());
    other.join();
    CHECK(order == "late grandchild other ");
    CHECK(hub.join());
}

HUB_TEST("join() of another thread's hub is refused") {
    const auto here = weft::hub::current();
    bool refused = false;
    std::thread{[&] {
        try {
            (void)here.join();
        } catch (const weft::wrong_thread&) {
            refused = true;
        }
    }}.join();
    CHECK(refused);
}
