// What weft/queue.hpp promises about its end: close(), close_now(), iteration, and where items are destroyed.
#include <utility>
#include <vector>

#include <weft/queue.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"

using test::counted;

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

TASK_TEST("close_now() destroys what is inside and wakes everybody") {
    counted::reset();
    weft::queue<counted> q{2}, empty{1};
    q.put(counted{1});
    q.put(counted{2});
    auto putter = weft::spawn([&] { q.put(counted{3}); });
    auto getter = weft::spawn([&] { return empty.get(); });
    test::settle();
    CHECK(q.close_now() == 2);
    CHECK(empty.close_now() == 0);
    CHECK_THROWS_AS(putter.get(), weft::queue_closed);
    CHECK_FALSE(getter.get());
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 3);
    CHECK(q.closed());
    CHECK_FALSE(q.get());
    CHECK(q.close_now() == 0);
}

TASK_TEST("close_now() after close() drops what has not been drained") {
    weft::queue<int> q{2};
    q.put(1);
    q.put(2);
    q.close();
    CHECK(q.get() == 1);
    CHECK(q.close_now() == 1);
    CHECK_FALSE(q.get());
}

TASK_TEST("an item on its way to a killed getter survives close(), and not close_now()") {
    for (const bool drop : {false, true}) {
        weft::queue<int> q{1};
        auto doomed = weft::spawn([&] { (void)q.get(); });
        test::settle();
        q.put(1);
        if (drop) CHECK(q.close_now() == 0);
        else q.close();
        doomed.kill();
        CHECK(q.size() == (drop ? 0 : 1));
        CHECK(q.get().has_value() == !drop);
    }
}

TASK_TEST("a range-for takes items until the queue is closed and drained") {
    weft::queue<counted> q{2};
    counted::reset();
    std::vector<int> seen;
    auto reader = weft::spawn([&] {
        for (counted& each : q) {
            seen.push_back(each.number);
            CHECK(counted::alive >= 1);
        }
    });
    for (int i = 0; i < 5; ++i) q.put(counted{i});
    q.close();
    reader.get();
    CHECK(seen == std::vector{0, 1, 2, 3, 4});
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 5);
}

TASK_TEST("items are destroyed while the queue is not locked: a destructor may use it, and may wait") {
    weft::queue<int> log{weft::unbounded};
    struct noisy {
        explicit noisy(weft::queue<int>* to) noexcept : log{to} {}
        noisy(noisy&& other) noexcept : log{std::exchange(other.log, nullptr)}, inside{other.inside} {}
        noisy& operator=(noisy&&) = delete;
        ~noisy() {
            if (!log) return;
            weft::yield();
            log->put(1);
            if (inside) (void)inside->size();
        }
        weft::queue<int>* log;
        weft::queue<noisy>* inside = nullptr;
    };
    weft::queue<noisy> q{2};
    const auto put = [&] {
        noisy one{&log};
        one.inside = &q;
        (void)q.put(std::move(one), weft::deadline::past());
    };
    put();
    put();
    CHECK(log.empty());
    put();
    CHECK(log.size() == 1);
    (void)q.get();
    CHECK(log.size() == 2);
    CHECK(q.close_now() == 1);
    CHECK(log.size() == 3);
}
