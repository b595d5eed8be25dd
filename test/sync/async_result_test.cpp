// What weft/async_result.hpp promises.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/async_result.hpp>
#include <weft/error.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/sanitizers.hpp"
#include "support/task_test.hpp"
#include "support/when_destroyed.hpp"

using namespace std::chrono_literals;

static_assert(std::is_same_v<decltype(std::declval<weft::async_result<int>>().get()), const int&>);
static_assert(std::is_same_v<decltype(std::declval<weft::async_result<int&>>().get()), int&>);
static_assert(std::is_void_v<decltype(std::declval<weft::async_result<void>>().get())>);

template <class T, class U>
concept settable = requires(weft::async_result<T>& r, U&& value) { r.set(std::forward<U>(value)); };
static_assert(settable<std::string, const char*>);
static_assert(settable<const int&, int&>);
static_assert(!settable<const int&, int>, "a reference to what is gone after the call");
static_assert(!settable<const std::string&, const char*&>, "a reference to a temporary made of it");
static_assert(!settable<int&, const int&>);

namespace {

/// Throws when it is copied for the `fails_at`th time.
struct fragile {
    static inline int copies_left = 1 << 20;
    fragile() = default;
    fragile(const fragile&) {
        if (--copies_left == 0) throw std::runtime_error("copied once too often");
    }
};

template <class E>
std::string text_of(const auto& throws) {
    try {
        throws();
    } catch (const E& e) {
        return e.what();
    }
    return "nothing thrown";
}

}  // namespace

TASK_TEST("before there is an outcome nothing is ready, and afterwards all see the same value") {
    weft::async_result<std::string> r;
    CHECK_FALSE(r.ready());
    CHECK_FALSE(r.successful());
    CHECK(r.value() == nullptr);
    CHECK(r.try_get() == nullptr);
    CHECK(r.exception() == nullptr);
    r.set("five");
    CHECK(r.ready());
    CHECK(r.successful());
    CHECK(r.get() == "five");
    CHECK(r.value() == &r.get());
    CHECK(r.try_get() == &r.get());
    CHECK(r.get(weft::deadline::past()) == &r.get());
    CHECK(r.exception() == nullptr);
}

TASK_TEST("the value wakes all waiters, longest wait first, and does not switch") {
    weft::async_result<int> r;
    std::string order;
    std::vector<weft::task<int>> waiters;
    for (const char name : {'a', 'b', 'c'})
        waiters.push_back(weft::spawn([&, name] {
            const int value = r.get();
            order += name;
            return value;
        }));
    test::settle();
    CHECK(order.empty());
    r.set(7);
    CHECK(order.empty());
    for (const auto& w : waiters) CHECK(w.get() == 7);
    CHECK(order == "abc");
}

TASK_TEST("an exception that was set is rethrown to everybody, the same object each time") {
    weft::async_result<int> r;
    const auto address = [&] {
        try {
            (void)r.get();
        } catch (const std::runtime_error& e) {
            CHECK(std::string{e.what()} == "out of luck");
            return static_cast<const void*>(&e);
        }
        return static_cast<const void*>(nullptr);
    };
    auto waiter = weft::spawn(address);
    test::settle();
    r.set_exception(std::runtime_error("out of luck"));
    CHECK(waiter.get() != nullptr);
    CHECK(address() == waiter.get());
    CHECK(r.ready());
    CHECK_FALSE(r.successful());
    CHECK(r.value() == nullptr);
    CHECK(r.exception() != nullptr);
    CHECK_THROWS_AS((void)r.get(1s), std::runtime_error);
    CHECK_THROWS_AS((void)r.try_get(), std::runtime_error);
    CHECK_NOTHROW(r.wait());
    CHECK(r.wait(weft::deadline::past()));
}

TASK_TEST("an exception may be set as an exception_ptr, and need not be a std::exception") {
    weft::async_result<void> by_pointer, number;
    by_pointer.set_exception(std::make_exception_ptr(std::out_of_range("far")));
    CHECK(text_of<std::out_of_range>([&] { by_pointer.get(); }) == "far");
    number.set_exception(42);
    CHECK_THROWS_AS(number.get(), int);
}

TASK_TEST("a null exception_ptr is refused and changes nothing") {
    weft::async_result<int> r;
    const auto null = [&] { r.set_exception(std::exception_ptr{}); };
    CHECK(text_of<std::invalid_argument>(null).find("std::current_exception()") != std::string::npos);
    r.set(1);
    CHECK(r.get() == 1);
}

TASK_TEST("a second outcome is refused, names the remedy, and the first one stands") {
    weft::async_result<int> value, error;
    value.set(1);
    CHECK(text_of<weft::already_set>([&] { value.set(2); }).find("look at ready() first") != std::string::npos);
    CHECK_THROWS_AS(value.set_exception(std::runtime_error("late")), std::logic_error);
    CHECK(value.get() == 1);
    error.set_exception(std::out_of_range("first"));
    CHECK_THROWS_AS(error.set(2), weft::already_set);
    CHECK_THROWS_AS((void)error.get(), std::out_of_range);
}

