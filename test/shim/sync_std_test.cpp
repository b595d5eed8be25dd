// What the standard library builds on futexes: semaphores, latches, barriers, atomic waits, promises and futures.
#include <atomic>
#include <barrier>
#include <future>
#include <latch>
#include <semaphore>
#include <thread>
#include <vector>

#include <sys/syscall.h>

#include "shim/differential.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;

namespace {

template <class Condition>
void until(Condition holds) {
    while (!holds()) weft::sleep_for(1ms);
}

/// Runs `body` in tasks of this thread and of another hub, and on plain threads, all at once.
template <class Body>
void everywhere(int tasks, int threads, Body body) {
    std::vector<std::thread> others;
    others.emplace_back([&] {
        std::vector<weft::task<void>> inner;
        for (int i = 0; i < tasks; ++i) inner.push_back(weft::spawn(body));
        weft::joinall(inner);
    });
    for (int i = 0; i < threads; ++i) others.emplace_back(body);
    std::vector<weft::task<void>> here;
    for (int i = 0; i < tasks; ++i) here.push_back(weft::spawn(body));
    weft::joinall(here);
    for (auto& thread : others) thread.join();
}

/// Whether the call, which may be made again, lets other tasks run and lasts about as long as it should. A stall of the
/// machine looks like a blocked thread, but not every time.
template <class Call>
auto lasts(std::chrono::milliseconds span, Call call) {
    for (int tries = 1;; ++tries) {
        test::beside_ticker ticks;
        const auto start = std::chrono::steady_clock::now();
        const auto result = call();
        const auto took = std::chrono::steady_clock::now() - start;
        const bool stalled = ticks.stop() >= 20ms * test::patience() || took >= span + 40ms * test::patience();
        if (stalled && tries < 5) continue;
        CHECK_FALSE(stalled);
        CHECK(took >= span - 1ms);
        return result;
    }
}

}  // namespace

HUB_TEST("std::counting_semaphore: never more inside than it has permits") {
    const test::patched now;
    constexpr std::ptrdiff_t permits = 3;
    std::counting_semaphore<permits> semaphore{permits};
    std::atomic<int> inside{0}, most{0}, passed{0};
    everywhere(20, 3, [&] {
        for (int i = 0; i < 10; ++i) {
            semaphore.acquire();
            const int count = inside.fetch_add(1) + 1;
            int before = most.load();
            while (before < count && !most.compare_exchange_weak(before, count)) {}
            ::sched_yield();
            inside.fetch_sub(1);
            semaphore.release();
            passed.fetch_add(1);
        }
    });
    CHECK(most <= permits);
    CHECK(passed == 10 * (2 * 20 + 3));
}

HUB_TEST("std::binary_semaphore hands work to and fro between a task and a thread, and gives up in time") {
    const test::patched now;
    std::binary_semaphore there{0}, back{0};
    int shared = 0;
    std::thread thread{[&] {
        for (int i = 0; i < 200; ++i) {
            there.acquire();
            ++shared;
            back.release();
        }
    }};
    for (int i = 0; i < 200; ++i) {
        ++shared;
        there.release();
        back.acquire();
    }
    thread.join();
    CHECK(shared == 400);
    CHECK_FALSE(lasts(60ms, [&] { return there.try_acquire_for(60ms); }));
    CHECK_FALSE(lasts(60ms, [&] { return there.try_acquire_until(std::chrono::steady_clock::now() + 60ms); }));
    CHECK_FALSE(lasts(60ms, [&] { return there.try_acquire_until(std::chrono::system_clock::now() + 60ms); }));
    CHECK_FALSE(lasts(0ms, [&] { return there.try_acquire_for(-1s); }));
    there.release();
    CHECK(there.try_acquire_for(1h));
}

HUB_TEST("std::latch lets all through once the last has come") {
    const test::patched now;
    std::latch latch{2 * 10 + 2};
    std::atomic<int> come{0}, gone{0};
    everywhere(10, 2, [&] {
        come.fetch_add(1);
        latch.arrive_and_wait();
        CHECK(come == 22);
        gone.fetch_add(1);
    });
    CHECK(gone == 22);
    CHECK(latch.try_wait());
}

HUB_TEST("std::barrier runs its completion once a round, among tasks and threads") {
    const test::patched now;
    constexpr int rounds = 30, members = 2 * 5 + 2;
    int completed = 0;
    std::barrier barrier{members, [&]() noexcept { ++completed; }};
    everywhere(5, 2, [&] {
        for (int i = 0; i < rounds; ++i) {
            barrier.arrive_and_wait();
            CHECK(completed >= i + 1);
            CHECK(completed <= i + 2);
        }
    });
    CHECK(completed == rounds);
}

