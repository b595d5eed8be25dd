// What weft/stack.hpp and fiber_options::stack_size promise of fibers.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <sys/mman.h>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/stack.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

namespace {

std::string refusal(std::size_t size) {
    try {
        weft::fiber f{[] {}, {.stack_size = size}};
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
    return "accepted";
}

// Uses about `bytes` of stack.
[[gnu::noinline]] char use_stack(std::size_t bytes) {
    auto* room = static_cast<char*>(__builtin_alloca(bytes));
    std::memset(room, 1, bytes);
    asm volatile("" : : "r"(room) : "memory");
    return room[bytes / 2];
}

}  // namespace

TASK_TEST("a stack of 0, of 1 byte and of 1 TiB is refused with the range in the text") {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{16} * 1024 - 1, std::size_t{1} << 40,
                                   (std::size_t{1} << 30) + 1, ~std::size_t{0}}) {
        const std::string text = refusal(size);
        CHECK(text.find("between 16 KiB and 1 GiB") != std::string::npos);
        CHECK(text.find(std::to_string(size)) != std::string::npos);
        CHECK_THROWS_AS(weft::spawn({.stack_size = size}, [] {}), std::invalid_argument);
    }
}

TASK_TEST("the smallest stack and a large one work, and the default is what it says") {
    CHECK(refusal(16 * 1024) == "accepted");
    CHECK(weft::spawn({.stack_size = std::size_t{64} << 20}, [] { return use_stack(std::size_t{60} << 20); }).get() == 1);
    const std::size_t most = weft::default_stack_size() - 16 * 1024;
    CHECK(weft::spawn([most] { return use_stack(most); }).get() == 1);
}

TASK_TEST("a callable that would fill its stack is refused") {
    struct large {
        char room[16 * 1024];
        void operator()() const {}
    };
    CHECK_THROWS_AS((weft::fiber{large{}, {.stack_size = 16 * 1024}}), std::invalid_argument);
    CHECK_NOTHROW((weft::fiber{large{}, {.stack_size = 64 * 1024}}));
}

TASK_TEST("an over-aligned callable lies aligned") {
    struct alignas(128) wide {
        void operator()() const { CHECK(reinterpret_cast<std::uintptr_t>(this) % 128 == 0); }
    };
    weft::fiber{wide{}}.switch_to();
}

TASK_TEST("many fibers at a time, then again in the same stacks") {
    constexpr int count = test::under_tsan ? 200 : 2000;  // there a fiber costs milliseconds
    for (int round = 0; round < 2; ++round) {
        std::vector<weft::fiber> fibers;
        for (int i = 0; i < count; ++i)
            fibers.emplace_back([i] { return weft::fiber::current().parent().switch_to(i).as<int>() + 1; });
        long sum = 0;
        for (auto& f : fibers) sum += f.switch_to().as<int>();
        CHECK(sum == count * (count - 1L) / 2);
        for (auto& f : fibers) sum -= f.switch_to(0).as<int>();
        CHECK(sum == count * (count - 1L) / 2 - count);
    }
}

