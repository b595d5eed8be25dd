// pthread_once, std::call_once, C11's call_once and static variables: one initialises, the others wait, tasks and threads.
#include <atomic>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include <pthread.h>
#include <threads.h>

#include <weft/error.hpp>
#include <weft/timeout.hpp>

#include "shim/differential.hpp"
#include "support/forked.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;

namespace {

/// Until it holds; other tasks run meanwhile.
template <class Condition>
void until(Condition holds) {
    while (!holds()) weft::sleep_for(1ms);
}

// ThreadSanitizer runs these calls itself, and its threads wait.
constexpr bool replaced = test::under_tsan;

std::atomic<int> runs{0};
std::atomic<bool> let_go{false};

void slow_function() {
    runs.fetch_add(1);
    until([] { return let_go.load(); });
    runs.fetch_add(100);
}

// C's functions take no captures.
void reset() {
    runs = 0;
    let_go = false;
}

DIFFERENTIAL("pthread_once runs its function once, and returns 0 each time") {
    pthread_once_t control = PTHREAD_ONCE_INIT;
    reset();
    out("first", [&] { return c.pthread_once(&control, [] { runs.fetch_add(1); }); });
    out("second", [&] { return c.pthread_once(&control, [] { runs.fetch_add(1); }); });
    out.value("runs", runs);
    once_flag flag = ONCE_FLAG_INIT;
    ::call_once(&flag, [] { runs.fetch_add(10); });
    ::call_once(&flag, [] { runs.fetch_add(10); });
    out.value("runs with call_once", runs);
}

}  // namespace

HUB_TEST("a pthread_once whose function parks: others of the thread and of other threads wait until it is done") {
    for (const bool named : {true, false}) {
        if (replaced && !named) continue;
        const test::calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        pthread_once_t control = PTHREAD_ONCE_INIT;
        reset();
        std::atomic<int> through{0};
        const auto enter = [&] {
            CHECK(c.pthread_once(&control, slow_function) == 0);
            CHECK(runs == 101);
            through.fetch_add(1);
        };
        std::vector<weft::task<void>> tasks;
        for (int i = 0; i < 20; ++i) tasks.push_back(weft::spawn(enter));
        until([] { return runs == 1; });
        std::thread plain{enter};
        std::thread hub{[&] {
            std::vector<weft::task<void>> inner;
            for (int i = 0; i < 20; ++i) inner.push_back(weft::spawn(enter));
            weft::joinall(inner);
        }};
        weft::sleep_for(20ms);
        CHECK(through == 0);
        let_go = true;
        weft::joinall(tasks);
        plain.join();
        hub.join();
        CHECK(through == 41);
    }
}

HUB_TEST("C11's call_once parks its callers while another runs the function") {
    if (replaced) return;
    const test::patched now;
    once_flag flag = ONCE_FLAG_INIT;
    reset();
    std::vector<weft::task<void>> tasks;
    for (int i = 0; i < 5; ++i)
        tasks.push_back(weft::spawn([&] {
            ::call_once(&flag, slow_function);
            CHECK(runs == 101);
        }));
    until([] { return runs == 1; });
    let_go = true;
    weft::joinall(tasks);
}

HUB_TEST("an exception that leaves std::call_once's function leaves the call, and the next runs its own function") {
    if (replaced) return;
    const test::patched now;
    constexpr int tasks = 2000, last = 1500;
    std::once_flag flag;
    std::vector<int> order;
    int thrown = 0;
    std::vector<weft::task<void>> all;
    for (int i = 0; i < tasks; ++i)
        all.push_back(weft::spawn([&, i] {
            try {
                std::call_once(flag, [&, i] {
                    order.push_back(i);
                    weft::yield();
                    if (i % 50 == 0) weft::sleep_for(1ms);
                    if (static_cast<int>(order.size()) < last) throw i;
                });
            } catch (const int who) {
                CHECK(who == i);
                ++thrown;
            }
        }));
    weft::joinall(all);
    // Everybody who ran anything ran his own, once.
    CHECK(static_cast<int>(order.size()) == last);
    CHECK(thrown == last - 1);
    std::vector<bool> seen(tasks, false);
    for (const int i : order) {
        CHECK_FALSE(seen[static_cast<std::size_t>(i)]);
        seen[static_cast<std::size_t>(i)] = true;
    }
}

HUB_TEST("exceptions and parking in std::call_once, from hubs and plain threads at once") {
    if (replaced) return;
    const test::patched now;
    for (int round = 0; round < 20; ++round) {
        std::once_flag flag;
        std::atomic<int> tries{0}, done{0}, thrown{0};
        const auto enter = [&](bool in_task) {
            int mine = 0;
            try {
                std::call_once(flag, [&] {
                    ++mine;
                    if (in_task) weft::yield();
                    if (tries.fetch_add(1) < 10) throw std::runtime_error{"again"};
                    done.fetch_add(1);
                });
            } catch (const std::runtime_error&) {
                thrown.fetch_add(1);
                CHECK(mine == 1);
            }
        };
        std::vector<std::thread> threads;
        for (int t = 0; t < 2; ++t)
            threads.emplace_back([&] {
                std::vector<weft::task<void>> inner;
                for (int i = 0; i < 30; ++i) inner.push_back(weft::spawn([&] { enter(true); }));
                weft::joinall(inner);
            });
        for (int t = 0; t < 4; ++t) threads.emplace_back([&] { enter(false); });
        for (auto& thread : threads) thread.join();
        CHECK(tries == 11);
        CHECK(thrown == 10);
        CHECK(done == 1);
    }
}