TASK_TEST("a value whose copy throws is no outcome: another may be set") {
    weft::async_result<fragile> r;
    const fragile one;
    fragile::copies_left = 1;
    CHECK_THROWS_AS(r.set(one), std::runtime_error);
    CHECK_FALSE(r.ready());
    CHECK(r.try_get() == nullptr);
    fragile::copies_left = 1 << 20;
    r.set(one);
    CHECK(r.successful());
}

TASK_TEST("a value is stored without the lock: making it may wait, and a second set is refused meanwhile") {
    struct slow {
        explicit slow(std::chrono::seconds span) { weft::sleep_for(span); }
    };
    weft::async_result<slow> r;
    auto setter = weft::spawn([&] { r.set(1s); });
    auto waiter = weft::spawn([&] { return r.wait(5s); });
    test::settle();
    CHECK_FALSE(r.ready());
    CHECK_THROWS_AS(r.set(1s), weft::already_set);
    test::clock.advance(1s);
    setter.get();
    CHECK(waiter.get());
}

TASK_TEST("a move-only value is moved in and read in place") {
    weft::async_result<std::unique_ptr<int>> r;
    auto five = std::make_unique<int>(5);
    int* const address = five.get();
    r.set(std::move(five));
    CHECK(r.get().get() == address);
    CHECK(*r.value() == r.get());
}

TASK_TEST("a reference names what was set, which can be changed through it") {
    int number = 1;
    weft::async_result<int&> r;
    CHECK(r.get(weft::deadline::past()) == nullptr);
    r.set(number);
    r.get() = 2;
    CHECK(number == 2);
    CHECK(r.value() == &number);
    CHECK(r.try_get() == &number);
}

TASK_TEST("a result without a value answers with true and false") {
    weft::async_result<void> r;
    CHECK_FALSE(r.get(weft::deadline::past()));
    CHECK_FALSE(r.try_get());
    CHECK_FALSE(r.value());
    r.set();
    CHECK_NOTHROW(r.get());
    CHECK(r.get(weft::deadline::past()));
    CHECK(r.try_get());
    CHECK(r.value());
}

TASK_TEST("a deadline passes: null, false, and the result can still come") {
    weft::async_result<int> r;
    auto late = weft::spawn([&] { return r.get(2s) == nullptr; });
    auto late_wait = weft::spawn([&] { return r.wait(2s); });
    auto in_time = weft::spawn([&] { return *r.get(4s); });
    test::settle();
    test::clock.advance(3s);
    test::settle();
    CHECK(late.ready());
    r.set(9);
    CHECK(late.get());
    CHECK_FALSE(late_wait.get());
    CHECK(in_time.get() == 9);
}

TASK_TEST("a deadline already past never parks") {
    weft::async_result<int> r;
    bool other_ran = false;
    auto other = weft::spawn([&] { other_ran = true; });
    CHECK_FALSE(r.wait(weft::deadline::past()));
    CHECK(r.get(0s) == nullptr);
    CHECK(r.try_get() == nullptr);
    CHECK_FALSE(other_ran);
    other.join();
}

TASK_TEST("a killed waiter leaves, also one that was on its way, and the others get the outcome") {
    weft::async_result<int> r;
    bool returned = false;
    auto early = weft::spawn([&] { (void)r.get(), returned = true; });
    auto served = weft::spawn([&] { (void)r.get(), returned = true; });
    auto other = weft::spawn([&] { return r.get(); });
    test::settle();
    early.kill();
    r.set(3);
    served.kill();
    CHECK_FALSE(returned);
    CHECK_THROWS_AS(served.get(), weft::task_killed);
    CHECK(other.get() == 3);
}

TASK_TEST("a task's end becomes the outcome: its value, its error, or that it was killed") {
    auto good = weft::spawn([] { return 5; });
    auto bad = weft::spawn([]() -> int { throw std::out_of_range("bad"); });
    auto dead = weft::spawn([]() -> int {
        weft::sleep_for(1h);
        return 0;
    });
    weft::async_result<long> value, error, killed, early;
    CHECK(text_of<std::logic_error>([&] { early.complete_from(good); }).find("join") != std::string::npos);
    CHECK_FALSE(early.ready());
    test::settle();
    dead.kill();
    value.complete_from(good);
    error.complete_from(bad);
    killed.complete_from(dead);
    CHECK(value.get() == 5);
    CHECK_THROWS_AS((void)error.get(), std::out_of_range);
    CHECK_THROWS_AS((void)killed.get(), weft::task_killed);
    CHECK_THROWS_AS(value.complete_from(good), weft::already_set);
}

