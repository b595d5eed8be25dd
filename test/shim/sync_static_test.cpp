// Static variables whose initialiser parks, throws or comes back; and the two other classic traps of locks among fibers.
#include <atomic>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include <cxxabi.h>

#include <weft/error.hpp>

#include "shim/differential.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;

// Declared by the library itself only for the compiler.
extern "C" int __cxa_guard_acquire(std::int64_t* guard);
extern "C" void __cxa_guard_release(std::int64_t* guard) noexcept;
extern "C" void __cxa_guard_abort(std::int64_t* guard) noexcept;

namespace {

template <class Condition>
void until(Condition holds) {
    while (!holds()) weft::sleep_for(1ms);
}

// ThreadSanitizer makes static variables itself, and its threads wait.
constexpr bool replaced = test::under_tsan;

std::atomic<int> made{0};

struct slow_to_make {
    slow_to_make() {
        made.fetch_add(1);
        weft::sleep_for(20ms);
        value = 42;
    }
    int value = 0;
};

template <int Which>
int value_of_static() {
    static const slow_to_make only;
    return only.value;
}

}  // namespace

HUB_TEST("a static variable whose initialiser parks is made once: tasks, hubs and plain threads wait for it") {
    if (replaced) return;
    const test::patched now;
    made = 0;
    std::vector<weft::task<int>> tasks;
    for (int i = 0; i < 200; ++i) tasks.push_back(weft::spawn(value_of_static<1>));
    until([] { return made == 1; });
    test::beside_ticker ticks;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([] { CHECK(value_of_static<1>() == 42); });
        threads.emplace_back([] {
            std::vector<weft::task<int>> inner;
            for (int k = 0; k < 20; ++k) inner.push_back(weft::spawn(value_of_static<1>));
            for (auto& task : inner) CHECK(task.get() == 42);
        });
    }
    for (auto& task : tasks) CHECK(task.get() == 42);
    CHECK(ticks.stop() < 20ms * test::patience());
    for (auto& thread : threads) thread.join();
    CHECK(made == 1);
}

HUB_TEST("a plain thread initialises, and tasks wait for it without stopping their thread") {
    if (replaced) return;
    const test::patched now;
    static std::atomic<bool> begun{false}, let_go{false};
    const auto use = [] {
        static const int value = [] {
            begun = true;
            while (!let_go) std::this_thread::sleep_for(1ms);
            return 9;
        }();
        return value;
    };
    std::thread thread{[&] { CHECK(use() == 9); }};
    until([] { return begun.load(); });
    auto task = weft::spawn(use);
    weft::sleep_for(5ms);
    CHECK_FALSE(task.ready());
    let_go = true;
    CHECK(task.get() == 9);
    thread.join();
}

HUB_TEST("an initialiser that throws has made nothing: the next one initialises") {
    if (replaced) return;
    const test::patched now;
    int tries = 0, thrown = 0;
    std::vector<weft::task<void>> tasks;
    for (int i = 0; i < 1000; ++i)
        tasks.push_back(weft::spawn([&] {
            try {
                static const int value = [&] {
                    weft::yield();
                    if (++tries < 300) throw std::runtime_error{"not yet"};
                    return tries;
                }();
                CHECK(value == 300);
            } catch (const std::runtime_error&) {
                ++thrown;
            }
        }));
    weft::joinall(tasks);
    CHECK(tries == 300);
    CHECK(thrown == 299);
}

namespace {
int depth = 0;
int circle() {
    static const int value = ++depth < 3 ? circle() : depth;
    return value;
}
}  // namespace

HUB_TEST("an initialiser that comes back to its own variable gets a lock_misuse, and the variable can be made later") {
    if (replaced) return;
    const test::patched now;
    CHECK_THROWS_AS((void)circle(), weft::lock_misuse);
    std::thread{[] {
        depth = 0;
        CHECK_THROWS_AS((void)circle(), weft::lock_misuse);
    }}.join();
    depth = 5;
    CHECK(circle() == 6);
}

TEST_CASE("threads that wait for a static variable in an unpatched program are told when it is made") {
    for (int round = 0; round < 20; ++round) {
        alignas(8) std::int64_t guard = 0;
        REQUIRE(__cxa_guard_acquire(&guard) == 1);
        std::atomic<int> through{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 3; ++i)
            threads.emplace_back([&] {
                while (__cxa_guard_acquire(&guard) == 1) __cxa_guard_abort(&guard);
                through.fetch_add(1);
            });
        std::this_thread::sleep_for(2ms);
        CHECK(through == 0);
        __cxa_guard_release(&guard);
        for (auto& thread : threads) thread.join();
        CHECK((guard & 1) == 1);
    }
}

HUB_TEST("who waits for a static variable since before patching is told by a task that has made it") {
    if (replaced) return;
    alignas(8) std::int64_t guard = 0;
    REQUIRE(__cxa_guard_acquire(&guard) == 1);
    std::thread waiter{[&] { CHECK(__cxa_guard_acquire(&guard) == 0); }};
    weft::sleep_for(5ms);
    const test::patched now;
    auto task = weft::spawn([&] { return __cxa_guard_acquire(&guard); });
    weft::yield();
    CHECK_FALSE(task.ready());
    __cxa_guard_release(&guard);
    CHECK(task.get() == 0);
    waiter.join();
}

HUB_TEST("a recursive mutex that is held across a switch lets no other task in") {
    const test::patched now;
    std::recursive_mutex mutex;
    int inside = 0, most = 0;
    std::vector<weft::task<void>> tasks;
    for (int i = 0; i < 4; ++i)
        tasks.push_back(weft::spawn([&] {
            const std::lock_guard outer{mutex};
            const std::lock_guard again{mutex};
            most = std::max(most, ++inside);
            weft::sleep_for(1ms);
            --inside;
        }));
    weft::joinall(tasks);
    CHECK(most == 1);
}

HUB_TEST("a mutex that is held across a switch makes the next task wait, not the thread") {
    const test::patched now;
    std::mutex mutex;
    std::string log;
    const auto body = [&](char name) {
        const std::lock_guard guard{mutex};
        log += name;
        weft::sleep_for(2ms);
        log += name;
    };
    auto a = weft::spawn(body, 'a'), b = weft::spawn(body, 'b');
    weft::sleep_for(1ms);
    log += '.';
    a.join();
    b.join();
    CHECK(log == "a.abb");
}
