// What weft/queue.hpp promises.
#include <atomic>
#include <iterator>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <weft/queue.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::counted;

static_assert(std::ranges::input_range<weft::queue<int>>);

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

TASK_TEST("an unbounded queue never waits for room") {
    weft::queue<int> q{weft::unbounded};
    for (int i = 0; i < 1000; ++i) {
        q.put(2 * i);
        CHECK(q.try_put(2 * i + 1));
        if (i % 3 == 0) CHECK(q.get() == i / 3);  // so that the items lie across the end of the storage as it grows
    }
    CHECK_FALSE(q.full());
    CHECK(q.size() == 2000 - 334);
    for (int i = 334; i < 2000; ++i) CHECK(q.get() == i);
    CHECK(q.empty());
}

TASK_TEST("a queue knows whether it is empty or full") {
    weft::queue<int> q{2};
    CHECK(q.empty());
    CHECK_FALSE(q.full());
    q.put(1);
    CHECK_FALSE(q.empty());
    CHECK_FALSE(q.full());
    q.put(2);
    CHECK(q.full());
}

TASK_TEST("try_put() and try_get() never wait, not even for a kill") {
    weft::queue<int> q{1};
    CHECK(q.try_put(1));
    CHECK_FALSE(q.try_put(2));
    CHECK(q.try_get() == 1);
    CHECK_FALSE(q.try_get());
    q.put(3);
    bool reached = false;
    auto doomed = weft::spawn([&] {
        q.put(4);  // in when the kill comes: that stays pending
        reached = q.try_get() == 4 && !q.try_get() && q.try_put(5) && !q.try_put(6);
        q.put(7);
        FAIL("a killed task has waited");
    });
    test::settle();
    CHECK(q.get() == 3);
    doomed.kill();
    CHECK(reached);
    CHECK(q.try_get() == 5);
    CHECK(q.empty());
}

TASK_TEST("an item that could not be put in is still the caller's") {
    weft::queue<std::unique_ptr<int>> q{1};
    q.put(std::make_unique<int>(1));
    auto mine = std::make_unique<int>(2);
    CHECK_FALSE(q.put(std::move(mine), weft::deadline::past()));
    CHECK_FALSE(q.try_put(std::move(mine)));
    auto late = weft::spawn([&] { return q.put(std::move(mine), 1s); });
    test::settle();
    test::clock.advance(1s);
    CHECK_FALSE(late.get());
    auto doomed = weft::spawn([&] { q.put(std::move(mine)); });
    test::settle();
    doomed.kill();
    auto refused = weft::spawn([&] { q.put(std::move(mine)); });
    test::settle();
    q.close();
    CHECK_THROWS_AS(refused.get(), weft::queue_closed);
    CHECK_THROWS_AS(q.put(std::move(mine)), weft::queue_closed);
    REQUIRE(mine);
    CHECK(*mine == 2);
}

TASK_TEST("put() of an lvalue puts in a copy") {
    weft::queue<std::string> q{3};
    const std::string word = "a word that is too long for a short string";
    q.put(word);
    CHECK(q.put(word, 1s));
    CHECK(q.try_put(word));
    for (int i = 0; i < 3; ++i) CHECK(q.get() == word);
}

TASK_TEST("peek() shows what the next get() takes") {
    weft::queue<std::string> q{2};
    CHECK_FALSE(q.peek(weft::deadline::past()));
    auto first = weft::spawn([&] { return q.peek(); });
    auto second = weft::spawn([&] { return q.peek(5s); });
    auto late = weft::spawn([&] { return q.peek(1s); });
    auto doomed = weft::spawn([&] { (void)q.peek(); });
    test::settle();
    doomed.kill();
    test::clock.advance(1s);
    CHECK_FALSE(late.get());
    q.put("one");
    CHECK(first.get() == "one");
    CHECK(second.get() == "one");
    q.put("two");
    CHECK(q.peek() == "one");
    CHECK(q.get() == "one");
    CHECK(q.get() == "two");
    auto none = weft::spawn([&] { return q.peek(); });
    test::settle();
    q.close();
    CHECK_FALSE(none.get());
    CHECK_FALSE(q.peek());
}

TASK_TEST("who peeks takes no turn: the item goes to the getter that waits behind it") {
    weft::queue<int> q{1};
    auto looking = weft::spawn([&] { return q.peek(); });
    auto getter = weft::spawn([&] { return q.get(); });
    test::settle();
    q.put(1);
    CHECK(getter.get() == 1);
    CHECK_FALSE(looking.ready());
    q.put(2);
    CHECK(looking.get() == 2);
    CHECK(q.size() == 1);
}

TASK_TEST("a copy that throws leaves the queue as it was") {
    struct fragile {
        explicit fragile(int n) noexcept : number{n} {}
        fragile(const fragile&) { throw std::runtime_error{"no copies"}; }
        fragile(fragile&& other) noexcept : number{other.number} {}
        fragile& operator=(const fragile&) = delete;
        int number;
    };
    weft::queue<fragile> q{1};
    q.put(fragile{1});
    CHECK_THROWS_WITH((void)q.peek(), "no copies");
    CHECK(q.get()->number == 1);
}

TASK_TEST("getters that are killed together give their items back in order") {
    weft::queue<int> q{1};
    std::vector<weft::task<void>> doomed;
    for (int i = 0; i < 3; ++i) doomed.push_back(weft::spawn([&] { (void)q.get(); }));
    test::settle();
    for (int i = 1; i <= 4; ++i) q.put(i);
    CHECK(q.size() == 1);
    for (auto& one : doomed) (void)one.kill(weft::deadline::past());
    weft::joinall(doomed);
    CHECK(q.size() == 4);
    CHECK(q.full());
    auto putter = weft::spawn([&] { q.put(5); });
    test::settle();
    for (int i = 1; i <= 3; ++i) {
        CHECK_FALSE(putter.ready());
        CHECK(q.peek() == i);
        CHECK(q.get() == i);
        test::settle();
    }
    CHECK(q.get() == 4);
    putter.get();
    CHECK(q.get() == 5);
}

TASK_TEST("a waiter that times out when it has been served was in time") {
    weft::queue<int> q{1};
    auto getter = weft::spawn([&] { return q.get(1s); });
    test::settle();
    q.put(1);
    test::clock.advance(1s);
    CHECK(getter.get() == 1);
    auto out_of_time = weft::spawn([&] { return q.get(1s); });
    test::settle();
    test::clock.advance(1s);  // it is ready, and has not run
    q.put(2);
    const auto got = out_of_time.get();
    CHECK((got ? 1u : 0u) + q.size() == 1);
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
