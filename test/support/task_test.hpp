// TASK_TEST and HUB_TEST: test cases whose body runs in a task, in a time limit, and leaves nothing behind.
#pragma once

#include <chrono>

#include <doctest/doctest.h>

#include <weft/testing.hpp>

namespace test {

/// The manual clock of the running TASK_TEST.
struct hand_driven_clock {
    /// Makes ready whoever slept until then; does not switch.
    /// @throws std::logic_error  in a HUB_TEST, where time passes by itself
    void advance(weft::clock::duration by) const;
};
inline constexpr hand_driven_clock clock{};

/// Runs every ready task until all are parked.
using weft::testing::settle;

/// How many times longer than usual this run's tests may take: WEFT_TEST_LIMIT_MS over its default.
int patience();

/// Open descriptors of the process.
int open_descriptors();

namespace detail {

enum class time_passes { by_hand, by_itself };

/// Runs `body` in a task of this thread's hub. Whatever leaves it, or a fiber or task that nobody asked, is
/// rethrown here; then the test fails if it holds more tasks, fibers, stacks, waits or descriptors than before.
/// A test that does not end within the limit (20 s, or WEFT_TEST_LIMIT_MS in the environment) is named, with
/// what can be told of it, and the process aborts.
void run(const char* name, time_passes how, void (*body)());

}  // namespace detail
}  // namespace test

#define WEFT_TEST_CASE(name, how, function)                                           \
    static void function();                                                           \
    DOCTEST_TEST_CASE(name) { ::test::detail::run(name, ::test::detail::time_passes::how, &function); } \
    static void function()

/// On a manual clock: test::clock.advance() moves time, and nothing sleeps for real.
#define TASK_TEST(name) WEFT_TEST_CASE(name, by_hand, DOCTEST_ANONYMOUS(weft_test_body_))

/// On the thread's real hub and clock, for what needs descriptors, libuv or other threads' time.
#define HUB_TEST(name) WEFT_TEST_CASE(name, by_itself, DOCTEST_ANONYMOUS(weft_test_body_))
