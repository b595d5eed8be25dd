// What weft/offload.hpp promises.
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <signal.h>

#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/hub.hpp>
#include <weft/offload.hpp>
#include <weft/semaphore.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/no_threads.hpp"
#include "support/sanitizers.hpp"
#include "support/task_test.hpp"
#include "support/when_destroyed.hpp"

using namespace std::chrono_literals;

namespace {

/// The limit of the pool for a test's duration.
struct limited {
    int before = weft::offload_limit();
    explicit limited(int threads) { weft::set_offload_limit(threads); }
    ~limited() { weft::set_offload_limit(before); }
};

}  // namespace

// The first test: later the pool has a thread that can do the work.
HUB_TEST("without any thread it throws, and nothing has been called") {
    bool called = false;
    {
        const test::no_threads refused;
        CHECK_THROWS_AS(weft::offload([&] { called = true; }), std::system_error);
    }
    CHECK_FALSE(called);
    CHECK(weft::offload([] { return 1; }) == 1);
}

HUB_TEST("the function runs on another thread, and its value comes back") {
    const auto here = std::this_thread::get_id();
    CHECK(weft::offload([&] { return std::this_thread::get_id() != here; }));
    CHECK(weft::offload([] { return std::make_unique<int>(5); }).get()[0] == 5);
    int number = 1;
    int& same = weft::offload([&]() -> int& { return number; });
    CHECK(&same == &number);
    weft::offload([&] { ++number; });
    CHECK(number == 2);
}

HUB_TEST("function and arguments are passed by reference: nothing is copied, move-only ones may be moved from") {
    std::string text = "a";
    auto owned = std::make_unique<int>(3);
    weft::offload([](std::string& to) { to += "b"; }, text);
    CHECK(text == "ab");
    CHECK(weft::offload([](std::unique_ptr<int> p) { return *p; }, std::move(owned)) == 3);
    CHECK(owned == nullptr);
    struct unmovable {
        unmovable() = default;
        unmovable(const unmovable&) = delete;
        int operator()() { return ++calls; }
        int calls = 0;
    } counter;
    CHECK(weft::offload(counter) == 1);
    CHECK(counter.calls == 1);
}

HUB_TEST("what the function throws is rethrown to the caller") {
    CHECK_THROWS_AS(weft::offload([] { throw std::out_of_range("far"); }), std::out_of_range);
    CHECK_THROWS_AS(weft::offload([]() -> int { throw 7; }), int);
    CHECK(weft::offload([] { return 1; }) == 1);
}

HUB_TEST("other tasks run meanwhile") {
    std::atomic<bool> go{false};
    auto other = weft::spawn([&] { go = true; });
    weft::offload([&] {
        while (!go) std::this_thread::yield();
    });
    CHECK(other.ready());
}

HUB_TEST("a kill does not end the wait: it stays pending and comes at the next one") {
    std::atomic<bool> go{false};
    bool returned = false;
    auto task = weft::spawn([&] {
        weft::offload([&] {
            while (!go) std::this_thread::yield();
        });
        returned = true;
        weft::sleep_for(1h);
    });
    weft::yield();
    CHECK_FALSE(task.kill(weft::deadline::past()));
    CHECK_FALSE(task.kill(1ms));
    CHECK_FALSE(returned);
    go = true;
    task.join();
    CHECK(returned);
    CHECK_THROWS_AS(task.get(), weft::task_killed);
}

HUB_TEST("in a callback of the hub it throws before anything is started") {
    std::atomic<bool> ran{false};
    weft::event done;
    weft::hub::current().post([&] {
        CHECK_THROWS_AS(weft::offload([&] { ran = true; }), weft::blocking_in_hub);
        done.set();
    });
    done.wait();
    weft::offload([] {});
    CHECK_FALSE(ran);
}

TEST_CASE("a plain thread may offload, too") {
    int got = 0;
    std::thread{[&] { got = weft::offload([] { return 4; }); }}.join();
    CHECK(got == 4);
}

