// What weft/pool.hpp promises.
#include <atomic>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/event.hpp>
#include <weft/pool.hpp>
#include <weft/this_task.hpp>
#include <weft/timeout.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;

namespace {

/// Lets so many seconds pass, one after the other.
void pass(int seconds) {
    test::settle();
    for (int i = 0; i < seconds; ++i) {
        test::clock.advance(1s);
        test::settle();
    }
}

std::vector<int> upto(int n) {
    std::vector<int> all;
    for (int i = 0; i < n; ++i) all.push_back(i);
    return all;
}

}  // namespace

TASK_TEST("at most so many run at a time, and spawn() waits for room, first come first served") {
    int running = 0, most = 0, done = 0;
    auto owner = weft::spawn([&] {
        weft::pool p{3};
        for (int i = 0; i < 9; ++i)
            (void)p.spawn([&] {
                most = std::max(most, ++running);
                weft::sleep_for(1s);
                --running;
                ++done;
            });
        CHECK(p.full());
    });
    pass(2);
    CHECK(done == 6);
    pass(1);
    owner.get();
    CHECK(most == 3);
    CHECK(done == 9);
}

TASK_TEST("a size of 0 is refused") { CHECK_THROWS_AS(weft::pool{0}, std::invalid_argument); }

TASK_TEST("try_spawn() gives no task when there is no room in time, and wait_available() waits for some") {
    weft::pool p{1};
    auto first = p.spawn([] { weft::sleep_for(2s); });
    CHECK_FALSE(p.try_spawn(weft::deadline::past(), [] {}));
    auto late = weft::spawn([&] { return static_cast<bool>(p.try_spawn(1s, [] {})); });
    auto watcher = weft::spawn([&] { return p.wait_available(); });
    pass(1);
    CHECK_FALSE(late.get());
    CHECK_FALSE(watcher.ready());
    CHECK(p.free_count() == 0);
    pass(1);
    CHECK(watcher.get());
    CHECK(p.free_count() == 1);
    CHECK(p.try_spawn(weft::deadline::past(), [] {}));
}

TASK_TEST("a spawn that is killed while it waits for room has started nothing and holds no room") {
    weft::pool p{1};
    auto first = p.spawn([] { weft::sleep_for(1s); });
    bool ran = false;
    auto doomed = weft::spawn([&] { (void)p.spawn([&] { ran = true; }); });
    test::settle();
    doomed.kill();
    pass(1);
    CHECK(p.free_count() == 1);
    CHECK_FALSE(ran);
}

TASK_TEST("an error or a kill of one task ends no other, and its room comes back") {
    weft::pool p{2};
    auto bad = p.spawn([] { throw std::runtime_error("bad"); });
    auto doomed = p.spawn([] { weft::sleep_for(1h); });
    test::settle();
    CHECK_THROWS_AS(bad.get(), std::runtime_error);
    doomed.kill();
    CHECK(p.free_count() == 2);
    auto unstarted = p.spawn([] {});
    unstarted.kill();
    CHECK(p.free_count() == 2);
}

TASK_TEST("apply() gives the result, move-only ones too; in a task of the pool it calls the function right here") {
    weft::pool p{1};
    CHECK(p.apply([](int a, int b) { return a + b; }, 2, 3) == 5);
    CHECK(*p.apply([] { return std::make_unique<int>(7); }) == 7);
    CHECK_THROWS_AS(p.apply([] { throw 1; }), int);
    const auto nested = p.apply([&] {
        const auto me = weft::this_task::id();
        return p.apply([&, me] { return weft::this_task::id() == me; });
    });
    CHECK(nested);
}

TASK_TEST("a task of a full pool that spawns does not wait: the new one starts when there is room") {
    std::string order;
    weft::pool p{1};
    auto outer = p.spawn([&] {
        (void)p.spawn([&] { order += "inner"; });
        CHECK(p.size() == 2);
        weft::yield();
        order += "outer ";
    });
    CHECK(p.join());
    CHECK(order == "outer inner");
    CHECK(p.free_count() == 1);
}

