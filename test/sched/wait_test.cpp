// What weft/wait.hpp promises.
#include <atomic>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/async_result.hpp>
#include <weft/bounded_semaphore.hpp>
#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/future.hpp>
#include <weft/latch.hpp>
#include <weft/semaphore.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>
#include <weft/timeout.hpp>
#include <weft/wait.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;

namespace {

/// Tasks that end after 3, 1 and 2 seconds with these numbers.
std::vector<weft::task<int>> three() {
    std::vector<weft::task<int>> all;
    for (const int seconds : {3, 1, 2})
        all.push_back(weft::spawn([seconds] {
            weft::sleep_for(std::chrono::seconds{seconds});
            return seconds;
        }));
    return all;
}

void pass(int seconds) {
    test::settle();
    for (int i = 0; i < seconds; ++i) {
        test::clock.advance(1s);
        test::settle();
    }
}

std::string numbers(const std::vector<weft::task<int>>& tasks) {
    std::string text;
    for (const auto& t : tasks) text += std::to_string(t.get());
    return text;
}

}  // namespace

TASK_TEST("wait() returns in the order of completion") {
    const auto all = three();
    auto waiter = weft::spawn([&] { return numbers(weft::wait(all)); });
    pass(3);
    CHECK(waiter.get() == "123");
    CHECK(numbers(weft::wait(all)) == "312");  // ready from the start: as they stand
}

TASK_TEST("wait() ends with the count, or with the deadline, and says who was ready") {
    const auto all = three();
    auto two = weft::spawn([&] { return numbers(weft::wait(all, {.count = 2})); });
    auto late = weft::spawn([&] { return numbers(weft::wait(all, {.by = 1s})); });
    auto none = weft::spawn([&] { return numbers(weft::wait(all, {.by = weft::deadline::past()})); });
    pass(2);
    CHECK(two.get() == "12");
    CHECK(late.get() == "1");
    CHECK(none.get().empty());
    pass(1);
    CHECK(weft::wait(all, {.count = 0}).empty());
    CHECK(weft::wait(std::vector<weft::task<int>>{}).empty());
}

TASK_TEST("iwait() gives each as it comes; leaving early leaves nothing behind") {
    const auto all = three();
    std::string order;
    auto waiter = weft::spawn([&] {
        for (const auto& t : weft::iwait(all)) {
            order += std::to_string(t.get()) + ' ';
            if (t.get() == 2) break;
        }
    });
    pass(1);
    CHECK(order == "1 ");
    pass(1);
    CHECK(order == "1 2 ");
    waiter.join();
    pass(1);
    CHECK(all[0].ready());
}

TASK_TEST("the same task twice comes twice") {
    auto t = weft::spawn([] { return 1; });
    CHECK(weft::wait(std::vector{t, t}).size() == 2);
}

TASK_TEST("events by pointer, and things of several kinds by wait_any") {
    weft::event one, two;
    auto t = weft::spawn([] { weft::sleep_for(5s); });
    auto which = weft::spawn([&] { return weft::wait_any(weft::deadline::never(), one, two, t); });
    auto events = weft::spawn([&] {
        std::string order;
        for (weft::event* e : weft::iwait(std::vector{&one, &two})) order += e == &one ? '1' : '2';
        return order;
    });
    auto late = weft::spawn([&] { return weft::wait_any(1s, one, t); });
    test::settle();
    two.set();
    CHECK(which.get() == 1u);
    pass(1);
    CHECK(late.get() == std::nullopt);
    one.set();
    CHECK(events.get() == "21");
    pass(4);
    CHECK(weft::wait_any(weft::deadline::past(), t) == 0u);
    CHECK(one.is_set());  // watching takes nothing
}

TASK_TEST("a kill and a timeout end a wait for several, and leave nothing in the lists") {
    weft::event never;
    auto doomed = weft::spawn([&] { (void)weft::wait_any(weft::deadline::never(), never); });
    auto limited = weft::spawn([&] {
        return weft::try_with_timeout(1s, [&] { (void)weft::wait(std::vector{&never, &never}); });
    });
    test::settle();
    doomed.kill();
    CHECK(doomed.killed());
    pass(1);
    CHECK_FALSE(limited.get());
}

TASK_TEST("joinall with options: order of completion, count, and the first error at once") {
    const auto all = three();
    auto ordered = weft::spawn([&] { return numbers(weft::joinall(all, weft::join_options{})); });
    auto counted = weft::spawn([&] { return numbers(weft::joinall(all, weft::join_options{.count = 1})); });
    pass(3);
    CHECK(ordered.get() == "123");
    CHECK(counted.get() == "1");

    std::vector<weft::task<void>> failing;
    failing.push_back(weft::spawn([] { weft::sleep_for(5s); }));
    failing.push_back(weft::spawn([] {
        weft::sleep_for(1s);
        throw std::runtime_error("first");
    }));
    auto waiter = weft::spawn([&] { (void)weft::joinall(failing, weft::join_options{.raise_error = true}); });
    pass(1);
    CHECK_THROWS_AS(waiter.get(), std::runtime_error);
    CHECK_FALSE(failing[0].ready());
    CHECK(weft::joinall(failing, weft::join_options{.by = weft::deadline::past()}).size() == 1);
    pass(4);
    CHECK(failing[0].ready());
}

TASK_TEST("killall kills all before it waits: what has not run never does") {
    std::string ran;
    std::vector<weft::task<void>> all;
    for (int i = 0; i < 3; ++i)
        all.push_back(weft::spawn([&] {
            ran += "x";
            weft::sleep_for(1h);
        }));
    CHECK(weft::killall(all));
    CHECK(ran.empty());
    for (const auto& t : all) CHECK(t.killed());
}

