// The end of real threads: pthread_join and its kin.
#include <atomic>
#include <thread>
#include <vector>

#include <pthread.h>
#include <threads.h>
#include <unistd.h>

#include "shim/differential.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;

namespace {

void* const forty_two = reinterpret_cast<void*>(std::uintptr_t{42});

/// Ends by itself after so many milliseconds, with 42.
pthread_t start(long milliseconds) {
    pthread_t thread;
    const auto body = [](void* p) -> void* {
        std::this_thread::sleep_for(std::chrono::milliseconds{reinterpret_cast<long>(p)});
        return forty_two;
    };
    REQUIRE(::pthread_create(&thread, nullptr, body, reinterpret_cast<void*>(milliseconds)) == 0);
    return thread;
}

timespec in(clockid_t clock, std::chrono::milliseconds span) {
    timespec when{};
    ::clock_gettime(clock, &when);
    const auto ns = when.tv_nsec + std::chrono::nanoseconds{span}.count();
    return {when.tv_sec + ns / 1'000'000'000, ns % 1'000'000'000};
}

// weft::shim has pthread_join alone of them: that run is a second one through the interposed symbols.
struct patched_if_named {
    explicit patched_if_named(const test::calls& c) : on{c.named} {
        if (on) REQUIRE(weft::monkey::patch_all());
    }
    ~patched_if_named() {
        if (on) weft::monkey::unpatch_all();
    }
    bool on;
};

}  // namespace

