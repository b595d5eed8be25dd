// shim/README.md, "In an unmodified program": LD_PRELOAD, WEFT_PATCH, and calls that come before their time.
#include <algorithm>

#include <doctest/doctest.h>

#include "support/child.hpp"
#include "support/sanitizers.hpp"

namespace {

const std::string preload = "LD_PRELOAD=" WEFT_SHIM_LIBRARY;

test::child_end child(const std::string& patch) {
    return test::run_child({WEFT_PRELOADED_CHILD}, {preload, "WEFT_PATCH=" + patch});
}

auto lines(const test::child_end& end) { return std::count(end.output.begin(), end.output.end(), '\n'); }

}  // namespace

TEST_CASE("a preloaded shim patches nothing unless WEFT_PATCH says so") {
    const auto unset = test::run_child({WEFT_PRELOADED_CHILD}, {preload});
    CHECK(unset.exited_with(0));
    CHECK_MESSAGE(unset.says("parks: time 0, poll 0, fd 0, socket 0"), unset.output);
    const auto empty = child("");
    CHECK_MESSAGE(empty.says("parks: time 0, poll 0, fd 0, socket 0"), empty.output);
}

TEST_CASE("WEFT_PATCH takes all, or a list of areas") {
    const auto all = child("all");
    CHECK_MESSAGE(all.says("parks: time 1, poll 1, fd 1, socket 1"), all.output);
    CHECK(lines(all) == 1);
    const auto one = child("poll");
    CHECK_MESSAGE(one.says("parks: time 0, poll 1, fd 0, socket 0"), one.output);
    const auto some = child("socket,time,,");
    CHECK_MESSAGE(some.says("parks: time 1, poll 0, fd 0, socket 1"), some.output);
}

TEST_CASE("an unknown word in WEFT_PATCH gets one line, and the others hold") {
    const auto end = child("fd,sockets,poll");
    CHECK(end.exited_with(0));
    CHECK_MESSAGE(end.says("weft: WEFT_PATCH: unknown word 'sockets'; known are all, time, "), end.output);
    CHECK(end.says("parks: time 0, poll 1, fd 1, socket 0"));
    CHECK(lines(end) == 2);
}

TEST_CASE("calls that come while originals are looked up get an answer, and no other module's constructor comes earlier") {
    if (test::under_asan || test::under_tsan) return;  // their own dlsym calls are not to be disturbed
    const auto end = test::run_child({WEFT_PRELOADED_CHILD},
                                     {"LD_PRELOAD=" WEFT_SHIM_LIBRARY " " WEFT_EARLY_LIBRARY, "WEFT_PATCH=all"});
    CHECK(end.exited_with(0));
    CHECK_MESSAGE(end.says("early: looked up, 0 wrong"), end.output);
    CHECK(end.says("later: 0 wrong"));
    CHECK(end.says("parks: time 1, poll 1, fd 1, socket 1"));
}