TASK_TEST("it can be called as a link is, and chained to another result") {
    weft::async_result<std::string> first, second;
    const std::function<void(const weft::task<std::string>&)> link{std::ref(first)};
    auto done = weft::spawn([] { return std::string{"chained"}; });
    done.join();
    link(done);
    second(first);
    CHECK(second.get() == "chained");
    weft::async_result<void> whether;
    whether.complete_from(first);
    CHECK(whether.successful());
}

TASK_TEST("a source whose value cannot be copied gives that error, so that nobody waits for ever") {
    auto done = weft::spawn([] { return fragile{}; });
    done.join();
    weft::async_result<fragile> r;
    fragile::copies_left = 1;
    r.complete_from(done);
    fragile::copies_left = 1 << 20;
    CHECK(text_of<std::runtime_error>([&] { (void)r.get(); }) == "copied once too often");
}

HUB_TEST("a callback of the hub may set it and look at it, but not wait for it") {
    weft::async_result<int> r;
    weft::async_result<void> checked;
    weft::hub::current().post([&] {
        CHECK(r.try_get() == nullptr);
        CHECK_THROWS_AS(r.wait(), weft::blocking_in_hub);
        CHECK_THROWS_AS((void)r.get(1s), weft::blocking_in_hub);
        r.set(8);
        CHECK(*r.try_get() == 8);
        checked.set();
    });
    CHECK(r.get() == 8);
    checked.get();
}

HUB_TEST("get() in a destructor while the thread ends throws fiber_exit, since it has nothing to return") {
    weft::async_result<int> never;
    bool thrown = false;
    std::thread{[&] {
        weft::spawn([&] {
            const test::when_destroyed at_end{[&] {
                try {
                    (void)never.get();
                } catch (const weft::fiber_exit&) {
                    thrown = true;
                }
            }};
            weft::sleep_for(1h);
        });
        weft::yield();
    }}.join();
    CHECK(thrown);
    never.set(0);
}

TASK_TEST("randomly timed-out, killed and served waiters all see the one outcome or nothing") {
    std::mt19937 random{11};
    for (int round = 0; round < 100; ++round) {
        weft::async_result<int> r;
        std::vector<weft::task<int>> waiters;
        bool set = false;
        for (int step = 0; step < 30; ++step) {
            switch (random() % 5) {
                case 0:
                case 1:
                    waiters.push_back(weft::spawn([&r, span = std::chrono::seconds{random() % 5}] {
                        const int* got = r.get(span);
                        return got ? *got : -1;
                    }));
                    break;
                case 2: test::clock.advance(1s); break;
                case 3:
                    if (!waiters.empty()) (void)waiters[random() % waiters.size()].kill(weft::deadline::past());
                    break;
                case 4:
                    if (!set && random() % 4 == 0) r.set(round), set = true;
                    break;
            }
            if (random() % 3 == 0) test::settle();
        }
        test::settle();  // who has not begun yet counts its span from then
        test::clock.advance(1h);
        for (const auto& w : waiters) {
            w.join();
            if (w.successful()) CHECK((w.get() == round ? set : w.get() == -1));
        }
    }
}

HUB_TEST("stress: of several threads that set it one wins, and all who wait on any hub see that value") {
    constexpr int rounds = test::under_tsan || test::under_asan ? 150 : 600;
    constexpr int setters = 2, readers = 2;
    std::vector<std::unique_ptr<weft::async_result<std::string>>> results;
    for (int i = 0; i < rounds; ++i) results.push_back(std::make_unique<weft::async_result<std::string>>());
    std::atomic<int> won{0}, refused{0}, wrong{0};
    std::vector<std::vector<std::string>> seen(readers * 2, std::vector<std::string>(rounds));
    std::vector<std::thread> threads;
    for (int s = 0; s < setters; ++s)
        threads.emplace_back([&, s] {
            for (const auto& r : results) {
                try {
                    r->set("from " + std::to_string(s));
                    ++won;
                } catch (const weft::already_set&) {
                    ++refused;
                }
            }
        });
    for (int h = 0; h < readers; ++h)
        threads.emplace_back([&, h] {
            auto task = weft::spawn([&, h] {
                for (int i = 0; i < rounds; ++i) {
                    const std::string* got = nullptr;
                    while (!got) got = results[i]->get(50us);
                    seen[2 * h + 1][i] = *got;
                }
            });
            for (int i = 0; i < rounds; ++i) seen[2 * h][i] = results[i]->get();
            task.join();
        });
    for (auto& t : threads) t.join();
    CHECK(won == rounds);
    CHECK(refused == rounds * (setters - 1));
    for (int i = 0; i < rounds; ++i)
        for (const auto& by : seen) wrong += by[i] != results[i]->get();
    CHECK(wrong == 0);
}
