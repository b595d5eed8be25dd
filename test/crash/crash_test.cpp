// How a process ends that has nothing to stand on, or that ends in the middle of things: with a text.
#include <csignal>
#include <initializer_list>
#include <string>

#include <doctest/doctest.h>

#include "support/child.hpp"

namespace {

test::child_end run(const char* how, const std::vector<std::string>& variables = {}) {
    return test::run_child({WEFT_CHILD_PROGRAM, how}, variables);
}

void check_aborts(const test::child_end& end, std::initializer_list<const char*> words) {
    CAPTURE(end.output);
    CHECK(end.killed_by(SIGABRT));
    for (const char* w : words) {
        CAPTURE(w);
        CHECK(end.says(w));
    }
}

}  // namespace

TEST_CASE("destroying an event that somebody waits on aborts and names the remedy") {
    check_aborts(run("destroy-event"), {"destroyed while somebody waits on it", "join its waiters first"});
}

TEST_CASE("destroying a mutex that somebody waits for aborts and names the remedy") {
    check_aborts(run("destroy-mutex"), {"destroyed while somebody waits on it", "join its waiters first"});
}

TEST_CASE("a deadlock that main does not catch ends the process with the explanation") {
    check_aborts(run("deadlock"), {"weft::deadlock", "blocked for ever", "'stuck': waits for an event"});
}

TEST_CASE("an unknown kind of switch is refused by name") {
    check_aborts(run("use-a-fiber", {"WEFT_SWITCH=nonsense"}), {"WEFT_SWITCH must be 'ret' or 'boost'"});
    CHECK(run("use-a-fiber", {"WEFT_SWITCH=boost"}).exited_with(0));
    CHECK(run("use-a-fiber", {"WEFT_SWITCH=ret"}).exited_with(0));
}

TEST_CASE("when main returns, tasks that still live are unwound, newest first") {
    const auto end = run("main-ends");
    CHECK(end.exited_with(0));
    CHECK(end.output == "main returns\nnewer unwound\nolder unwound\n");
}

TEST_CASE("exit() in a task leaves every stack alone") {
    const auto end = run("exit-in-a-task");
    CHECK(end.exited_with(7));
    CHECK(end.output.empty());
}

TEST_CASE("an error that nobody asks for is one line on standard error, and the process goes on") {
    const auto end = run("unhandled-error");
    CHECK(end.exited_with(0));
    CHECK(end.says("'careless' ended with an exception that nobody asked for: std::runtime_error: nobody looks"));
    CHECK(end.says("went on"));
}

TEST_CASE("an error that leaves a posted function is one line too") {
    const auto end = run("callback-throws");
    CHECK(end.exited_with(0));
    CHECK(end.says("std::runtime_error: posted"));
    CHECK(end.says("went on"));
}

TEST_CASE("a fiber that survives the drop of its last handle is named, kept, and does not stop the exit") {
    const auto end = run("survivor");
    CHECK(end.exited_with(0));
    CHECK(end.says("did not end although its last handle was dropped"));
    CHECK(end.says("went on"));
}

TEST_CASE("exit() in a task does not wait for what is offloaded") { CHECK(run("exit-with-offload").exited_with(7)); }

TEST_CASE("a pool that nobody destroys does not hold the process up, and its queue is left") {
    const auto end = run("main-ends-with-jobs");
    CHECK(end.exited_with(0));
    CHECK(end.output == "main returns\n");
}

TEST_CASE("a static pool runs all its jobs before the process ends") {
    const auto end = run("main-ends-static-pool");
    CHECK(end.exited_with(0));
    CHECK(end.output == "main returns\na job is done\na job is done\na job is done\n");
}

TEST_CASE("exit() in a task waits for a static pool's jobs and still leaves every stack alone") {
    const auto end = run("exit-in-a-task-static-pool");
    CHECK(end.exited_with(7));
    CHECK(end.output == "a job is done\n");
}

TEST_CASE("exit() in a job of a static pool ends the process") { CHECK(run("exit-in-a-job").exited_with(7)); }