TASK_TEST("map() inside a task of a full pool lends its room, and has it again afterwards") {
    weft::pool p{1};
    auto outer = p.spawn([&] {
        const auto squares = p.map([](int x) { return x * x; }, upto(4));
        CHECK(p.free_count() == 0);
        return squares;
    });
    CHECK(outer.get() == std::vector{0, 1, 4, 9});
    CHECK(p.join());
    CHECK(p.free_count() == 1);
}

TASK_TEST("a map() inside a map() inside a pool of two comes to its end") {
    weft::pool p{2};
    const auto sums = p.map([&](int x) {
        int sum = 0;
        for (const int y : p.map([x](int z) { weft::yield(); return x * z; }, upto(4))) sum += y;
        return sum;
    }, upto(5));
    CHECK(sums == std::vector{0, 6, 12, 18, 24});
    CHECK(p.free_count() == 2);
}

TASK_TEST("apply_async() never waits, and calls back with a result only") {
    weft::pool p{1};
    auto first = p.spawn([] { weft::sleep_for(1s); });
    std::string told;
    auto good = p.apply_async([] { return 5; }, [&](int n) { told += std::to_string(n); });
    auto bad = p.apply_async([]() -> int { throw 1; }, [&](int) { told += "never"; });
    auto plain = p.apply_async([] {}, [&] { told += "done"; });
    CHECK(p.size() == 4);
    pass(1);
    CHECK_THROWS_AS(bad.get(), int);
    test::settle();
    CHECK(told == "5done");
}

TASK_TEST("map() keeps the order of the items, zips ranges, and takes functions without a result") {
    weft::pool p{2};
    auto mapped = weft::spawn([&] {
        return p.map([](int x) {
            weft::sleep_for(std::chrono::seconds{3 - x});
            return x;
        }, upto(3));
    });
    pass(5);
    CHECK(mapped.get() == std::vector{0, 1, 2});
    CHECK(p.map([](int x, const std::string& s) { return s + std::to_string(x); }, upto(5),
                std::list<std::string>{"a", "b"}) == std::vector<std::string>{"a0", "b1"});
    int sum = 0;
    p.map([&](int x) { sum += x; }, upto(4));
    CHECK(sum == 6);
    CHECK(p.map_async([](int x) { return -x; }, upto(3)).get() == std::vector{0, -1, -2});
}

TASK_TEST("map() throws the error of the first item that has one, and kills the rest") {
    weft::pool p{3};
    bool finished = false;
    auto mapped = weft::spawn([&] {
        p.map([&](int x) {
            if (x == 1) throw std::runtime_error("item 1");
            weft::sleep_for(std::chrono::seconds{x == 0 ? 1 : 100});
            if (x == 2) finished = true;
        }, upto(3));
    });
    pass(1);
    CHECK_THROWS_WITH_AS(mapped.get(), "item 1", std::runtime_error);
    CHECK(p.join(1s));
    CHECK_FALSE(finished);
}

TASK_TEST("imap() gives results in the order of the items, imap_unordered() in that of completion") {
    weft::pool p{3};
    const auto nap = [](int x) {
        weft::sleep_for(std::chrono::seconds{x});
        return x;
    };
    std::string ordered, unordered;
    auto one = weft::spawn([&] {
        for (const int x : p.imap(nap, std::vector{3, 1, 2})) ordered += std::to_string(x);
    });
    pass(3);
    one.get();
    auto other = weft::spawn([&] {
        for (const int x : p.imap_unordered(nap, std::vector{3, 1, 2})) unordered += std::to_string(x);
    });
    pass(3);
    other.get();
    CHECK(ordered == "312");
    CHECK(unordered == "123");
}

TASK_TEST("imap: an item's error comes at its turn, and the iteration goes on behind it") {
    weft::pool p{2};
    const auto fails_at_one = [](int x) {
        if (x == 1) throw std::runtime_error("one");
        return x;
    };
    auto results = p.imap(fails_at_one, upto(3));
    CHECK(results.next() == 0);
    CHECK_THROWS_AS((void)results.next(), std::runtime_error);
    CHECK(results.next() == 2);
    CHECK(results.next() == std::nullopt);
    CHECK(results.next() == std::nullopt);
}

