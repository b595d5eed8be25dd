// What context/stack.hpp promises of a thread's stacks.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "context/overflow.hpp"
#include "context/stack.hpp"
#include "support/forked.hpp"

using weft::stack_guard;
using weft::detail::guard_size;
using weft::detail::page_size;
using weft::detail::stack;
using weft::detail::stack_pool;

// The sources of the pool are compiled into this program, and no fiber runs in it.
bool weft::detail::describe_overflow(const void*, overflow_report&) noexcept { return false; }

namespace {

long allocations_left = -1;  // the one after them fails; none does if negative

constexpr std::size_t default_size = std::size_t{192} * 1024;

struct with_options {
    explicit with_options(weft::stack_options wanted) : before{weft::set_stack_options(wanted)} {}
    ~with_options() { weft::set_stack_options(before); }
    weft::stack_options before;
};

std::vector<stack> take(stack_pool& pool, std::size_t count, std::size_t size) {
    std::vector<stack> taken;
    taken.reserve(count);
    while (taken.size() < count) taken.push_back(pool.take(size));
    return taken;
}

void give(stack_pool& pool, const std::vector<stack>& stacks) {
    for (const stack& s : stacks) pool.give(s);
}

bool resident(const std::byte* at) {
    unsigned char answer = 0;
    auto* page = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(at) / page_size * page_size);
    return ::mincore(page, page_size, &answer) == 0 && (answer & 1) != 0;
}

bool mapped(const std::byte* at) {
    unsigned char answer = 0;
    auto* page = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(at) / page_size * page_size);
    return ::mincore(page, page_size, &answer) == 0;
}

bool has_lightweight_guards() {
    constexpr int guard_install = 102;
    void* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const bool has = ::madvise(page, 4096, guard_install) == 0;
    ::munmap(page, 4096);
    return has;
}

std::size_t mappings() {
    std::ifstream maps{"/proc/self/maps"};
    return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>{maps}, {}, '\n'));
}

// The signal that a write to `at` ends a process with, or 0.
int ends_with(std::byte* at) {
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        for (const int signal : {SIGSEGV, SIGBUS}) ::signal(signal, SIG_DFL);
        *const_cast<volatile std::byte*>(at) = std::byte{1};
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    if (allocations_left == 0) throw std::bad_alloc{};
    if (allocations_left > 0) --allocations_left;
    if (void* made = std::malloc(size)) return made;
    throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* gone) noexcept { std::free(gone); }
[[gnu::noinline]] void operator delete(void* gone, std::size_t) noexcept { std::free(gone); }

TEST_CASE("all that was asked for is usable, for every size") {
    stack_pool pool;
    for (std::size_t size = 16 * 1024; size <= 300 * 1024; size += 1000) {
        const stack s = pool.take(size);
        CHECK(s.size() >= size);
        CHECK(s.size() <= size + 3 * page_size);
        pool.give(s);
    }
    const stack large = pool.take(std::size_t{1} << 30);
    CHECK(large.size() >= std::size_t{1} << 30);
    std::memset(large.bottom, 1, 1);
    pool.give(large);
}

TEST_CASE("stacks lie apart by a guard and an odd number of pages, at every size") {
    stack_pool pool;
    for (const std::size_t size : {std::size_t{16384}, std::size_t{20480}, std::size_t{65536}, default_size,
                                   std::size_t{1} << 20}) {
        const auto stacks = take(pool, 2, size);
        const auto stride = static_cast<std::size_t>(stacks[1].bottom - stacks[0].bottom);
        CHECK(stride >= size + guard_size);
        CHECK(stride / page_size % 2 == 1);
        give(pool, stacks);
    }
}

TEST_CASE("a default stack and its guard take 260 KiB of address space") {
    stack_pool pool;
    const auto stacks = take(pool, 2, default_size);
    CHECK(stacks[1].bottom - stacks[0].bottom == 260 * 1024);
    give(pool, stacks);
}

TEST_CASE("tops are staggered by 16 steps within one page") {
    stack_pool pool;
    const auto stacks = take(pool, 64, default_size);
    std::set<std::uintptr_t> offsets;
    for (const stack& s : stacks) {
        const auto top = reinterpret_cast<std::uintptr_t>(s.top);
        CHECK(top % 64 == 0);
        offsets.insert((top - 1) % page_size);
    }
    CHECK(offsets.size() == 16);
    CHECK(*offsets.begin() >= page_size - 1024);
    give(pool, stacks);
}

