// What weft/priority_queue.hpp promises.
#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <weft/priority_queue.hpp>
#include <weft/task.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"

using test::counted;

namespace {

struct by_first {
    template <class Pair>
    bool operator()(const Pair& a, const Pair& b) const {
        return a.first < b.first;
    }
};
struct by_number {
    bool operator()(const counted& a, const counted& b) const { return a.number < b.number; }
};

}  // namespace

TASK_TEST("the smallest item comes out first") {
    weft::priority_queue<std::pair<int, std::string>> q{5};
    q.put({3, "alex3"});
    q.put({1, "alex1"});
    q.put({2, "alex2"});
    CHECK(q.peek()->second == "alex1");
    CHECK(q.get() == std::pair{1, std::string{"alex1"}});
    CHECK(q.get()->second == "alex2");
    CHECK(q.get()->second == "alex3");
}

TASK_TEST("another comparison chooses another order") {
    weft::priority_queue<int, std::greater<int>> q{3};
    for (const int i : {2, 3, 1}) q.put(i);
    for (const int i : {3, 2, 1}) CHECK(q.get() == i);
}

TASK_TEST("equal items come out in the order in which they went in") {
    weft::priority_queue<std::pair<int, int>, by_first> q{weft::unbounded};
    std::mt19937 random{11};
    std::vector<std::pair<int, int>> expected;
    for (int i = 0; i < 500; ++i) {
        expected.emplace_back(static_cast<int>(random() % 7), i);
        q.put(expected.back());
    }
    std::stable_sort(expected.begin(), expected.end(), by_first{});
    for (const auto& each : expected) CHECK(q.get() == each);
}

TASK_TEST("without a rule for ties, every item still comes out, the smallest first") {
    weft::priority_queue<std::pair<int, int>, by_first, weft::ties::any> q{weft::unbounded};
    std::mt19937 random{12};
    std::vector<std::pair<int, int>> expected, got;
    for (int i = 0; i < 500; ++i) {
        expected.emplace_back(static_cast<int>(random() % 7), i);
        q.put(expected.back());
    }
    while (auto each = q.try_get()) got.push_back(*each);
    CHECK(std::is_sorted(got.begin(), got.end(), by_first{}));
    std::sort(got.begin(), got.end());
    std::sort(expected.begin(), expected.end());
    CHECK(got == expected);
}

TASK_TEST("what a killed getter gives back comes out by its priority, before its equals") {
    weft::priority_queue<std::pair<int, char>, by_first> q{weft::unbounded};
    std::vector<weft::task<void>> doomed;
    for (int i = 0; i < 2; ++i) doomed.push_back(weft::spawn([&] { (void)q.get(); }));
    test::settle();
    q.put({2, 'a'});
    q.put({2, 'b'});
    q.put({2, 'c'});
    q.put({1, 'd'});
    for (auto& one : doomed) (void)one.kill(weft::deadline::past());
    weft::joinall(doomed);
    for (const char each : {'d', 'a', 'b', 'c'}) CHECK(q.get()->second == each);
}

TASK_TEST("an item whose put() waits for room has no part in the order until it is in") {
    weft::priority_queue<int> q{1};
    q.put(5);
    auto urgent = weft::spawn([&] { q.put(1); });
    auto more_urgent = weft::spawn([&] { q.put(0); });
    test::settle();
    CHECK(q.get() == 5);
    CHECK(q.get() == 1);
    CHECK(q.get() == 0);
    urgent.get();
    more_urgent.get();
}

TASK_TEST("items that cannot be assigned or copied are sorted, too, and each is destroyed once") {
    counted::reset();
    {
        weft::priority_queue<counted, by_number> q{weft::unbounded};
        std::mt19937 random{13};
        for (int i = 0; i < 200; ++i) q.put(counted{static_cast<int>(random() % 1000)});
        int last = 0;
        for (int i = 0; i < 150; ++i) {
            const auto next = q.get();
            CHECK(last <= next->number);
            last = next->number;
        }
        CHECK(counted::alive == 50);
        CHECK(counted::destroyed == 150);
    }
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 200);
}
