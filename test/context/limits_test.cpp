// What weft/stack.hpp promises when the system refuses memory, mappings or a kind of guard.
#include <doctest/doctest.h>

#include "support/child.hpp"
#include "support/sanitizers.hpp"

namespace {

test::child_end run(const char* how, const char* guard = "WEFT_GUARD=automatic") {
    return test::run_child({WEFT_LIMITS_PROGRAM, how}, {guard});
}

void check_refused_and_survived(const test::child_end& end, const char* words) {
    CAPTURE(end.output);
    CHECK(end.exited_with(0));
    CHECK(end.says(words));
    CHECK(end.says("all survived"));
    CHECK_FALSE(end.says("broken"));
}

}  // namespace

// A sanitizer's own memory would not fit into the limits, nor do its mappings.
TEST_SUITE_BEGIN("limits" * doctest::skip(test::under_asan || test::under_tsan));

TEST_CASE("RLIMIT_AS: what is refused is thrown, fibers live on, and there is room again afterwards") {
    check_refused_and_survived(run("large-stacks"), "refused: weft: memory for a stack of 41");
    check_refused_and_survived(run("default-stacks"), "refused: weft: memory for a stack of 196 KiB");
}

TEST_CASE("the wall of vm.max_map_count is named, with the remedy, and nothing is lost at it") {
    const auto end = run("wall");
    if (end.output == "not here\n") {
        MESSAGE("not tried: vm.max_map_count is so high here that memory would run out first");
        return;
    }
    check_refused_and_survived(end, "vm.max_map_count limits them; raise it (sysctl -w");
}

TEST_CASE("a kernel that guards one stack at a time costs no mappings") {
    CHECK(run("one-by-one").output == "few mappings\n");
}

TEST_CASE("a kernel without lightweight guards gets mprotect, unless lightweight was asked for") {
    CHECK(run("old-kernel").output == "two mappings a stack\n");
    const auto asked = run("old-kernel-asked");
    CHECK(asked.says("lightweight guards of stacks need Linux 6.13; use stack_guard::automatic"));
    CHECK(asked.says("two mappings a stack\n"));
    CHECK(run("old-kernel-told", "WEFT_GUARD=lightweight").says("need Linux 6.13"));
}

TEST_CASE("WEFT_GUARD says what automatic is") {
    CHECK(run("environment", "WEFT_GUARD=mprotect").output == "two mappings a stack\n");
    CHECK(run("environment", "WEFT_GUARD=lightweight").output == "few mappings\n");
    CHECK(run("environment", "WEFT_GUARD=none").output == "few mappings\n");
}

TEST_SUITE_END();
