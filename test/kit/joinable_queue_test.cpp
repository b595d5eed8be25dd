// What weft/joinable_queue.hpp promises.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include <weft/joinable_queue.hpp>
#include <weft/lifo_queue.hpp>
#include <weft/priority_queue.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;

TASK_TEST("join() waits until task_done() has been said of every item") {
    weft::joinable_queue<int> q{5};
    q.put(11);
    q.put(22);
    CHECK(q.unfinished() == 2);
    auto joiner = weft::spawn([&] { q.join(); });
    auto other = weft::spawn([&] { return q.join(1h); });
    CHECK(q.get() == 11);
    q.task_done();
    CHECK(q.get() == 22);
    test::settle();
    CHECK_FALSE(joiner.ready());
    q.task_done();
    joiner.get();
    CHECK(other.get());
    CHECK(q.unfinished() == 0);
}

TASK_TEST("join() of a queue with nothing unfinished returns at once") {
    weft::joinable_queue<int> q{1};
    CHECK(q.join(weft::deadline::past()));
    q.put(1);
    CHECK_FALSE(q.join(weft::deadline::past()));
    CHECK(q.get() == 1);
    CHECK_FALSE(q.join(weft::deadline::past()));
    q.task_done();
    q.join();
}

TASK_TEST("one task_done() too many is refused, and changes nothing") {
    weft::joinable_queue<int> q{2};
    CHECK_THROWS_AS(q.task_done(), std::logic_error);
    q.put(1);
    (void)q.get();
    q.task_done();
    CHECK_THROWS_AS(q.task_done(), std::logic_error);
    q.put(2);
    CHECK(q.unfinished() == 1);
}

TASK_TEST("a joiner that is killed, or whose deadline passes, leaves the others waiting") {
    weft::joinable_queue<int> q{1};
    q.put(1);
    auto late = weft::spawn([&] { return q.join(2s); });
    auto doomed = weft::spawn([&] { q.join(); });
    auto joiner = weft::spawn([&] { q.join(); });
    test::settle();
    test::clock.advance(2s);
    CHECK_FALSE(late.get());
    doomed.kill();
    CHECK_FALSE(joiner.ready());
    (void)q.get();
    q.task_done();
    joiner.get();
}

TASK_TEST("an item counts from when it comes in, not while its put() waits") {
    weft::joinable_queue<int> q{1};
    q.put(1);
    auto putter = weft::spawn([&] { q.put(2); });
    auto getter = weft::spawn([&] {});
    test::settle();
    CHECK(q.unfinished() == 1);
    (void)q.get();
    CHECK(q.unfinished() == 2);
    putter.get();
    getter.get();
    (void)q.get();
    q.task_done();
    q.task_done();
    auto waiting = weft::spawn([&] { (void)q.get(); });
    test::settle();
    q.put(3);  // straight to who waits
    CHECK(q.unfinished() == 1);
}

TASK_TEST("an item that a killed getter gives back is counted once") {
    weft::joinable_queue<int> q{1};
    auto doomed = weft::spawn([&] { (void)q.get(); });
    test::settle();
    q.put(1);
    doomed.kill();
    CHECK(q.unfinished() == 1);
    CHECK(q.get() == 1);
    q.task_done();
    q.join();
}

TASK_TEST("after close() join() waits until what is inside has been drained and dealt with") {
    weft::joinable_queue<int> q{2};
    q.put(1);
    q.put(2);
    auto joiner = weft::spawn([&] { q.join(); });
    q.close();
    test::settle();
    CHECK_FALSE(joiner.ready());
    for ([[maybe_unused]] const int item : q) q.task_done();
    joiner.get();
}

TASK_TEST("after close_now() join() waits for what was taken before, and no longer for what was inside") {
    weft::joinable_queue<int> q{2};
    q.put(1);
    q.put(2);
    (void)q.get();
    auto joiner = weft::spawn([&] { q.join(); });
    test::settle();
    CHECK(q.close_now() == 1);
    test::settle();
    CHECK_FALSE(joiner.ready());
    q.task_done();
    joiner.get();

    weft::joinable_queue<int> untouched{1};
    untouched.put(1);
    auto other = weft::spawn([&] { untouched.join(); });
    test::settle();
    (void)untouched.close_now();
    other.get();
    CHECK_THROWS_AS(untouched.task_done(), std::logic_error);
}

TASK_TEST("an item that comes back from a killed getter after close_now() is done with") {
    weft::joinable_queue<int> q{1};
    auto doomed = weft::spawn([&] { (void)q.get(); });
    test::settle();
    q.put(1);
    auto joiner = weft::spawn([&] { q.join(); });
    test::settle();
    // doomed has run by now, and has the item: another one that has not.
    q.task_done();
    joiner.get();
    doomed.get();
    auto also_doomed = weft::spawn([&] { (void)q.get(); });
    auto joins = weft::spawn([&] {
        q.put(2);
        CHECK(q.close_now() == 0);
        (void)also_doomed.kill(weft::deadline::past());
        q.join();
    });
    joins.get();
    CHECK(q.unfinished() == 0);
    (void)also_doomed.join();
}

TASK_TEST("queues of other orders can be joined, too") {
    weft::joinable<weft::lifo_queue<int>> latest{3};
    weft::joinable<weft::priority_queue<int>> smallest{weft::unbounded};
    for (const int i : {2, 3, 1}) {
        latest.put(i);
        smallest.put(i);
    }
    for (const int i : {1, 3, 2}) {
        CHECK(latest.get() == i);
        latest.task_done();
    }
    for (const int i : {1, 2, 3}) {
        CHECK(smallest.get() == i);
        smallest.task_done();
    }
    latest.join();
    smallest.join();
}

HUB_TEST("stress: producers, workers and joiners on several hubs") {
    constexpr int rounds = test::under_tsan || test::under_asan ? 20 : 100, each = 50;
    weft::joinable_queue<int> q{4};
    std::atomic<long> done{0};
    std::vector<std::thread> workers;
    for (int w = 0; w < 2; ++w)
        workers.emplace_back([&] {
            const auto work = [&] {
                for ([[maybe_unused]] const int item : q) {
                    ++done;
                    q.task_done();
                }
            };
            auto other = weft::spawn(work);
            for (int i = 0; i < 20; ++i) {
                auto doomed = weft::spawn([&] {
                    if (!q.get()) return;
                    ++done;
                    q.task_done();
                });
                weft::yield();
                doomed.kill();
            }
            work();
            other.get();
        });
    for (int round = 1; round <= rounds; ++round) {
        for (int i = 0; i < each; ++i) q.put(i);
        q.join();
        CHECK(done == static_cast<long>(round) * each);
        CHECK(q.unfinished() == 0);
    }
    q.close();
    for (auto& t : workers) t.join();
}
