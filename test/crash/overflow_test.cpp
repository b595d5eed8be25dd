// What weft/stack.hpp promises of a stack that overflows, and of all other faults.
#include <csignal>
#include <initializer_list>
#include <string>

#include <doctest/doctest.h>

#include "support/child.hpp"

namespace {

test::child_end run(const char* how, const std::vector<std::string>& variables = {}) {
    return test::run_child({WEFT_OVERFLOW_PROGRAM, how}, variables);
}

void check_report(const test::child_end& end, std::initializer_list<const char*> words) {
    CAPTURE(end.output);
    CHECK(end.killed_by(SIGSEGV));
    CHECK(end.says("weft: stack overflow in "));
    CHECK(end.says("fiber_options::stack_size"));
    CHECK(end.says("default_stack_kib"));
    for (const char* w : words) {
        CAPTURE(w);
        CHECK(end.says(w));
    }
    CHECK(end.output.find("overflow") == end.output.rfind("overflow"));
}

void check_silent_death(const test::child_end& end) {
    CHECK(end.killed_by(SIGSEGV));
    CHECK(end.output.empty());
}

}  // namespace

TEST_CASE("an overflow in a task names it, its stack and the remedy, and the process dies by SIGSEGV") {
    check_report(run("task"), {"task ", " 'deep': its stack has ", " bytes, and it has gone ", " deep; "});
}

TEST_CASE("the same with guards made by mprotect") {
    check_report(run("task", {"WEFT_GUARD=mprotect"}), {" 'deep': its stack has "});
}

TEST_CASE("an overflow in an explicit fiber without a name says its number and its own stack size") {
    const auto end = run("fiber");
    check_report(end, {"fiber "});
    const auto at = end.output.find(" has ");
    REQUIRE(at != std::string::npos);
    const long size = std::stol(end.output.substr(at + 5));
    CHECK(size >= 65'536);
    CHECK(size < 65'536 + 3 * 4096);
    CHECK_FALSE(end.says("'"));
}

TEST_CASE("frames of 40 KiB do not jump over the guard") { check_report(run("large-frames"), {"'wide'"}); }

TEST_CASE("an overflow in another thread than main is reported too") {
    check_report(run("thread"), {"fiber ", "'of a thread'"});
}

TEST_CASE("in a stack that others have had before, the one that runs is named") {
    const auto end = run("second-life");
    check_report(end, {"'late'"});
    CHECK_FALSE(end.says("outer"));
}

TEST_CASE("a null dereference is no overflow") { check_silent_death(run("null")); }

TEST_CASE("a stray write into the guard of a fiber that does not run is no overflow") {
    check_silent_death(run("guard-of-another"));
}

TEST_CASE("after the report the handler that was there before weft runs, on the alternate stack") {
    const auto end = run("overflow-with-handler");
    CAPTURE(end.output);
    CHECK(end.exited_with(3));
    CHECK(end.says("weft: stack overflow in task"));
    CHECK(end.output.find("handler: signal 11") > end.output.find("weft: stack overflow"));
    CHECK(end.says("on the alternate stack"));
}

TEST_CASE("other faults reach the previous handler with their siginfo and its mask") {
    const auto end = run("null-with-handler");
    CAPTURE(end.output);
    CHECK(end.exited_with(3));
    CHECK(end.says("handler: signal 11, address 0x18, code 1, SEGV blocked, USR1 blocked, USR2 blocked"));
    CHECK_FALSE(end.says("overflow"));
}

TEST_CASE("a previous handler with SA_NODEFER runs with SIGSEGV open") {
    const auto end = run("null-with-nodefer");
    CHECK(end.exited_with(3));
    CHECK(end.says("SEGV open, USR1 blocked, USR2 open"));
}

TEST_CASE("a previous handler without SA_SIGINFO gets the number") {
    const auto end = run("null-with-old-handler");
    CHECK(end.exited_with(3));
    CHECK(end.output == "handler: a number\n");
}

TEST_CASE("a previous handler may recover as often as it likes, and overflows are still reported") {
    const auto end = run("recovers");
    CAPTURE(end.output);
    CHECK(end.output.starts_with("recovered\nrecovered\nweft: stack overflow in task"));
}

TEST_CASE("a previous handler with SA_RESETHAND runs once") {
    const auto end = run("recovers-once");
    CHECK(end.killed_by(SIGSEGV));
    CHECK(end.output == "recovered\n");
}

TEST_CASE("a handler installed later replaces the report, and runs although the stack is used up") {
    const auto end = run("handler-after-weft");
    CHECK(end.exited_with(3));
    CHECK(end.says("handler: signal 11"));
    CHECK_FALSE(end.says("overflow"));
}

TEST_CASE("a handler installed later that calls the one before gets the report") {
    const auto end = run("handler-that-chains");
    CAPTURE(end.output);
    CHECK(end.killed_by(SIGSEGV));
    CHECK(end.output.starts_with("chained\nweft: stack overflow in task"));
}

TEST_CASE("a SIGSEGV that somebody sends does what it did without weft") {
    check_silent_death(run("sent"));
    const auto ignored = run("sent-to-who-ignores");
    CHECK(ignored.exited_with(0));
    CHECK(ignored.output == "went on\n");
    check_silent_death(run("null-in-who-ignores"));
}

TEST_CASE("without report_overflow neither handler nor alternate stack is touched") {
    check_silent_death(run("no-report"));
}

TEST_CASE("an alternate stack that the thread already has stays, and serves") {
    const auto end = run("own-alternate-stack");
    check_report(end, {"kept\n"});
}

TEST_CASE("a thread's alternate stack goes with it") {
    const auto end = run("threads");
    CHECK(end.exited_with(0));
    CHECK(end.output == "no mapping left\n");
}

TEST_CASE("an unknown kind of guard is refused by name") {
    const auto end = run("task", {"WEFT_GUARD=nonsense"});
    CHECK(end.killed_by(SIGABRT));
    CHECK(end.says("WEFT_GUARD must be 'automatic', 'lightweight', 'mprotect' or 'none'"));
}
