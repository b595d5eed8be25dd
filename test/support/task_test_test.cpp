// What support/task_test.hpp promises: each way of failing fails the program and names the test.
#include <string>

#include <doctest/doctest.h>

#include <weft/semaphore.hpp>
#include <weft/task.hpp>

#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;

namespace {

test::child_end run_case(const std::string& name) {
    return test::run_child({WEFT_FAILING_TESTS, "--test-case=" + name}, {"WEFT_TEST_LIMIT_MS=300"});
}

void check_fails(const std::string& name, const char* why) {
    CAPTURE(name);
    const auto end = run_case(name);
    CAPTURE(end.output);
    CHECK(end.failed());
    CHECK(end.says(name.c_str()));
    CHECK(end.says(why));
}

}  // namespace

TEST_CASE("a body that does nothing wrong passes") {
    CHECK(run_case("passes").exited_with(0));
    CHECK(run_case("passes on the real hub").exited_with(0));
}

TEST_CASE("a failed REQUIRE ends the test wherever it stands") {
    check_fails("requires in the body", "REQUIRE( 1 == 2 )");
    check_fails("requires in a task that is joined", "REQUIRE( 1 == 2 )");
    check_fails("requires in a task that nobody joins", "REQUIRE( 1 == 2 )");
    check_fails("requires in a fiber", "REQUIRE( 1 == 2 )");
}

TEST_CASE("an error that nobody asks for fails the test, on whichever thread") {
    check_fails("throws in a task that nobody joins", "thrown by nobody's child");
    check_fails("throws in a task of another thread", "thrown far away");
}

TEST_CASE("what a test leaves behind fails it") {
    check_fails("leaves a task", "leaves behind: 1 tasks");
    check_fails("leaves a fiber", "leaves behind: 1 fibers, 1 stacks");
    check_fails("leaves a descriptor", "leaves behind: 1 descriptors");
}

TEST_CASE("a test that waits for what cannot come is told so") {
    check_fails("waits for ever", "blocked for ever");
}

// ThreadSanitizer holds a signal back until the next call into libc, which these never make.
TEST_CASE("a test that runs for ever is named and aborted" * doctest::skip(test::under_tsan)) {
    check_fails("yields for ever", "the test hangs: \"yields for ever\"");
    check_fails("turns for ever", "the test hangs: \"turns for ever\"");
}

TEST_CASE("the clock of a HUB_TEST cannot be driven") {
    check_fails("advances the real clock", "test::clock in a HUB_TEST");
}

TASK_TEST("the hand-driven clock wakes whoever slept until then, and nobody before") {
    weft::semaphore gate{0};
    auto late = weft::spawn([&] { return gate.try_acquire_until(weft::deadline::after(5s)); });
    test::settle();
    test::clock.advance(5s - 1ns);
    test::settle();
    CHECK_FALSE(late.ready());
    test::clock.advance(1ns);
    CHECK_FALSE(late.get());
}
