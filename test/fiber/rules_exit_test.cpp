// Processes and threads that end with live fibers, and fibers that are used while they end: no crash, their own status.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <weft/fiber.hpp>
#include <weft/task.hpp>

#include "support/at_exit.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"

using test::at_exit;
using weft::fiber;

namespace {

void say(const char* what) {
    std::puts(what);
    std::fflush(stdout);
}

void to_parent() { fiber::current().parent().switch_to(); }

/// Runs one of the skipped cases below in a process of its own.
test::child_end run(const char* how) {
    return test::run_child({"/proc/self/exe", "--no-skip", std::string{"--test-case="} + how});
}

void check_ends(const char* how, int status, std::vector<const char*> words = {}) {
    const auto end = run(how);
    CAPTURE(end.output);
    CHECK(end.exited_with(status));
    for (const char* w : words) {
        CAPTURE(w);
        CHECK(end.says(w));
    }
    CHECK_FALSE(end.says("never"));
}

/// A fiber that says `what` as it is unwound.
fiber suspended(const char* what) {
    fiber f{[what] {
        const at_exit note{[what] { say(what); }};
        to_parent();
        say("never: resumed");
    }};
    f.switch_to();
    return f;
}

/// Uses everything there is of a fiber.
void use_fibers(const char* what) {
    fiber f{[](int first) { return first + fiber::current().parent().switch_to(first).as<int>(); }};
    const bool right = f.switch_to(1).as<int>() == 1 && f.switch_to(2).as<int>() == 3 && f.dead();
    bool unwound = false;
    {
        fiber dropped{[&] {
            const at_exit note{[&] { unwound = true; }};
            to_parent();
        }};
        dropped.switch_to();
    }
    if (right && unwound && fiber::current().id() != 0) say(what);
}

std::vector<fiber> kept;  // handles that live until the process's static objects go

/// Constructed before main() and before anything of weft: destroyed after most.
struct late {
    ~late() {
        if (on) use_fibers("used in a static destructor");
    }
    bool on = false;
} last_static;

[[noreturn]] void exit_at_depth(int level, int status) {
    fiber inner{[=] { exit_at_depth(level - 1, status); }};
    if (level == 0) std::exit(status);
    inner.switch_to();
    std::abort();
}

}  // namespace

TEST_CASE("child: main returns with fibers in every state" * doctest::skip()) {
    kept.push_back(suspended("one unwound"));
    kept.push_back(suspended("two unwound"));
    kept.emplace_back([] { say("never: started"); });
    kept.emplace_back([] {});
    kept.back().switch_to();
    kept.emplace_back([] {
        try {
            throw std::runtime_error("held");
        } catch (const std::runtime_error& e) {
            const at_exit note{[&] { say(e.what()); }};
            to_parent();
        }
    });
    kept.back().switch_to();
}
TEST_CASE("when main returns, fibers in every state end with it, the suspended ones unwound") {
    check_ends("child: main returns with fibers in every state", 0, {"one unwound", "two unwound", "held"});
}

TEST_CASE("child: a fiber exits" * doctest::skip()) {
    test::check_no_leaks();
    const fiber local = suspended("never: unwound by an exit in a fiber");
    fiber{[] {
        const at_exit note{[] { say("never: unwound by its own exit"); }};
        std::exit(5);
    }}.switch_to();
}
TEST_CASE("exit() in a fiber ends the process with its status and leaves stacks alone") {
    check_ends("child: a fiber exits", 5);
}

TEST_CASE("child: a fiber exits with static handles" * doctest::skip()) {
    test::check_no_leaks();
    kept.push_back(suspended("a static one unwound, or not"));
    kept.emplace_back([] { std::exit(6); });
    kept.emplace_back([] {});
    kept[1].switch_to();
}
TEST_CASE("exit() in a fiber does so with handles in static objects, its own among them") {
    check_ends("child: a fiber exits with static handles", 6);
}

TEST_CASE("child: a deep fiber exits" * doctest::skip()) {
    test::check_no_leaks();
    exit_at_depth(1000, 7);
}
TEST_CASE("exit() in the innermost of a thousand fibers inside each other does so, too") {
    check_ends("child: a deep fiber exits", 7);
}

TEST_CASE("child: a destructor exits" * doctest::skip()) {
    test::check_no_leaks();
    fiber f{[] {
        const at_exit note{[] { std::exit(8); }};
        to_parent();
    }};
    f.switch_to();
    f = fiber{};
    say("never: the drop returned");
}
TEST_CASE("exit() in a destructor of a fiber that is unwound does so, too") {
    check_ends("child: a destructor exits", 8);
}