TASK_TEST("imap with a bound computes only so many results ahead") {
    for (const bool in_order : {true, false}) {
        weft::pool p{10};
        int computed = 0;
        const auto count = [&](int x) {
            ++computed;
            return x;
        };
        const auto look = [&](auto results) {
            test::settle();
            CHECK(computed == 2);
            CHECK(results.next() == 0);
            test::settle();
            CHECK(computed == 3);
        };
        if (in_order) look(p.imap(count, upto(10), 2));
        else look(p.imap_unordered(count, upto(10), 2));
        CHECK(p.join(1s));  // the rest went with the range
    }
}

TASK_TEST("an error of the iteration over the items ends an imap behind the results before it") {
    struct bad_range {
        struct iterator {
            using value_type = int;
            using difference_type = std::ptrdiff_t;
            int at = 0;
            int operator*() const { return at; }
            iterator& operator++() {
                if (++at == 2) throw std::runtime_error("no more items");
                return *this;
            }
            void operator++(int) { ++*this; }
            bool operator==(std::default_sentinel_t) const { return false; }
        };
        iterator begin() const { return {}; }
        std::default_sentinel_t end() const { return {}; }
    };
    weft::pool p{2};
    auto results = p.imap([](int x) { return x; }, bad_range{});
    CHECK(results.next() == 0);
    CHECK(results.next() == 1);
    CHECK_THROWS_WITH_AS((void)results.next(), "no more items", std::runtime_error);
}

TASK_TEST("leaving an imap early kills what still runs for it") {
    weft::pool p{3};
    int finished = 0;
    {
        auto results = p.imap_unordered([&](int x) {
            weft::sleep_for(std::chrono::seconds{x});
            ++finished;
            return x;
        }, upto(3));
        CHECK(results.next() == 0);
    }
    CHECK(p.join(weft::deadline::after(1s)));
    CHECK(finished == 1);
}

TASK_TEST("kill() ends all, those without room too, and the pool serves on") {
    weft::pool p{1};
    bool ran = false;
    auto running = p.spawn([] { weft::sleep_for(1h); });
    auto waiting = p.apply_async([&] { ran = true; });
    test::settle();
    CHECK(p.kill());
    CHECK(running.killed());
    CHECK(waiting.killed());
    CHECK_FALSE(ran);
    CHECK(p.free_count() == 1);
    CHECK(p.apply([] { return 1; }) == 1);
}

TASK_TEST("the end of the scope waits; left by an exception it kills") {
    bool finished = false;
    auto owner = weft::spawn([&] {
        weft::pool p{2};
        (void)p.spawn([&] {
            weft::sleep_for(1s);
            finished = true;
        });
    });
    pass(1);
    owner.get();
    CHECK(finished);
    finished = false;
    auto thrower = weft::spawn([&] {
        weft::pool p{2};
        (void)p.spawn([&] {
            weft::sleep_for(1s);
            finished = true;
        });
        weft::yield();
        throw 1;
    });
    CHECK_THROWS_AS(thrower.get(), int);
    CHECK_FALSE(finished);
}

HUB_TEST("stress: several threads share a pool, which never runs more than its size") {
    weft::pool p{4};
    std::atomic<int> running{0}, most{0}, done{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
        threads.emplace_back([&] {
            std::vector<weft::task<void>> mine;
            for (int i = 0; i < 50; ++i)
                mine.push_back(p.spawn([&] {
                    const int now = ++running;
                    int seen = most;
                    while (now > seen && !most.compare_exchange_weak(seen, now)) {}
                    weft::yield();
                    --running;
                    ++done;
                }));
            weft::joinall(mine);
        });
    for (auto& t : threads) t.join();
    CHECK(done == 150);
    CHECK(most <= 4);
    CHECK(p.free_count() == 4);
}