// The thread sanitizer would call it a race.
TEST_CASE("threads with nothing between them may have their stacks at the same addresses, one after the other") {
    std::atomic<bool> first_has_ended{false};
    const auto work = [] { return weft::fiber{[] { return use_stack(20'000); }}.switch_to().as<char>(); };
    std::thread second{[&] {
        while (!first_has_ended.load(std::memory_order_relaxed)) std::this_thread::yield();
        CHECK(work() == 1);
    }};
    std::thread{[&] { CHECK(work() == 1); }}.join();
    first_has_ended.store(true, std::memory_order_relaxed);
    second.join();
}

// With a sanitizer, frames are larger and have shadows of their own.
constexpr bool frames_are_ours = !test::under_asan && !test::under_tsan;

// Pages that are resident in the stacks in which these addresses lie.
std::size_t resident_pages(const std::vector<std::uintptr_t>& inside) {
    constexpr std::size_t page = 4096, below = 47;
    std::array<unsigned char, below + 1> pages;
    std::size_t resident = 0;
    for (const std::uintptr_t at : inside) {
        auto* lowest = reinterpret_cast<void*>(at / page * page - below * page);
        REQUIRE(::mincore(lowest, pages.size() * page, pages.data()) == 0);
        resident += static_cast<std::size_t>(std::count_if(pages.begin(), pages.end(), [](auto p) { return p & 1; }));
    }
    return resident;
}

// Who calls a function of a library first has the dynamic linker on its stack: only the second round counts.
TEST_CASE("a suspended fiber costs one page of memory: its record, its function and its first frames" *
          doctest::skip(!frames_are_ours)) {
    constexpr std::size_t count = 10'000;
    std::size_t resident = 0;
    for (int round = 0; round < 2; ++round) {
        weft::trim_stacks();
        std::vector<std::uintptr_t> inside;
        std::vector<weft::fiber> fibers;
        inside.reserve(count);
        fibers.reserve(count);
        const auto body = [&] {
            char here = 0;
            inside.push_back(reinterpret_cast<std::uintptr_t>(&here));
            weft::fiber::current().parent().switch_to(static_cast<int>(inside.size()));
        };
        while (fibers.size() < count) fibers.emplace_back(body);
        for (auto& f : fibers) f.switch_to();
        resident = resident_pages(inside);
    }
    CHECK(resident == count);
    weft::trim_stacks();
}

TEST_CASE("a parked task costs one page" * doctest::skip(!frames_are_ours)) {
    constexpr std::size_t count = 2'000;
    std::size_t resident = 0;
    for (int round = 0; round < 2; ++round) {
        weft::trim_stacks();
        std::vector<std::uintptr_t> inside;
        std::vector<weft::task<void>> tasks;
        weft::event go;
        inside.reserve(count);
        while (tasks.size() < count)
            tasks.push_back(weft::spawn([&] {
                char here = 0;
                inside.push_back(reinterpret_cast<std::uintptr_t>(&here));
                go.wait();
            }));
        while (inside.size() < count) weft::yield();
        resident = resident_pages(inside);
        go.set();
        CHECK(weft::joinall(tasks));
    }
    CHECK(resident == count);
}

TASK_TEST("trim_stacks() leaves the stacks of those that live alone, and the thread makes fibers as before") {
    int turns = 0;
    weft::fiber kept{[&] { for (;;) { ++turns; weft::fiber::current().parent().switch_to(); } }};
    kept.switch_to();
    weft::fiber{[] {}}.switch_to();
    weft::trim_stacks();
    kept.switch_to();
    weft::fiber{[&] { ++turns; }}.switch_to();
    CHECK(turns == 3);
}

TASK_TEST("stack_size() is at least what was asked for, and stack_used() what has been touched") {
    const auto before = weft::set_stack_options({.warm_bytes = 0});
    weft::trim_stacks();
    weft::fiber f{[] {
                      volatile char deep[40 * 1024];
                      for (std::size_t i = 0; i < sizeof deep; i += 1024) deep[i] = 1;
                      weft::fiber::current().parent().switch_to();
                  },
                  {.stack_size = 100'000}};
    CHECK(f.stack_size() >= 100'000);
    CHECK(f.stack_size() < 120'000);
    CHECK(f.stack_used() <= 8 * 1024);
    f.switch_to();
    CHECK(f.stack_used() >= 40 * 1024);
    CHECK(f.stack_used() <= f.stack_size());
    f.switch_to();
    CHECK(f.stack_size() == 0);
    CHECK(f.stack_used() == 0);
    CHECK(weft::fiber::main().stack_size() == 0);
    CHECK_THROWS_AS(weft::fiber{}.stack_size(), std::invalid_argument);
    std::thread{[&] { CHECK_THROWS_AS(f.stack_used(), weft::wrong_thread); }}.join();
    weft::set_stack_options(before);
    weft::trim_stacks();
}

TEST_CASE("set_stack_options() returns the options until then") {
    const auto first = weft::set_stack_options({.guard = weft::stack_guard::mprotect, .warm_bytes = 5});
    CHECK(first.guard == weft::stack_guard::automatic);
    CHECK(first.report_overflow);
    const auto second = weft::set_stack_options(first);
    CHECK(second.guard == weft::stack_guard::mprotect);
    CHECK(second.warm_bytes == 5);
}