HUB_TEST("std::atomic and std::atomic_flag: wait() parks until notify, by a task or a thread") {
    const test::patched now;
    std::atomic<int> number{0};
    std::atomic<std::int64_t> wide{0};
    std::atomic_flag flag = ATOMIC_FLAG_INIT;
    std::vector<weft::task<void>> waiters;
    std::atomic<int> woken{0};
    for (int i = 0; i < 10; ++i)
        waiters.push_back(weft::spawn([&] {
            number.wait(0);
            wide.wait(0);
            flag.wait(false);
            woken.fetch_add(1);
        }));
    std::thread plain{[&] {
        number.wait(0);
        wide.wait(0);
        flag.wait(false);
        woken.fetch_add(1);
    }};
    weft::sleep_for(5ms);
    number = 1;
    number.notify_all();
    std::thread{[&] {
        std::this_thread::sleep_for(5ms);
        wide = 1;
        wide.notify_all();
    }}.join();
    weft::sleep_for(5ms);
    CHECK(woken == 0);
    (void)flag.test_and_set();
    flag.notify_all();
    weft::joinall(waiters);
    plain.join();
    CHECK(woken == 11);
    int seen = 0;
    std::atomic<int> one{0};
    std::vector<weft::task<void>> few;
    for (int i = 0; i < 3; ++i)
        few.push_back(weft::spawn([&] {
            one.wait(0);
            ++seen;
        }));
    weft::sleep_for(5ms);
    one = 1;
    one.notify_one();
    weft::sleep_for(5ms);
    CHECK(seen >= 1);
    one.notify_all();
    weft::joinall(few);
}

HUB_TEST("std::promise and std::future between tasks, hubs and plain threads: values, exceptions, many waiters") {
    const test::patched now;
    std::promise<int> promise;
    const std::shared_future<int> shared = promise.get_future().share();
    std::atomic<int> sum{0};
    auto giver = weft::spawn([&] {
        weft::sleep_for(20ms);
        promise.set_value(3);
    });
    everywhere(10, 2, [&] { sum.fetch_add(shared.get()); });
    giver.join();
    CHECK(sum == 3 * 22);

    std::promise<void> broken;
    auto waiter = weft::spawn([f = broken.get_future()]() mutable { f.get(); });
    weft::yield();
    std::thread{[&] { broken.set_exception(std::make_exception_ptr(std::runtime_error{"broken"})); }}.join();
    CHECK_THROWS_AS(waiter.get(), std::runtime_error);

    std::packaged_task<int(int)> twice{[](int n) {
        weft::sleep_for(5ms);
        return 2 * n;
    }};
    auto answer = twice.get_future();
    auto runner = weft::spawn([&] { twice(21); });
    CHECK(answer.get() == 42);
    runner.join();
}

HUB_TEST("a future's wait_for and wait_until give up in time, and let other tasks run") {
    const test::patched now;
    std::promise<int> promise;
    auto future = promise.get_future();
    const auto late = std::future_status::timeout;
    CHECK(lasts(60ms, [&] { return future.wait_for(60ms); }) == late);
    CHECK(lasts(60ms, [&] { return future.wait_until(std::chrono::steady_clock::now() + 60ms); }) == late);
    CHECK(lasts(60ms, [&] { return future.wait_until(std::chrono::system_clock::now() + 60ms); }) == late);
    CHECK(lasts(0ms, [&] { return future.wait_for(-1h); }) == late);
    const test::later giver{test::plain_calls(), 20ms, [&] { promise.set_value(1); }};
    CHECK(future.wait_for(1h) == std::future_status::ready);
    CHECK(future.get() == 1);
}

HUB_TEST("std::async parks the task that wants the result, and the one that drops the future") {
    const test::patched now;
    std::vector<weft::task<int>> tasks;
    for (int i = 0; i < 10; ++i)
        tasks.push_back(weft::spawn([i] {
            auto f = std::async(std::launch::async, [i] {
                std::this_thread::sleep_for(20ms);
                return i;
            });
            return f.get();
        }));
    for (int i = 0; i < 10; ++i) CHECK(tasks[static_cast<std::size_t>(i)].get() == i);
    CHECK(lasts(30ms, [] {
        (void)std::async(std::launch::async, [] { std::this_thread::sleep_for(30ms); });
        return true;
    }));
    auto lazy = std::async(std::launch::deferred, [] {
        weft::sleep_for(5ms);
        return 7;
    });
    CHECK(lazy.get() == 7);
}

TEST_CASE("child: main ends before its tasks" * doctest::skip()) {
    test::check_no_leaks();
    if (!weft::monkey::patch_all()) ::_exit(2);
    static std::atomic<int> number{0};
    static std::counting_semaphore<2> never{0};
    static std::promise<void> promise;
    static const auto future = promise.get_future().share();
    for (int i = 0; i < 50; ++i) {
        (void)weft::spawn([] { number.wait(0); });
        (void)weft::spawn([] { future.wait(); });
        (void)weft::spawn([] { (void)never.try_acquire_for(1h); });
    }
    weft::sleep_for(5ms);
}

TEST_CASE("a thread that ends with many tasks in waits which nothing can end is not held up for long") {
    const auto start = std::chrono::steady_clock::now();
    const auto end = test::run_child({"/proc/self/exe", "--no-skip", "--test-case=child: main ends before its tasks"});
    CAPTURE(end.output);
    CHECK(end.exited_with(0));
    CHECK(std::chrono::steady_clock::now() - start < 10s * test::patience());
}

HUB_TEST("a task whose thread ends takes what is given to it meanwhile") {
    const test::patched now;
    std::atomic<int> number{0};
    std::atomic<bool> went_on{false};
    std::thread owner{[&] {
        (void)weft::spawn([&] {
            number.wait(0);
            went_on = true;
        });
        weft::sleep_for(5ms);
    }};
    weft::sleep_for(50ms);
    number = 1;
    number.notify_all();
    owner.join();
    CHECK(went_on);
}
