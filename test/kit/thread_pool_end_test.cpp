// What weft/thread_pool.hpp promises for the end of a pool, and of the thread around it.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>
#include <weft/thread_pool.hpp>

#include "support/held_back.hpp"
#include "support/sanitizers.hpp"
#include "support/task_test.hpp"
#include "support/when_destroyed.hpp"

using namespace std::chrono_literals;
using test::gate;
using test::until;

HUB_TEST("a closed pool runs what is queued and takes nothing more") {
    weft::thread_pool pool{1};
    gate g;
    (void)pool.spawn([&] { g.pass(); });
    const auto queued = pool.spawn([] { return 2; });
    CHECK_FALSE(pool.closed());
    pool.close();
    pool.close();
    CHECK(pool.closed());
    CHECK_THROWS_AS((void)pool.spawn([] {}), weft::pool_closed);
    CHECK_THROWS_AS(pool.apply([] {}), std::runtime_error);
    g.open();
    CHECK(queued.get() == 2);
    until([&] { return pool.size() == 0; });
}

HUB_TEST("terminate() drops what has not begun, and its futures say so; what runs goes on") {
    weft::thread_pool pool{1};
    gate g;
    weft::event begun;
    bool gone = false;
    const auto running = pool.spawn([&] {
        begun.set();
        g.pass();
        return 1;
    });
    auto held = std::make_unique<test::when_destroyed<std::function<void()>>>([&] { gone = true; });
    const auto dropped = pool.spawn([h = std::move(held)] { return 2; });
    auto waiter = weft::spawn([=] { return dropped.get(); });
    begun.wait();
    pool.terminate();
    CHECK_THROWS_AS((void)waiter.get(), weft::job_dropped);
    CHECK(gone);
    CHECK(pool.unfinished() == 1);
    CHECK_THROWS_AS((void)pool.spawn([] {}), weft::pool_closed);
    g.open();
    CHECK(running.get() == 1);
    pool.join();
}

HUB_TEST("the destructor waits for all jobs and for the threads with their thread-locals, while other tasks run") {
    static std::atomic<int> thread_locals;
    thread_locals = 0;
    std::atomic<int> ran{0};
    gate g;
    auto opener = weft::spawn([&] { g.open(); });
    std::set<std::thread::id> threads;
    {
        weft::thread_pool pool{3};
        std::mutex lock;
        for (int i = 0; i < 30; ++i)
            (void)pool.spawn([&] {
                struct last {
                    ~last() { ++thread_locals; }
                };
                thread_local last at_end;
                (void)&at_end;
                g.pass();
                const std::lock_guard guard{lock};
                threads.insert(std::this_thread::get_id());
                ++ran;
            });
    }
    CHECK(opener.ready());
    CHECK(ran == 30);
    CHECK(thread_locals == static_cast<int>(threads.size()));
}

HUB_TEST("a kill does not end the destructor's wait, and comes afterwards") {
    gate g;
    std::atomic<bool> finished{false};
    bool after = false;
    auto task = weft::spawn([&] {
        {
            weft::thread_pool pool{1};
            (void)pool.spawn([&] {
                g.pass();
                finished = true;
            });
        }
        after = finished;
        weft::sleep_for(1h);
    });
    weft::yield();
    CHECK_FALSE(task.kill(1ms));
    g.open();
    task.join();
    CHECK(after);
}

HUB_TEST("a pool on the stack of a task that is unwound with its thread is waited for") {
    std::atomic<bool> finished{false}, begun{false};
    std::thread{[&] {
        weft::spawn([&] {
            weft::thread_pool pool{1};
            (void)pool.spawn([&] {
                begun = true;
                for (int i = 0; i < 1000; ++i) std::this_thread::yield();
                finished = true;
            });
            weft::sleep_for(1h);
        });
        while (!begun) weft::yield();
    }}.join();
    CHECK(finished);
}

HUB_TEST("a callback of the hub may spawn, and may even destroy a pool, which blocks there") {
    std::optional<weft::thread_pool> pool{std::in_place, 1};
    weft::event done;
    gate g;
    std::optional<weft::future<int>> value;
    weft::hub::current().post([&] {
        value = pool->spawn([&] {
            g.pass();
            return 5;
        });
        CHECK_THROWS_AS(pool->join(), weft::blocking_in_hub);
        CHECK_THROWS_AS(pool->wait_available(), weft::blocking_in_hub);
        g.open();
        pool.reset();
        CHECK(value->ready());
        done.set();
    });
    done.wait();
    CHECK(value->get() == 5);
}

HUB_TEST("a job may destroy its own pool, which waits for the others") {
    auto pool = std::make_unique<weft::thread_pool>(2);
    gate g;
    const auto other = pool->spawn([&] { g.pass(); });
    weft::event begun;
    const auto destroys = pool->spawn([&, p = &pool] {
        begun.set();
        p->reset();
        return other.ready();
    });
    begun.wait();
    g.open();
    CHECK(destroys.get());
    CHECK(pool == nullptr);
}

HUB_TEST("a task that a job leaves behind is unwound with the pool's thread") {
    bool unwound = false;
    {
        weft::thread_pool pool{1};
        pool.apply([&] {
            weft::spawn([&] {
                const test::when_destroyed left_behind{[&] { unwound = true; }};
                weft::sleep_for(1h);
            });
            weft::yield();
        });
    }
    CHECK(unwound);
}

HUB_TEST("stress: pools that are terminated at once give every future an outcome") {
    constexpr int rounds = test::under_tsan || test::under_asan ? 40 : 200;
    int ran = 0, dropped = 0;
    for (int i = 0; i < rounds; ++i) {
        std::vector<weft::future<void>> futures;
        {
            weft::thread_pool pool{2};
            for (int k = 0; k < 6; ++k) futures.push_back(pool.spawn([] {}));
            if (i % 2) weft::yield();
            pool.terminate();
        }
        for (const auto& f : futures) {
            REQUIRE(f.ready());
            ++(f.successful() ? ran : dropped);
        }
    }
    CHECK(ran + dropped == 6 * rounds);
}