DIFFERENTIAL("pthread_join waits for the thread's end and tells its result; one that has ended is joined at once") {
    void* result = nullptr;
    const pthread_t slow = start(80);
    out("slow", [&] { return c.pthread_join(slow, &result); });
    out.value("result", reinterpret_cast<std::intptr_t>(result));
    const pthread_t no_result = start(30);
    out("null", [&] { return c.pthread_join(no_result, nullptr); });
    const pthread_t ended = start(0);
    c.usleep(50'000);
    result = nullptr;
    out("ended", [&] { return c.pthread_join(ended, &result); });
    out.value("result", reinterpret_cast<std::intptr_t>(result));
    const pthread_t cancelled = start(60'000);
    ::pthread_cancel(cancelled);
    out("cancelled", [&] { return c.pthread_join(cancelled, &result); });
    out.value("result", result == PTHREAD_CANCELED);
}

DIFFERENTIAL("pthread_join refuses itself and detached threads") {
    out("itself", [&] { return c.pthread_join(::pthread_self(), nullptr); });
    static std::atomic<bool> let_go;
    let_go = false;
    pthread_t detached;
    const auto body = [](void*) -> void* {
        while (!let_go) std::this_thread::sleep_for(1ms);
        return nullptr;
    };
    REQUIRE(::pthread_create(&detached, nullptr, body, nullptr) == 0);
    REQUIRE(::pthread_detach(detached) == 0);
    out("detached", [&] { return c.pthread_join(detached, nullptr); });
    let_go = true;
}

DIFFERENTIAL("pthread_timedjoin_np and pthread_clockjoin_np give up in time, and join what ends before") {
    const patched_if_named here{c};
    const pthread_t thread = start(300);
    void* result = nullptr;
    const timespec soon = in(CLOCK_REALTIME, 60ms), steady = in(CLOCK_MONOTONIC, 120ms), early{-1, 0};
    out("timed", [&] { return ::pthread_timedjoin_np(thread, &result, &soon); });
    out("clock", [&] { return ::pthread_clockjoin_np(thread, &result, CLOCK_MONOTONIC, &steady); });
    out("past", [&] { return ::pthread_timedjoin_np(thread, &result, &soon); });
    out("before all time", [&] { return ::pthread_timedjoin_np(thread, &result, &early); });
    out("no clock", [&] { return ::pthread_clockjoin_np(thread, &result, 77, &steady); });
    out("a clock of CPU time", [&] { return ::pthread_clockjoin_np(thread, &result, CLOCK_PROCESS_CPUTIME_ID, &steady); });
    const timespec late = in(CLOCK_REALTIME, 5s);
    out.untimed("joined", [&] { return ::pthread_timedjoin_np(thread, &result, &late); });
    out.value("result", reinterpret_cast<std::intptr_t>(result));
    const pthread_t other = start(30), third = start(30);
    out("without limit", [&] { return ::pthread_timedjoin_np(other, nullptr, nullptr); });
    out("without limit, of a clock", [&] { return ::pthread_clockjoin_np(third, nullptr, CLOCK_MONOTONIC, nullptr); });
}

HUB_TEST("a time that is none is refused, as the manual has it") {
    const test::patched now;
    const pthread_t thread = start(20);
    for (const timespec bad : {timespec{5, -1}, timespec{5, 1'000'000'000}})
        CHECK(::pthread_timedjoin_np(thread, nullptr, &bad) == EINVAL);
    CHECK(::pthread_join(thread, nullptr) == 0);
}

DIFFERENTIAL("thrd_join tells the number that a C11 thread has returned") {
    const patched_if_named here{c};
    thrd_t thread;
    const auto body = [](void*) {
        std::this_thread::sleep_for(30ms);
        return -5;
    };
    REQUIRE(::thrd_create(&thread, body, nullptr) == thrd_success);
    int result = 0;
    out("thrd_join", [&] { return ::thrd_join(thread, &result); });
    out.value("result", result);
    out("itself", [&] { return ::thrd_join(::thrd_current(), nullptr); });
}

HUB_TEST("many tasks join many threads at once, each its own") {
    const test::patched now;
    constexpr long count = 60;
    test::beside_ticker ticks;
    std::vector<weft::task<int>> tasks;
    for (long i = 0; i < count; ++i)
        tasks.push_back(weft::spawn([i] {
            void* result = nullptr;
            const pthread_t thread = start(10 + i % 7);
            CHECK(::pthread_join(thread, &result) == 0);
            return result == forty_two ? 1 : 0;
        }));
    int right = 0;
    for (auto& task : tasks) right += task.get();
    CHECK(right == count);
    CHECK(ticks.stop() < 100ms * test::patience());
}

HUB_TEST("std::thread::join and std::jthread's end park the task") {
    const test::patched now;
    std::atomic<bool> let_go{false};
    bool other_ran = false;
    auto joiner = weft::spawn([&] {
        std::thread thread{[&] {
            while (!let_go) std::this_thread::sleep_for(1ms);
        }};
        thread.join();
    });
    auto scoped = weft::spawn([&] {
        const std::jthread thread{[&](const std::stop_token& stop) {
            while (!stop.stop_requested() || !let_go) std::this_thread::sleep_for(1ms);
        }};
    });
    weft::sleep_for(10ms);
    other_ran = true;
    CHECK_FALSE(joiner.ready());
    CHECK_FALSE(scoped.ready());
    let_go = true;
    CHECK(joiner.join(5s));
    CHECK(scoped.join(5s));
    CHECK(other_ran);
}

HUB_TEST("a kill stays pending while a thread is joined") {
    const test::patched now;
    bool joined = false;
    auto task = weft::spawn([&] {
        const pthread_t thread = start(100);
        joined = ::pthread_join(thread, nullptr) == 0;
        weft::sleep_for(1h);
    });
    weft::sleep_for(5ms);
    CHECK_FALSE(task.kill(10ms));
    CHECK(task.join(5s));
    CHECK(joined);
}

TEST_CASE("child: main ends while tasks join" * doctest::skip()) {
    test::check_no_leaks();
    if (!weft::monkey::patch_all()) ::_exit(2);
    for (int i = 0; i < 3; ++i) (void)weft::spawn([] { ::pthread_join(start(3'600'000), nullptr); });
    weft::sleep_for(20ms);
}

TEST_CASE("a process ends although tasks join threads that go on") {
    const auto end = test::run_child({"/proc/self/exe", "--no-skip", "--test-case=child: main ends while tasks join"});
    CAPTURE(end.output);
    CHECK(end.exited_with(0));
}

TEST_CASE("a thread that ends waits for a thread which its task joins, if that ends soon") {
    const test::patched now;
    std::atomic<bool> joined{false};
    std::thread{[&] {
        (void)weft::spawn([&] { joined = ::pthread_join(start(100), nullptr) == 0; });
        weft::sleep_for(5ms);
    }}.join();
    CHECK(joined);
}
