// What weft/pool.hpp promises of map(), imap() and their kin.
#include <list>
#include <stdexcept>
#include <string>
#include <vector>

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

TASK_TEST("leaving an imap in a timeout scope that has expired ends nothing but the imap") {
    auto owner = weft::spawn([] {
        weft::pool p{2};
        weft::timeout limit{1s};
        for (const int x : p.imap([](int y) { return y; }, upto(5))) {
            CHECK(x == 0);
            test::clock.advance(2s);
            break;
        }
        limit.cancel();
        return 5;
    });
    CHECK(owner.get() == 5);
}

TASK_TEST("a function with state outlives the tasks that a failing map() leaves to unwind") {
    weft::pool p{3};
    std::string seen;
    auto mapped = weft::spawn([&] {
        p.map([&seen, text = std::string(100, 'x')](int x) {
            struct looks {
                std::string& s;
                const std::string& t;
                ~looks() { s += t[99]; }
            } at_end{seen, text};
            if (x == 0) throw std::runtime_error("first");
            weft::sleep_for(1h);
        }, upto(3));
    });
    CHECK_THROWS_AS(mapped.get(), std::runtime_error);
    CHECK(p.join());
    CHECK(seen == "xxx");
}

TASK_TEST("the pool's end waits for what feeds an imap, and for a map_async()") {
    for (int i = 0; i < 3; ++i) {
        weft::pool p{1};
        auto results = p.imap([](int x) { return x; }, upto(3));
        CHECK(results.next() == 0);
    }
    weft::task<std::vector<int>> mapped;
    {
        weft::pool p{2};
        mapped = p.map_async([](int x) { return x + 1; }, upto(3));
    }
    CHECK(mapped.get() == std::vector{1, 2, 3});
}

TASK_TEST("a task of a full pool that takes the results of an imap lends its room") {
    weft::pool p{1};
    const auto sum = p.apply([&] {
        return p.spawn([&] {
            int all = 0;
            for (const int x : p.imap([](int y) { return y; }, upto(4))) all += x;
            return all;
        });
    });
    CHECK(sum.get() == 6);
}
