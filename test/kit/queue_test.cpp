// What weft/queue.hpp promises.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/queue.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::counted;

TASK_TEST("items come out in the order in which they went in") {
    weft::queue<int> q{5};
    for (const int i : {11, 22, 33}) q.put(i);
    CHECK(q.size() == 3);
    CHECK(q.capacity() == 5);
    CHECK(q.get() == 11);
    CHECK(q.get() == 22);
    CHECK(q.get() == 33);
}

TASK_TEST("a capacity of 0 is refused") { CHECK_THROWS_AS(weft::queue<int>{0}, std::invalid_argument); }

TASK_TEST("put() waits for room, and goes in at its turn") {
    weft::queue<int> q{1};
    q.put(1);
    auto second = weft::spawn([&] { q.put(2); });
    auto third = weft::spawn([&] { q.put(3); });
    test::settle();
    CHECK_FALSE(second.ready());
    CHECK(q.get() == 1);
    CHECK(q.get() == 2);
    CHECK(q.get() == 3);
    second.get();
    third.get();
}

TASK_TEST("get() waits for an item, and the longest waiting getter is served first") {
    weft::queue<int> q{2};
    std::string order;
    std::vector<weft::task<void>> getters;
    for (const char name : {'a', 'b'})
        getters.push_back(weft::spawn([&, name] { order += name + std::to_string(*q.get()) + ' '; }));
    test::settle();
    q.put(1);
    q.put(2);
    weft::joinall(getters);
    CHECK(order == "a1 b2 ");
    CHECK(q.size() == 0);
}

TASK_TEST("an item on its way to a waiting getter cannot be taken by another") {
    weft::queue<int> q{2};
    auto first = weft::spawn([&] { return q.get(); });
    test::settle();
    q.put(1);
    CHECK_FALSE(q.get(weft::deadline::past()));
    CHECK(first.get() == 1);
}

TASK_TEST("a deadline that passes takes and puts nothing") {
    weft::queue<int> q{1};
    auto getter = weft::spawn([&] { return q.get(2s); });
    test::settle();
    test::clock.advance(2s);
    CHECK_FALSE(getter.get());
    CHECK_FALSE(q.closed());
    q.put(1);
    auto putter = weft::spawn([&] { return q.put(2, 2s); });
    test::settle();
    test::clock.advance(2s);
    CHECK_FALSE(putter.get());
    CHECK(q.get() == 1);
    CHECK(q.size() == 0);
    CHECK(q.put(3, weft::deadline::past()));
}

TASK_TEST("a killed getter takes nothing: an item on its way goes to the next, in front") {
    weft::queue<int> q{2};
    auto doomed = weft::spawn([&] { return q.get(); });
    test::settle();
    q.put(1);
    q.put(2);
    doomed.kill();
    CHECK(q.get() == 1);
    CHECK(q.get() == 2);
    auto also_doomed = weft::spawn([&] { return q.get(); });
    auto next = weft::spawn([&] { return q.get(); });
    test::settle();
    q.put(3);
    also_doomed.kill();
    CHECK(next.get() == 3);
}

TASK_TEST("a killed putter has put nothing, and the one behind it goes in") {
    weft::queue<int> q{1};
    q.put(1);
    auto doomed = weft::spawn([&] { q.put(2); });
    auto next = weft::spawn([&] { q.put(3); });
    test::settle();
    doomed.kill();
    CHECK(q.get() == 1);
    CHECK(q.get() == 3);
    next.get();
}

TASK_TEST("a closed queue can be drained, then gives nothing") {
    weft::queue<int> q{2};
    q.put(1);
    q.close();
    q.close();
    CHECK(q.closed());
    CHECK_THROWS_AS(q.put(2), weft::queue_closed);
    CHECK(q.get() == 1);
    CHECK_FALSE(q.get());
}

TASK_TEST("close() wakes everybody: getters with nothing, putters with an error") {
    weft::queue<int> empty{1}, full{1};
    full.put(1);
    auto getter = weft::spawn([&] { return empty.get(); });
    auto putter = weft::spawn([&] { full.put(2); });
    test::settle();
    empty.close();
    full.close();
    CHECK_FALSE(getter.get());
    CHECK_THROWS_AS(putter.get(), weft::queue_closed);
    CHECK(full.size() == 1);
}

TASK_TEST("items may be move-only, and each is destroyed once") {
    counted::reset();
    {
        weft::queue<counted> q{2};
        q.put(counted{1});
        q.put(counted{2});
        CHECK_FALSE(q.put(counted{3}, weft::deadline::past()));
        CHECK(counted::destroyed == 1);
        CHECK(q.get()->number == 1);
        CHECK(counted::destroyed == 2);
    }
    CHECK(counted::destroyed == 3);
    CHECK(counted::alive == 0);
}

HUB_TEST("stress: producers and consumers on several hubs, with kills and timeouts, lose no item") {
    constexpr int producers = 3, each = 300;
    weft::queue<int> q{4};
    std::atomic<long> sum{0};
    std::atomic<int> count{0};
    std::vector<std::thread> threads;
    for (int p = 0; p < producers; ++p)
        threads.emplace_back([&, p] {
            auto half = weft::spawn([&] {
                for (int i = 0; i < each; i += 2) q.put(p * each + i);
            });
            for (int i = 1; i < each; i += 2)
                while (!q.put(p * each + i, 200us)) {}
            half.get();
        });
    const auto consume = [&] {
        while (auto item = q.get()) {
            sum += *item;
            ++count;
        }
    };
    std::vector<std::thread> consumers;
    for (int c = 0; c < 2; ++c)
        consumers.emplace_back([&] {
            auto task = weft::spawn(consume);
            // Some are killed while they wait: what was on its way to them must come back.
            for (int i = 0; i < 20; ++i) {
                auto doomed = weft::spawn([&] { return q.get(); });
                weft::yield();
                doomed.kill();
                // The queue may be empty and closed already.
                if (doomed.successful() && doomed.get()) {
                    sum += *doomed.get();
                    ++count;
                }
            }
            consume();
            task.get();
        });
    for (auto& t : threads) t.join();
    q.close();
    for (auto& t : consumers) t.join();
    constexpr long all = producers * each;
    CHECK(count == all);
    CHECK(sum == all * (all - 1) / 2);
}
