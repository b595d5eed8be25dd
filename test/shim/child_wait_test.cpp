// Where a task waits for news of children: what it costs, what it leaves, and what ends it.
#include <vector>

#include <sys/ptrace.h>
#include <sys/resource.h>

#include <weft/error.hpp>
#include <weft/hub.hpp>

#include "shim/children.hpp"
#include "shim/differential.hpp"
#include "support/child.hpp"

using namespace std::chrono_literals;
using test::child_that;
using test::child_that_exits;
using test::nap_ms;

namespace {

constexpr int none = -1234;

void end(pid_t child) {
    ::kill(child, SIGKILL);
    while (::waitpid(child, nullptr, WNOHANG) == 0) nap_ms(1);
}

}  // namespace

HUB_TEST("a kill does not end a wait for a child, and is met at the next wait") {
    for (const bool any : {true, false}) {
        for (const bool named : {true, false}) {
            const test::calls& c = named ? test::named_calls() : test::plain_calls();
            const test::patched now;
            const pid_t child = child_that_exits(6, 60);
            pid_t got = 0;
            bool went_on = false;
            auto task = weft::spawn([&] {
                got = c.waitpid(any ? -1 : child, nullptr, 0);
                weft::sleep_for(1h);
                went_on = true;
            });
            weft::sleep_for(5ms);
            CHECK_FALSE(task.kill(5ms));
            CHECK(got == 0);
            task.join();
            CHECK(got == child);
            CHECK_FALSE(went_on);
        }
    }
}

HUB_TEST("without a descriptor to spare, children are waited for all the same") {
    const test::patched now;
    const pid_t child = child_that_exits(5, 40);
    rlimit before;
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit tight{3, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
    int status = none;
    const pid_t got = weft::spawn([&] { return ::waitpid(child, &status, 0); }).get();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(got == child);
    CHECK(WEXITSTATUS(status) == 5);
}

HUB_TEST("the stop of a traced child is seen, though a pidfd does not show it") {
    const test::patched now;
    for (const int options : {0, __WALL}) {
        const pid_t child = child_that([] {
            nap_ms(20);
            ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
            ::kill(::getpid(), SIGSTOP);
            return 0;
        });
        int status = none;
        const pid_t got = weft::spawn([&] { return ::waitpid(child, &status, options); }).get();
        CHECK(got == child);
        CHECK(WIFSTOPPED(status));
        end(child);
    }
}

HUB_TEST("a pidfd of weft's own is not the program's to close, and is gone after the wait") {
    if (!test::has_pidfds()) return;
    const test::patched now;
    const int before = test::open_descriptors();
    const pid_t child = child_that_exits(1, 50);
    auto task = weft::spawn([&] { return ::waitpid(child, nullptr, 0); });
    weft::sleep_for(5ms);
    REQUIRE(test::open_descriptors() == before + 1);
    const int mine = ::dup(0);
    CHECK(::close(mine - 1) == -1);
    ::close(mine);
    CHECK(task.get() == child);
    CHECK(test::open_descriptors() == before);
}

TEST_CASE("child: ends while a task waits for its child" * doctest::skip()) {
    if (!weft::monkey::patch_all()) ::_exit(2);
    child_that_exits(0, 30'000);
    for (const bool any : {true, false}) {
        weft::spawn([=] { ::waitpid(any ? -1 : child_that_exits(0, 30'000), nullptr, 0); });
    }
    weft::sleep_for(10ms);
}

TEST_CASE("a thread ends though tasks of it wait for children") {
    const auto start = std::chrono::steady_clock::now();
    const auto end = test::run_child({"/proc/self/exe", "--no-skip", "--test-case=child: ends while a task waits for its child"});
    CAPTURE(end.output);
    CHECK(end.exited_with(0));
    CHECK(std::chrono::steady_clock::now() - start < 10s);
}

HUB_TEST("a callback of the hub cannot wait for a child by name") {
    const pid_t child = child_that_exits(1, 20);
    bool refused = false;
    weft::hub::current().post([&] {
        try {
            weft::shim::waitpid(child, nullptr, 0);
        } catch (const weft::blocking_in_hub&) {
            refused = true;
        }
    });
    weft::sleep_for(1ms);
    CHECK(refused);
    CHECK(weft::shim::waitpid(child, nullptr, 0) == child);
}