// The thread keeps its hub, and that its descriptors: no HUB_TEST.
TEST_CASE("the function may use weft on the pool's thread") {
    const int got = weft::offload([] {
        auto task = weft::spawn([] {
            weft::sleep_for(1ms);
            return 6;
        });
        return task.get();
    });
    CHECK(got == 6);
}

HUB_TEST("with every thread busy a function in the pool may still offload: it is called at once") {
    const limited one{1};
    const bool same = weft::offload([] {
        const auto here = std::this_thread::get_id();
        return weft::offload([&] { return std::this_thread::get_id() == here; });
    });
    CHECK(same);
}

HUB_TEST("at most as many run at once as the limit says, and the rest has its turn in order") {
    const limited two{2};
    std::atomic<int> now{0}, most{0};
    std::vector<weft::task<void>> tasks;
    for (int i = 0; i < 40; ++i)
        tasks.push_back(weft::spawn([&] {
            weft::offload([&] {
                const int n = ++now;
                int seen = most;
                while (n > seen && !most.compare_exchange_weak(seen, n)) {}
                std::this_thread::yield();
                --now;
            });
        }));
    weft::joinall(tasks);
    CHECK(most <= 2);

    weft::set_offload_limit(1);
    std::atomic<bool> go{false};
    std::vector<int> order;
    tasks.clear();
    for (int i = 0; i < 5; ++i)
        tasks.push_back(weft::spawn([&, i] {
            weft::offload([&] {
                while (!go) std::this_thread::yield();
                order.push_back(i);
            });
        }));
    weft::yield();
    go = true;
    weft::joinall(tasks);
    CHECK(order == std::vector{0, 1, 2, 3, 4});
    CHECK_THROWS_AS(weft::set_offload_limit(0), std::invalid_argument);
    CHECK(weft::offload_limit() == 1);
}

HUB_TEST("raising the limit gives a thread to what waits for one") {
    const limited one{1};
    weft::semaphore begun{0};
    std::atomic<bool> go{false};
    std::vector<weft::task<void>> tasks;
    for (int i = 0; i < 3; ++i)
        tasks.push_back(weft::spawn([&] {
            weft::offload([&] {
                begun.release();
                while (!go) std::this_thread::yield();
            });
        }));
    weft::yield();
    begun.acquire();
    weft::set_offload_limit(3);
    begun.acquire();
    begun.acquire();
    go = true;
    weft::joinall(tasks);
}

HUB_TEST("every signal is blocked on the pool's threads") {
    const bool blocked = weft::offload([] {
        sigset_t set;
        pthread_sigmask(SIG_SETMASK, nullptr, &set);
        return sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGALRM) == 1;
    });
    CHECK(blocked);
}

HUB_TEST("a function on the stack of a task that is unwound with its thread is waited for") {
    std::atomic<bool> finished{false}, seen{false}, begun{false};
    std::thread{[&] {
        weft::spawn([&] {
            const test::when_destroyed at_end{[&] { seen = finished.load(); }};
            weft::offload([&] {
                begun = true;
                for (int i = 0; i < 1000; ++i) std::this_thread::yield();
                finished = true;
            });
        });
        while (!begun) weft::yield();
    }}.join();
    CHECK(finished);
    CHECK(seen);
}

HUB_TEST("stress: tasks of several hubs offload at once, and each gets its own value") {
    constexpr int hubs = 2, tasks = 8, rounds = test::under_tsan || test::under_asan ? 30 : 200;
    const limited three{3};
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int h = 0; h < hubs; ++h)
        threads.emplace_back([&, h] {
            std::vector<weft::task<void>> mine;
            for (int t = 0; t < tasks; ++t)
                mine.push_back(weft::spawn([&, h, t] {
                    for (int i = 0; i < rounds; ++i) {
                        const int want = (h * tasks + t) * rounds + i;
                        try {
                            const int got = weft::offload([&] { return i % 7 == 3 ? throw want : want; });
                            wrong += got != want || i % 7 == 3;
                        } catch (int thrown) {
                            wrong += thrown != want || i % 7 != 3;
                        }
                    }
                }));
            weft::joinall(mine);
        });
    for (auto& t : threads) t.join();
    CHECK(wrong == 0);
}
