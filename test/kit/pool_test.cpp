// What weft/pool.hpp promises.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/event.hpp>
#include <weft/group.hpp>
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

TASK_TEST("a result whose wait was interrupted comes at the next call") {
    weft::pool p{2};
    auto results = p.imap([](int x) {
        weft::sleep_for(std::chrono::seconds{x});
        return x;
    }, std::vector{3, 1});
    auto taker = weft::spawn([&] {
        CHECK_FALSE(weft::try_with_timeout(1s, [&] { return results.next(); }));
        return std::vector{*results.next(), *results.next()};
    });
    pass(3);
    CHECK(taker.get() == std::vector{3, 1});
}

TASK_TEST("a kill() of the pool that is itself interrupted leaves it in service") {
    weft::pool p{1};
    weft::event go;
    auto stubborn = p.spawn([&] {
        const weft::shield whole;
        go.wait();
    });
    test::settle();
    auto killer = weft::spawn([&] { return weft::try_with_timeout(1s, [&] { return p.kill(); }); });
    pass(1);
    CHECK_FALSE(killer.get());
    go.set();
    CHECK(p.join());
    CHECK(p.apply([] { return 3; }) == 3);
}

TASK_TEST("a group or pool made and left in a destructor during an exception waits all the same") {
    int ended = 0;
    auto unwound = weft::spawn([&] {
        struct cleans_up {
            int& e;
            ~cleans_up() {
                weft::group g;
                g.spawn([this] { ++e; });
                weft::pool p{1};
                (void)p.spawn([this] { ++e; });
            }
        };
        const cleans_up at_end{ended};
        throw 1;
    });
    CHECK_THROWS_AS(unwound.get(), int);
    CHECK(ended == 2);
}