TEST_CASE("no huge page ever holds a stack") {
    stack_pool pool;
    const stack s = pool.take(default_size);
    std::ifstream maps{"/proc/self/smaps"};
    bool inside = false, refuses = false;
    for (std::string line; std::getline(maps, line);) {
        unsigned long from = 0, to = 0;
        const auto at = reinterpret_cast<std::uintptr_t>(s.bottom);
        if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2) inside = from <= at && at < to;
        if (inside && line.starts_with("VmFlags:")) refuses = line.find(" nh") != std::string::npos;
    }
    CHECK(refuses);
    pool.give(s);
}

TEST_CASE("sizes that round to the same pages share a class") {
    stack_pool pool;
    const stack a = pool.take(17'000);
    pool.give(a);
    const stack b = pool.take(17'500);
    CHECK(b.bottom == a.bottom);
    CHECK(pool.slabs() == 1);
    pool.give(b);
}

// Memcheck does not know lightweight guards, and starts the instruction that has hit one again for ever.
TEST_CASE("a write below a stack ends the process, with either guard, and none is left out in a batch" *
          doctest::skip(std::getenv("WEFT_TEST_MEMCHECK") != nullptr)) {
    for (const stack_guard kind : {stack_guard::automatic, stack_guard::lightweight, stack_guard::mprotect}) {
        if (kind == stack_guard::lightweight && !has_lightweight_guards()) continue;
        const with_options chosen{{.guard = kind}};
        stack_pool pool;
        const auto stacks = take(pool, 2000, 16 * 1024);
        for (const std::size_t i : {0, 7, 8, 500, 1998, 1999}) {
            CHECK(ends_with(stacks[i].bottom - 1) == SIGSEGV);
            CHECK(ends_with(stacks[i].bottom - guard_size) == SIGSEGV);
            CHECK(ends_with(stacks[i].bottom) == 0);
        }
        give(pool, stacks);
    }
}

TEST_CASE("without guards nothing stops a write below a stack, and only who asks for that gets it") {
    const with_options chosen{{.guard = stack_guard::none}};
    stack_pool pool;
    const stack s = pool.take(default_size);
    CHECK(ends_with(s.bottom - 1) == 0);
    pool.give(s);
}

TEST_CASE("lightweight guards take no mapping, mprotected ones two a stack") {
    for (const stack_guard kind : {stack_guard::lightweight, stack_guard::mprotect}) {
        if (kind == stack_guard::lightweight && !has_lightweight_guards()) continue;
        const with_options chosen{{.guard = kind}};
        stack_pool pool;
        const std::size_t before = mappings();
        const auto stacks = take(pool, 3000, 16 * 1024);
        const std::size_t added = mappings() - before;
        if (kind == stack_guard::lightweight) CHECK(added <= 12);
        else CHECK(added >= 5990);
        give(pool, stacks);
    }
}

TEST_CASE("many stacks share few slabs") {
    stack_pool pool;
    const auto stacks = take(pool, 10'000, default_size);
    CHECK(pool.in_use() == 10'000);
    CHECK(pool.slabs() <= 12);
    give(pool, stacks);
    CHECK(pool.in_use() == 0);
}

TEST_CASE("a stack that comes back is the next one taken, with its memory") {
    stack_pool pool;
    const stack first = pool.take(default_size);
    *first.bottom = std::byte{42};
    pool.give(first);
    CHECK(pool.in_use() == 0);
    const stack again = pool.take(default_size);
    CHECK(again.bottom == first.bottom);
    CHECK(again.top == first.top);
    CHECK(*again.bottom == std::byte{42});
    CHECK(pool.in_use() == 1);
    pool.give(again);
}

TEST_CASE("beyond the warm limit, the memory of the stack given back longest ago goes to the system") {
    const with_options chosen{{.warm_bytes = 2 * 200 * 1024}};
    stack_pool pool;
    const auto stacks = take(pool, 3, default_size);
    for (const stack& s : stacks) *s.bottom = std::byte{1};
    give(pool, stacks);
    CHECK_FALSE(resident(stacks[0].bottom));
    CHECK_FALSE(resident(stacks[0].top - 1));
    CHECK(resident(stacks[1].bottom));
    CHECK(resident(stacks[2].bottom));
}

TEST_CASE("with a warm limit of 0 every stack comes back clean") {
    const with_options chosen{{.warm_bytes = 0}};
    stack_pool pool;
    for (int i = 0; i < 3; ++i) {
        const stack s = pool.take(default_size);
        CHECK(*s.bottom == std::byte{0});
        *s.bottom = std::byte{1};
        pool.give(s);
    }
}

TEST_CASE("trimming gives back what is warm and unmaps what holds no stack in use") {
    stack_pool pool;
    auto stacks = take(pool, 100, default_size);
    for (const stack& s : stacks) *s.bottom = std::byte{1};
    const stack kept = stacks.front();
    stacks.erase(stacks.begin());
    give(pool, stacks);
    CHECK(resident(stacks.back().bottom));
    pool.trim();
    CHECK(pool.slabs() == 1);
    CHECK(pool.in_use() == 1);
    CHECK(*kept.bottom == std::byte{1});
    CHECK_FALSE(resident(stacks.front().bottom));  // beside the kept one
    CHECK_FALSE(mapped(stacks.back().bottom));
    pool.give(kept);
    pool.trim();
    CHECK(pool.slabs() == 0);
    const stack next = pool.take(default_size);
    pool.give(next);
}

TEST_CASE("a pool takes changed options up when it is trimmed") {
    stack_pool pool;
    const stack first = pool.take(default_size);
    const with_options chosen{{.guard = stack_guard::none, .warm_bytes = 0}};
    pool.give(first);
    pool.trim();
    const stack s = pool.take(default_size);
    CHECK(ends_with(s.bottom - 1) == 0);
    *s.bottom = std::byte{1};
    pool.give(s);
    CHECK_FALSE(resident(s.bottom));

    (void)weft::set_stack_options({});
    pool.trim();
    const stack other = pool.take(default_size);
    CHECK(ends_with(other.bottom - 1) == SIGSEGV);
    other.top[-1] = std::byte{1};
    pool.give(other);
    CHECK(resident(other.top - 1));
}

TEST_CASE("after a burst the slabs that nobody needs are unmapped by themselves") {
    const with_options chosen{{.warm_bytes = 0}};
    stack_pool pool;
    const auto few = take(pool, 10, default_size);
    const auto many = take(pool, 20'000, default_size);
    const std::size_t most = pool.slabs();
    give(pool, many);
    CHECK(pool.slabs() < most);
    CHECK_FALSE(mapped(many[12'000].bottom));
    CHECK(pool.in_use() == 10);
    give(pool, few);
}

TEST_CASE("taking and giving one at the edge of a slab maps and unmaps nothing") {
    const with_options chosen{{.warm_bytes = 0}};
    stack_pool pool;
    for (const std::size_t held : {8, 16, 32, 64}) {
        const auto stacks = take(pool, held, default_size);
        const stack first = pool.take(default_size);
        const std::size_t slabs = pool.slabs();
        pool.give(first);
        for (int i = 0; i < 10; ++i) {
            CHECK(pool.slabs() == slabs);
            const stack s = pool.take(default_size);
            CHECK(pool.slabs() == slabs);
            pool.give(s);
        }
        give(pool, stacks);
    }
}

TEST_CASE("a stack in use outlives its pool") {
    auto pool = std::make_unique<stack_pool>();
    const stack s = pool->take(default_size);
    const auto other = take(*pool, 100, default_size);
    give(*pool, other);
    *s.bottom = std::byte{7};
    pool.reset();
    CHECK(*s.bottom == std::byte{7});
    CHECK_FALSE(mapped(other.back().bottom));
    ::munmap(s.bottom - guard_size, 8 * 260 * 1024);
}

TEST_CASE("an allocation that fails loses nothing, whichever it is") {
    stack_pool pool;
    std::vector<stack> stacks;
    stacks.reserve(100);
    int failures = 0;
    while (stacks.size() < 100) {
        const std::size_t slabs = pool.slabs();
        for (long good = 0;; ++good) {
            allocations_left = good;
            try {
                stacks.push_back(pool.take(default_size));
                allocations_left = -1;
                break;
            } catch (const std::bad_alloc&) {
                allocations_left = -1;
                ++failures;
                CHECK(pool.in_use() == stacks.size());
                CHECK(pool.slabs() == slabs);
            }
        }
    }
    CHECK(failures >= 8);
    give(pool, stacks);
    CHECK(pool.in_use() == 0);
}

TEST_CASE("how deep a stack has been used shows in pages") {
    using weft::detail::stack_used;
    const with_options chosen{{.warm_bytes = 0}};
    stack_pool pool;
    for (const std::size_t size : {default_size, std::size_t{3} << 20}) {
        const stack s = pool.take(size);
        const std::size_t first_page = reinterpret_cast<std::uintptr_t>(s.top - 1) % page_size + 1;
        s.top[-1] = std::byte{1};
        CHECK(stack_used(s) == first_page);
        s.top[-9000] = std::byte{1};
        CHECK(stack_used(s) >= 9000);
        CHECK(stack_used(s) < 9000 + page_size);
        *s.bottom = std::byte{1};
        CHECK(stack_used(s) == s.size());
        pool.give(s);
    }
}
