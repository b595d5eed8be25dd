// What weft/lifo_queue.hpp promises.
#include <string>
#include <vector>

#include <weft/lifo_queue.hpp>
#include <weft/task.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"

using test::counted;

TASK_TEST("the latest item comes out first") {
    weft::lifo_queue<int> q{3};
    for (const int i : {4, 5, 6}) q.put(i);
    CHECK(q.full());
    CHECK(q.peek() == 6);
    CHECK(q.get() == 6);
    q.put(7);
    CHECK(q.get() == 7);
    CHECK(q.get() == 5);
    CHECK(q.get() == 4);
}

TASK_TEST("an item whose put() waits for room comes in when another is taken") {
    weft::lifo_queue<int> q{2};
    q.put(1);
    q.put(2);
    auto third = weft::spawn([&] { q.put(3); });
    test::settle();
    CHECK(q.get() == 2);
    CHECK(q.get() == 3);
    third.get();
    CHECK(q.get() == 1);
}

TASK_TEST("what killed getters give back lies below what came since, in its old order") {
    weft::lifo_queue<int> q{weft::unbounded};
    std::vector<weft::task<void>> doomed;
    for (int i = 0; i < 2; ++i) doomed.push_back(weft::spawn([&] { (void)q.get(); }));
    test::settle();
    for (int i = 1; i <= 4; ++i) q.put(i);
    for (auto& one : doomed) (void)one.kill(weft::deadline::past());
    weft::joinall(doomed);
    for (int i = 4; i >= 1; --i) CHECK(q.get() == i);
}

TASK_TEST("an unbounded lifo_queue keeps its order as it grows, and each item is destroyed once") {
    counted::reset();
    {
        weft::lifo_queue<counted> q{weft::unbounded};
        for (int i = 0; i < 100; ++i) q.put(counted{i});
        for (int i = 99; i >= 50; --i) CHECK(q.get()->number == i);
        CHECK(counted::destroyed == 50);
    }
    CHECK(counted::destroyed == 100);
    CHECK(counted::alive == 0);
}

TASK_TEST("a closed lifo_queue can be drained") {
    weft::lifo_queue<std::string> q{2};
    q.put("a");
    q.put("b");
    q.close();
    CHECK_THROWS_AS(q.put("c"), weft::queue_closed);
    std::string seen;
    for (const auto& each : q) seen += each;
    CHECK(seen == "ba");
}
