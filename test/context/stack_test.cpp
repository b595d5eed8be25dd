// What context/stack.hpp and fiber_options::stack_size promise.
#include <cstdlib>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <weft/fiber.hpp>
#include <weft/task.hpp>

#include "context/stack.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using weft::detail::stack;
using weft::detail::stack_pool;

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
    const std::size_t most = weft::default_stack_size() - 32 * 1024;
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

TEST_CASE("a stack that comes back is the next one taken") {
    stack_pool pool;
    const stack first = pool.take(64 * 1024);
    pool.give(first);
    const stack again = pool.take(64 * 1024);
    CHECK(again.bottom == first.bottom);
    CHECK(pool.in_use() == 1);
    pool.give(again);
    CHECK(pool.in_use() == 0);
}

TEST_CASE("stacks lie apart by a guard and by no power of two, with their tops staggered") {
    stack_pool pool;
    std::vector<stack> stacks;
    for (int i = 0; i < 64; ++i) stacks.push_back(pool.take(64 * 1024));
    std::set<std::uintptr_t> offsets;
    for (const stack& s : stacks) {
        CHECK(s.size() >= 64 * 1024 - 1024);
        offsets.insert(reinterpret_cast<std::uintptr_t>(s.top) % 4096);
    }
    CHECK(offsets.size() >= 8);
    const auto stride = static_cast<std::size_t>(stacks[1].bottom - stacks[0].bottom);
    CHECK(stride >= 64 * 1024 + weft::detail::guard_size);
    CHECK((stride & (stride - 1)) != 0);
    CHECK(stride / 4096 % 2 == 1);
    for (const stack& s : stacks) pool.give(s);
}

TEST_CASE("many stacks share few mappings") {
    stack_pool pool;
    std::vector<stack> stacks;
    for (int i = 0; i < 1000; ++i) stacks.push_back(pool.take(16 * 1024));
    CHECK(pool.slabs() <= 12);
    for (const stack& s : stacks) pool.give(s);
}

TEST_CASE("sizes that round to the same pages share a class") {
    stack_pool pool;
    const stack a = pool.take(20'000);
    pool.give(a);
    const stack b = pool.take(20'480);
    CHECK(b.bottom == a.bottom);
    CHECK(pool.slabs() == 1);
    pool.give(b);
}

// A sanitizer's own memory would not fit into the limit, nor would an emulator's.
TEST_CASE("a refused mapping loses nothing: the fibers before it live, and there is room again afterwards" *
          doctest::skip(test::under_asan || test::under_tsan || std::getenv("WEFT_TEST_RUNNER"))) {
    const auto end = test::run_child({WEFT_CHILD_PROGRAM, "address-space"});
    CAPTURE(end.output);
    CHECK(end.exited_with(0));
    CHECK(end.says("refused: weft: memory for a stack of"));
    CHECK(end.says("all survived"));
}
