// What weft/channel.hpp promises.
#include <atomic>
#include <memory>
#include <ranges>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <weft/channel.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/counted.hpp"
#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::counted;

static_assert(std::ranges::input_range<weft::channel<int>>);
static_assert(std::is_same_v<weft::buffered_channel<int>, weft::queue<int>>);

namespace {

constinit weft::channel<int> made_before_main;

}  // namespace

TASK_TEST("put() waits until its item has been taken") {
    weft::channel<std::string> c;
    std::string log;
    auto sender = weft::spawn([&] {
        for (const char* word : {"hello", "world"}) {
            log += "sending ";
            c.put(word);
            log += std::string{"sent "} + word + ' ';
        }
    });
    test::settle();
    CHECK(log == "sending ");
    log += *c.get() + ' ';
    test::settle();
    CHECK(log == "sending hello sent hello sending ");
    log += *c.get() + ' ';
    sender.get();
    CHECK(log == "sending hello sent hello sending world sent world ");
}

TASK_TEST("waiting putters are served in the order in which they came") {
    weft::channel<int> c;
    std::vector<weft::task<void>> putters;
    for (int i = 0; i < 3; ++i) putters.push_back(weft::spawn([&c, i] { c.put(i); }));
    test::settle();
    for (int i = 0; i < 3; ++i) CHECK(c.get() == i);
    weft::joinall(putters);
}

TASK_TEST("waiting getters are served in the order in which they came") {
    weft::channel<int> c;
    std::vector<weft::task<std::optional<int>>> getters;
    for (int i = 0; i < 3; ++i) getters.push_back(weft::spawn([&c] { return c.get(); }));
    test::settle();
    for (int i = 0; i < 3; ++i) c.put(i);
    for (int i = 0; i < 3; ++i) CHECK(getters[static_cast<std::size_t>(i)].get() == i);
}

TASK_TEST("try_put() and try_get() find a partner that waits, or nothing") {
    weft::channel<int> c;
    CHECK_FALSE(c.try_put(1));
    CHECK_FALSE(c.try_get());
    auto getter = weft::spawn([&] { return c.get(); });
    test::settle();
    CHECK(c.try_put(2));
    CHECK_FALSE(c.try_put(3));
    CHECK(getter.get() == 2);
    auto putter = weft::spawn([&] { c.put(4); });
    test::settle();
    CHECK(c.try_get() == 4);
    CHECK_FALSE(c.try_get());
    putter.get();
}

TASK_TEST("a deadline that passes takes and puts nothing") {
    weft::channel<std::unique_ptr<int>> c;
    auto item = std::make_unique<int>(1);
    auto putter = weft::spawn([&] { return c.put(std::move(item), 2s); });
    test::settle();
    test::clock.advance(2s);
    CHECK_FALSE(putter.get());
    REQUIRE(item);
    CHECK_FALSE(c.try_get());
    auto getter = weft::spawn([&] { return c.get(2s); });
    test::settle();
    test::clock.advance(2s);
    CHECK_FALSE(getter.get());
    CHECK_FALSE(c.closed());
    CHECK_FALSE(c.put(std::move(item), weft::deadline::past()));
    CHECK_FALSE(c.get(weft::deadline::past()));
    CHECK(item);
}

TASK_TEST("killed putters and getters are as if they had never come") {
    weft::channel<int> c;
    auto doomed = weft::spawn([&] { c.put(1); });
    auto putter = weft::spawn([&] { c.put(2); });
    test::settle();
    doomed.kill();
    CHECK(c.get() == 2);
    putter.get();
    auto also_doomed = weft::spawn([&] { (void)c.get(); });
    auto getter = weft::spawn([&] { return c.get(); });
    test::settle();
    also_doomed.kill();
    c.put(3);
    CHECK(getter.get() == 3);
}

TASK_TEST("an item on its way to a getter that is killed goes to the next, or stays for whoever comes") {
    weft::channel<int> c;
    auto doomed = weft::spawn([&] { (void)c.get(); });
    auto next = weft::spawn([&] { return c.get(); });
    test::settle();
    c.put(1);
    doomed.kill();
    CHECK(next.get() == 1);
    auto also_doomed = weft::spawn([&] { (void)c.get(); });
    test::settle();
    c.put(2);
    also_doomed.kill();
    auto putter = weft::spawn([&] { c.put(3); });
    test::settle();
    CHECK(c.get() == 2);
    CHECK_FALSE(putter.ready());
    CHECK(c.get() == 3);
    putter.get();
}

TASK_TEST("close() wakes everybody: getters with nothing, putters with an error") {
    weft::channel<int> c, d;
    auto getter = weft::spawn([&] { return c.get(); });
    auto putter = weft::spawn([&] { d.put(1); });
    test::settle();
    c.close();
    d.close();
    CHECK_FALSE(getter.get());
    CHECK_THROWS_AS(putter.get(), weft::queue_closed);
    CHECK_FALSE(d.get());
    CHECK_THROWS_AS(c.put(1), weft::queue_closed);
    CHECK_THROWS_AS((void)c.try_put(1), weft::queue_closed);
    CHECK(c.closed());
}

TASK_TEST("a range-for takes items until the channel is closed") {
    auto sender = weft::spawn([&] {
        for (int i = 0; i < 4; ++i) made_before_main.put(i);
        made_before_main.close();
    });
    int sum = 0;
    for (const int each : made_before_main) sum += each;
    CHECK(sum == 6);
    sender.get();
}

TASK_TEST("items may be move-only, and each is destroyed once") {
    counted::reset();
    weft::channel<counted> c;
    auto sender = weft::spawn([&] {
        for (int i = 0; i < 5; ++i) c.put(counted{i});
        CHECK_FALSE(c.put(counted{5}, weft::deadline::past()));
    });
    for (int i = 0; i < 5; ++i) CHECK(c.get()->number == i);
    sender.get();
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 6);
}

HUB_TEST("stress: tasks of several hubs and plain threads meet, with kills and deadlines, and lose no item") {
    constexpr int producers = 3, each = test::under_tsan || test::under_asan ? 200 : 1000;
    weft::channel<int> c;
    std::atomic<long> sum{0};
    std::atomic<int> count{0};
    std::vector<std::thread> threads;
    for (int p = 0; p < producers; ++p)
        threads.emplace_back([&, p] {
            auto half = weft::spawn([&] {
                for (int i = 0; i < each; i += 2) c.put(p * each + i);
            });
            for (int i = 1; i < each; i += 2)
                while (!c.put(p * each + i, 100us)) {}
            half.get();
        });
    const auto take = [&](std::optional<int> item) {
        if (!item) return false;
        sum += *item;
        ++count;
        return true;
    };
    std::vector<std::thread> consumers;
    for (int n = 0; n < 2; ++n)
        consumers.emplace_back([&] {
            for (int i = 0; i < 50; ++i) {
                auto doomed = weft::spawn([&] { take(c.get()); });
                weft::yield();
                doomed.kill();
            }
            auto other = weft::spawn([&] {
                while (take(c.get())) {}
            });
            while (take(c.get(1ms)) || !c.closed()) {}
            other.get();
        });
    for (auto& t : threads) t.join();
    // An item may still be on its way, or have come back from one.
    while (count < producers * each) {
        if (!take(c.get(1ms))) weft::yield();
    }
    c.close();
    for (auto& t : consumers) t.join();
    constexpr long all = producers * each;
    CHECK(count == all);
    CHECK(sum == all * (all - 1) / 2);
}
