// How a process ends while somebody still waits on what its static destructors destroy: with its own status.
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include <weft/event.hpp>
#include <weft/mutex.hpp>
#include <weft/queue.hpp>
#include <weft/semaphore.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/child.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;

namespace {

weft::event never;
weft::mutex held;
weft::semaphore none{0};
weft::queue<int> empty{4};

/// Runs one of the skipped cases below in a process of its own.
test::child_end run(const char* how) {
    return test::run_child({"/proc/self/exe", "--no-skip", std::string{"--test-case="} + how});
}

void check_ends(const char* how, int status) {
    const auto end = run(how);
    CAPTURE(end.output);
    CHECK(end.exited_with(status));
    CHECK_FALSE(end.says("destroyed while somebody waits"));
}

void wait_everywhere() {
    weft::spawn([] { held.lock(); weft::sleep_for(1h); });
    weft::yield();
    weft::spawn([] { never.wait(); });
    weft::spawn([] { held.lock(); });
    weft::spawn([] { none.acquire(); });
    weft::spawn([] { (void)empty.get(); });
    weft::yield();
}

}  // namespace

TEST_CASE("child: a task exits" * doctest::skip()) {
    test::check_no_leaks();
    wait_everywhere();
    weft::spawn([] { std::exit(5); });
    never.wait();
}

TEST_CASE("child: main exits" * doctest::skip()) {
    test::check_no_leaks();
    wait_everywhere();
    std::exit(6);
}

TEST_CASE("child: a main without a hub exits" * doctest::skip()) {
    test::check_no_leaks();
    std::thread{[] { never.wait(); }}.detach();
    std::thread{[] {
        wait_everywhere();
        never.wait();
    }}.detach();
    std::this_thread::sleep_for(50ms);
    std::exit(7);
}

TEST_CASE("child: a task of another thread exits" * doctest::skip()) {
    test::check_no_leaks();
    std::thread{[] {
        wait_everywhere();
        weft::spawn([] { std::exit(8); });
        never.wait();
    }}.join();
}

TEST_CASE("child: another thread exits" * doctest::skip()) {
    test::check_no_leaks();
    wait_everywhere();
    std::thread{[] { std::exit(9); }}.join();
}

TEST_CASE("exit() in a task ends the process with its status although others wait on static objects") {
    check_ends("child: a task exits", 5);
}

TEST_CASE("exit() in main does so, too") { check_ends("child: main exits", 6); }

TEST_CASE("exit() in a main that never used weft does so, too") {
    check_ends("child: a main without a hub exits", 7);
}

TEST_CASE("exit() in a task of another thread does so, too") {
    check_ends("child: a task of another thread exits", 8);
}

TEST_CASE("exit() in a plain thread does so, too") { check_ends("child: another thread exits", 9); }