TASK_TEST("killall says whether all have ended by then, and takes a reason") {
    struct reason {};
    weft::event go;
    std::vector<weft::task<void>> all;
    for (int i = 0; i < 2; ++i)
        all.push_back(weft::spawn([&, i] {
            if (i == 0) {
                const weft::shield whole;
                go.wait();
            }
            weft::sleep_for(1h);
        }));
    test::settle();
    auto killer = weft::spawn([&] { return weft::killall(all, std::make_exception_ptr(reason{}), 1s); });
    pass(1);
    CHECK_FALSE(killer.get());
    CHECK(all[1].ready());
    go.set();
    weft::joinall(all);
    CHECK_THROWS_AS(all[0].get(), reason);
}

HUB_TEST("tasks and events of other threads, under load, are each told of once") {
    constexpr int threads = 3, each = 40;
    std::vector<weft::event> events(threads * each);
    std::vector<weft::event*> pointers;
    for (auto& e : events) pointers.push_back(&e);
    std::vector<std::thread> setters;
    for (int t = 0; t < threads; ++t)
        setters.emplace_back([&, t] {
            std::mt19937 random(static_cast<unsigned>(t));
            for (int i = 0; i < each; ++i) {
                if (random() % 4 == 0) weft::sleep_for(50us);
                events[static_cast<std::size_t>(t * each + i)].set();
            }
        });
    std::vector<bool> seen(events.size());
    std::size_t twice = 0, count = 0;
    for (weft::event* e : weft::iwait(pointers)) {
        const auto index = static_cast<std::size_t>(e - events.data());
        twice += seen[index];
        seen[index] = true;
        ++count;
    }
    for (auto& s : setters) s.join();
    CHECK(count == events.size());
    CHECK(twice == 0);
}

TASK_TEST("a look that did not wait leaves nothing that could end a later wait") {
    weft::event late;
    auto waiter = weft::spawn([&] {
        auto range = weft::iwait(std::vector{&late}, {.by = weft::deadline::past()});
        CHECK(range.next() == nullptr);
        weft::sleep_for(2s);  // the event is set meanwhile, and is none of this wait's business
        return weft::now();
    });
    const auto start = weft::now();
    test::settle();
    test::clock.advance(1s);
    late.set();
    test::settle();
    CHECK_FALSE(waiter.ready());
    test::clock.advance(1s);
    CHECK(waiter.get() == start + 2s);
}

TASK_TEST("in a callback of the hub wait_any only looks") {
    weft::event set{true}, unset;
    std::optional<std::size_t> first, second{7};
    bool refused = false;
    auto t = weft::spawn([] {});
    (void)t.rawlink([&] {
        first = weft::wait_any(weft::deadline::past(), unset, set);
        second = weft::wait_any(weft::deadline::past(), unset);
        try {
            (void)weft::wait_any(weft::deadline::never(), unset);
        } catch (const weft::blocking_in_hub&) {
            refused = true;
        }
    });
    t.join();
    test::settle();
    CHECK(first == 1u);
    CHECK_FALSE(second);
    CHECK(refused);
}

TASK_TEST("killall with the caller among them kills the others first") {
    std::vector<weft::task<void>> all;
    bool past = false;
    all.push_back(weft::spawn([&] {
        (void)weft::killall(all);
        past = true;
    }));
    all.push_back(weft::spawn([] { weft::sleep_for(1h); }));
    weft::joinall(all);
    CHECK(all[0].killed());
    CHECK(all[1].killed());
    CHECK_FALSE(past);
}

TASK_TEST("results, futures and latches can be waited for among others") {
    weft::async_result<int> result;
    weft::promise<int> promise;
    const auto future = promise.get_future();
    weft::latch gate{1};
    auto order = weft::spawn([&] {
        std::string seen;
        for (int i = 0; i < 3; ++i) seen += std::to_string(*weft::wait_any(weft::deadline::never(), result, future, gate));
        return seen;
    });
    test::settle();
    gate.count_down();
    CHECK(order.get() == "222");
    result.set(1);
    promise.set(2);
    CHECK(weft::wait_any(weft::deadline::past(), future, result) == 0u);
}

TASK_TEST("a semaphore is seen when a permit is left free, is not touched, and serves on as before") {
    weft::semaphore gate{0};
    weft::bounded_semaphore bounded{1};
    CHECK(weft::wait_any(weft::deadline::past(), gate, bounded) == 1u);
    auto watcher = weft::spawn([&] { return weft::wait_any(weft::deadline::never(), gate); });
    auto taker = weft::spawn([&] { gate.acquire(); });
    test::settle();
    gate.release();  // which is the taker's
    test::settle();
    CHECK(taker.ready());
    CHECK_FALSE(watcher.ready());
    CHECK(gate.available() == 0);
    gate.release();
    CHECK(watcher.get() == 0u);
    CHECK(gate.available() == 1);
    gate.acquire();
    CHECK_FALSE(gate.try_acquire());
    gate.release(2);
    CHECK(gate.available() == 2);
}

HUB_TEST("stress: watchers and takers of one semaphore on several threads lose no permit and miss none") {
    constexpr int threads = 3, rounds = 300;
    weft::semaphore gate{0};
    std::atomic<int> taken{0};
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t)
        all.emplace_back([&, t] {
            for (int i = 0; i < rounds; ++i) {
                if (t == 0) {
                    gate.release();
                    if (i % 8 == 0) weft::yield();
                    continue;
                }
                while (!gate.try_acquire())
                    if (!weft::wait_any(100ms, gate)) return;  // all have been taken
                ++taken;
            }
        });
    for (auto& t : all) t.join();
    CHECK(taken + static_cast<int>(gate.available()) == rounds);
    CHECK(gate.available() == 0);
}