HUB_TEST("an exception that leaves weft::shim::pthread_once leaves the call, and another may try") {
    pthread_once_t control = PTHREAD_ONCE_INIT;
    CHECK_THROWS_AS(weft::shim::pthread_once(&control, [] { throw std::runtime_error{"no"}; }), std::runtime_error);
    reset();
    CHECK(weft::shim::pthread_once(&control, [] { runs.fetch_add(1); }) == 0);
    CHECK(runs == 1);
}

HUB_TEST("nested std::call_once, of which the inner one waits, run each their own function") {
    if (replaced) return;
    const test::patched now;
    std::once_flag outer, inner;
    std::string log;
    auto holder = weft::spawn([&] {
        std::call_once(inner, [&] {
            weft::sleep_for(5ms);
            log += "inner ";
        });
    });
    weft::yield();
    std::call_once(outer, [&] {
        std::call_once(inner, [&] { log += "wrong "; });
        log += "outer";
    });
    holder.join();
    CHECK(log == "inner outer");
}

HUB_TEST("a once that was done before patching stays done, and one done by a task is done for all") {
    if (replaced) return;
    pthread_once_t early = PTHREAD_ONCE_INIT, late = PTHREAD_ONCE_INIT;
    reset();
    ::pthread_once(&early, [] { runs.fetch_add(1); });
    {
        const test::patched now;
        ::pthread_once(&early, [] { runs.fetch_add(1); });
        ::pthread_once(&late, [] { runs.fetch_add(1); });
        std::thread{[&] { ::pthread_once(&late, [] { runs.fetch_add(1); }); }}.join();
    }
    ::pthread_once(&late, [] { runs.fetch_add(1); });
    CHECK(runs == 2);
}

HUB_TEST("a once that a thread began before patching is waited for by tasks, and the other way round") {
    if (replaced) return;
    pthread_once_t control = PTHREAD_ONCE_INIT;
    reset();
    std::thread beginner{[&] {
        ::pthread_once(&control, [] {
            runs.fetch_add(1);
            while (!let_go) std::this_thread::sleep_for(1ms);
            runs.fetch_add(100);
        });
    }};
    until([] { return runs == 1; });
    std::thread waiter{[&] {
        ::pthread_once(&control, slow_function);
        CHECK(runs == 101);
    }};
    {
        const test::patched now;
        auto task = weft::spawn([&] {
            ::pthread_once(&control, slow_function);
            CHECK(runs == 101);
        });
        weft::sleep_for(15ms);
        CHECK_FALSE(task.ready());
        let_go = true;
        task.get();
        beginner.join();
        waiter.join();
    }
}

HUB_TEST("a kill stays pending while a once is waited for") {
    if (replaced) return;
    const test::patched now;
    pthread_once_t control = PTHREAD_ONCE_INIT;
    reset();
    auto first = weft::spawn([&] { ::pthread_once(&control, slow_function); });
    bool came_through = false;
    auto second = weft::spawn([&] {
        ::pthread_once(&control, slow_function);
        came_through = true;
        weft::sleep_for(1h);
        came_through = false;
    });
    auto third = weft::spawn([&] {
        const weft::timeout limit{5ms};
        ::pthread_once(&control, slow_function);
        return runs.load();
    });
    weft::yield();
    CHECK_FALSE(second.kill(20ms));
    CHECK_FALSE(second.ready());
    CHECK_FALSE(third.ready());
    let_go = true;
    CHECK(second.join(5s));
    CHECK(came_through);
    first.join();
    third.join();
}

HUB_TEST("in a forked child a once that a thread of the parent runs is begun anew; what was done stays done") {
    if (replaced) return;
    const test::patched now;
    pthread_once_t running = PTHREAD_ONCE_INIT, done = PTHREAD_ONCE_INIT;
    reset();
    ::pthread_once(&done, [] {});
    std::thread runner{[&] {
        ::pthread_once(&running, [] {
            runs.fetch_add(1);
            while (!let_go) std::this_thread::sleep_for(1ms);
        });
    }};
    until([] { return runs == 1; });
    auto waiter = weft::spawn([&] { ::pthread_once(&running, slow_function); });
    weft::yield();
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        ::alarm(10);
        ::pthread_once(&done, [] { ::_exit(3); });
        ::pthread_once(&running, [] { runs = 40; });
        auto after = weft::spawn([&] { ::pthread_once(&running, [] { ::_exit(4); }); });
        after.join();
        ::_exit(runs == 40 ? 7 : 1);
    }
    CHECK(test::exited_with(test::end_of(child), 7));
    let_go = true;
    runner.join();
    waiter.join();
}

HUB_TEST("a pthread_exit() in the function lets the next one run it") {
    if (replaced) return;
    const test::patched now;
    static pthread_once_t control = PTHREAD_ONCE_INIT;
    reset();
    pthread_t thread;
    REQUIRE(::pthread_create(&thread, nullptr, [](void*) -> void* {
        ::pthread_once(&control, [] { ::pthread_exit(nullptr); });
        return nullptr;
    }, nullptr) == 0);
    CHECK(::pthread_join(thread, nullptr) == 0);
    ::pthread_once(&control, [] { runs.fetch_add(1); });
    CHECK(runs == 1);
}