TEST_CASE("child: a fiber of another thread exits" * doctest::skip()) {
    test::check_no_leaks();
    kept.push_back(suspended("main's, unwound or not"));
    std::thread{[] {
        kept.push_back(suspended("the thread's, unwound or not"));
        fiber{[] { std::exit(9); }}.switch_to();
    }}.join();
}
TEST_CASE("exit() in a fiber of another thread does so, too") {
    check_ends("child: a fiber of another thread exits", 9);
}

TEST_CASE("child: threads still run" * doctest::skip()) {
    test::check_no_leaks();
    static std::atomic<int> ready{0};
    for (int i = 0; i < 3; ++i) {
        std::thread{[] {
            const fiber f = suspended("never: unwound, though its thread still runs");
            ++ready;
            for (;;) std::this_thread::sleep_for(std::chrono::hours{1});
        }}.detach();
    }
    while (ready < 3) std::this_thread::yield();
}
TEST_CASE("a process may end while other threads still have live fibers") {
    check_ends("child: threads still run", 0);
}

TEST_CASE("child: exit handlers" * doctest::skip()) {
    std::atexit([] { use_fibers("used in a handler from before"); });
    kept.push_back(suspended("unwound"));
    std::atexit([] { use_fibers("used in a handler from after"); });
    last_static.on = true;
}
TEST_CASE("fibers work in exit handlers and static destructors, whenever these were registered") {
    check_ends("child: exit handlers", 0,
               {"used in a handler from before", "used in a handler from after", "used in a static destructor",
                "unwound"});
}

TEST_CASE("child: exit handlers after an exit in a fiber" * doctest::skip()) {
    test::check_no_leaks();
    std::atexit([] { use_fibers("used in a handler"); });
    last_static.on = true;
    fiber{[] { std::exit(4); }}.switch_to();
}
TEST_CASE("they work on the stack of a fiber that has called exit(), too") {
    check_ends("child: exit handlers after an exit in a fiber", 4, {"used in a handler", "used in a static destructor"});
}

TEST_CASE("child: a handler leaves fibers" * doctest::skip()) {
    test::check_no_leaks();
    std::atexit([] {
        kept.push_back(suspended("late one unwound, or not"));
        kept.emplace_back([] { say("never: started"); });
        say("handler done");
    });
}
TEST_CASE("an exit handler may leave fibers to static objects") {
    check_ends("child: a handler leaves fibers", 0, {"handler done"});
}

TEST_CASE("child: thread-local objects" * doctest::skip()) {
    test::check_no_leaks();
    std::thread{[] {
        struct uses {
            ~uses() { use_fibers("used in a thread-local destructor"); }
        };
        static thread_local uses before;
        static_cast<void>(&before);
        static thread_local fiber own;
        own = suspended("unwound with its thread");
        static thread_local uses after;
        static_cast<void>(&after);
    }}.join();
    say("joined");
}
TEST_CASE("fibers work in destructors of thread-local objects, made before and after the first of them") {
    check_ends("child: thread-local objects", 0,
               {"unwound with its thread", "used in a thread-local destructor", "joined"});
}

TEST_CASE("child: ends in a destructor" * doctest::skip()) {
    struct switches {
        ~switches() {
            to_parent();
            say("the destructor went on");
        }
    };
    kept.emplace_back([] {
        const at_exit note{[] { say("unwound to the end"); }};
        try {
            const switches s;
            throw 1;
        } catch (int) {
            to_parent();
            say("never: resumed");
        }
    });
    kept.back().switch_to();
}
TEST_CASE("a fiber that is suspended in a destructor of an unwinding gets no second exception as its thread ends") {
    check_ends("child: ends in a destructor", 0, {"the destructor went on", "unwound to the end"});
}

TEST_CASE("child: dropped in a destructor" * doctest::skip()) {
    struct switches {
        ~switches() {
            to_parent();
            say("the destructor went on");
        }
    };
    fiber f{[] {
        const switches s;
        throw std::runtime_error("its own");
    }};
    f.switch_to();
    const auto before = weft::on_unhandled([](std::uint64_t, const std::string&, const std::exception_ptr&) {
        say("reported");
    });
    f = fiber{};
    weft::on_unhandled(before);
    say("dropped");
}
TEST_CASE("a fiber that is dropped in a destructor of an unwinding gets no second exception") {
    check_ends("child: dropped in a destructor", 0, {"the destructor went on", "reported", "dropped"});
}

TEST_CASE("child: dropped in its captures' destructor" * doctest::skip()) {
    struct switches {
        bool on = true;
        switches() = default;
        switches(switches&& other) noexcept : on{std::exchange(other.on, false)} {}
        ~switches() {
            if (!on) return;
            to_parent();
            say("the destructor went on");
        }
    };
    fiber f{[s = switches{}] {}};
    f.switch_to();
    f = fiber{};
    say("dropped");
}
TEST_CASE("a fiber that is dropped while its captures are destroyed gets no exception there") {
    check_ends("child: dropped in its captures' destructor", 0, {"the destructor went on", "dropped"});
}
