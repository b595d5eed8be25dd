// What each fiber has of its own: the exception state and errno, across switches of every kind.
#include <cerrno>
#include <cfenv>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <weft/fiber.hpp>
#include <weft/task.hpp>
#include <weft/testing.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"

using weft::fiber;

namespace {

std::string current_error() {
    try {
        throw;
    } catch (const std::exception& e) {
        return e.what();
    }
}

/// Throws `own`, and switches away inside the handler `times` times before it rethrows.
void handle_slowly(const std::string& own, std::vector<std::string>& seen, auto&& away) {
    try {
        try {
            throw std::runtime_error(own);
        } catch (const std::runtime_error&) {
            for (int i = 0; i < 3; ++i) {
                away();
                seen.push_back(current_error());
            }
            throw;
        }
    } catch (const std::runtime_error& e) {
        seen.push_back(std::string{"rethrown "} + e.what());
    }
}

}  // namespace

TASK_TEST("two tasks parked inside a handler each rethrow their own exception") {
    std::vector<std::string> a, b;
    const auto yields = [] { weft::yield(); };
    auto first = weft::spawn([&] { handle_slowly("a", a, yields); });
    auto second = weft::spawn([&] { handle_slowly("b", b, yields); });
    first.get();
    second.get();
    CHECK(a == std::vector<std::string>{"a", "a", "a", "rethrown a"});
    CHECK(b == std::vector<std::string>{"b", "b", "b", "rethrown b"});
}

TASK_TEST("two fibers that switch to each other inside handlers each rethrow their own") {
    std::vector<std::string> a, b;
    fiber first, second;
    const fiber here = fiber::current();
    first = fiber{[&] { handle_slowly("a", a, [&] { second.switch_to(); }); }};
    second = fiber{[&] { handle_slowly("b", b, [&] { first.switch_to(); }); }};
    first.switch_to();
    while (!first.dead() || !second.dead()) (first.dead() ? second : first).switch_to();
    CHECK(a == std::vector<std::string>{"a", "a", "a", "rethrown a"});
    CHECK(b == std::vector<std::string>{"b", "b", "b", "rethrown b"});
}

TASK_TEST("a task switched to from inside a handler starts clean") {
    bool clean = false;
    try {
        throw 1;
    } catch (int) {
        weft::spawn([&] { clean = !std::current_exception() && std::uncaught_exceptions() == 0; }).join();
        CHECK(std::current_exception());
    }
    CHECK(clean);
    CHECK_FALSE(std::current_exception());
}

TASK_TEST("nested handlers survive switches in each of them") {
    auto other = weft::spawn([] {
        for (int i = 0; i < 10; ++i) {
            try {
                throw i;
            } catch (int) {
                weft::yield();
            }
        }
    });
    try {
        throw std::runtime_error("outer");
    } catch (const std::runtime_error&) {
        weft::yield();
        try {
            throw std::runtime_error("inner");
        } catch (const std::runtime_error&) {
            weft::yield();
            CHECK(current_error() == "inner");
        }
        weft::yield();
        CHECK(current_error() == "outer");
    }
    other.get();
}

TASK_TEST("the count of uncaught exceptions is each task's own while destructors wait") {
    struct counts {
        std::vector<int>& seen;
        ~counts() {
            for (int i = 0; i < 2; ++i) {
                seen.push_back(std::uncaught_exceptions());
                weft::yield();
            }
        }
    };
    std::vector<int> seen;
    const auto throwing = [&] {
        try {
            const counts c{seen};
            throw 1;
        } catch (int) {
            seen.push_back(-1);
        }
    };
    auto a = weft::spawn(throwing);
    auto b = weft::spawn(throwing);
    weft::yield();
    CHECK(std::uncaught_exceptions() == 0);
    a.get();
    b.get();
    CHECK(seen == std::vector{1, 1, 1, 1, -1, -1});
}

TASK_TEST("a fiber that ends by an exception inside another's handler leaves the handler intact") {
    try {
        throw std::runtime_error("mine");
    } catch (const std::runtime_error&) {
        CHECK_THROWS_AS(fiber{[] { throw 5; }}.switch_to(), int);
        CHECK(current_error() == "mine");
    }
}

TASK_TEST("a fiber unwound inside a handler of its own leaves the dropper's state alone") {
    try {
        throw std::runtime_error("the dropper's");
    } catch (const std::runtime_error&) {
        {
            fiber f{[] {
                try {
                    throw 1;
                } catch (int) {
                    fiber::current().parent().switch_to();
                }
            }};
            f.switch_to();
        }
        CHECK(current_error() == "the dropper's");
    }
    CHECK(std::uncaught_exceptions() == 0);
}

TASK_TEST("errno is each fiber's own") {
    errno = 11;
    auto task = weft::spawn([] {
        CHECK(errno == 0);
        errno = 22;
        weft::yield();
        CHECK(errno == 22);
    });
    weft::yield();
    CHECK(errno == 11);
    task.get();
    CHECK(errno == 11);
    fiber f{[] {
        errno = 33;
        fiber::current().parent().switch_to();
        CHECK(errno == 33);
    }};
    f.switch_to();
    CHECK(errno == 11);
    f.switch_to();
    CHECK(errno == 11);
}

TASK_TEST("the rounding of floating point is each fiber's own") {
    const int usual = std::fegetround();
    auto task = weft::spawn([&] {
        std::fesetround(FE_UPWARD);
        weft::yield();
        CHECK(std::fegetround() == FE_UPWARD);
        std::fesetround(usual);
    });
    weft::yield();
    CHECK(std::fegetround() == usual);
    task.get();
}

TASK_TEST("the kind of switch is the one asked for") {
    const char* wish = std::getenv("WEFT_SWITCH");
    const std::string kind = weft::testing::switch_kind();
    if (wish) CHECK(kind == wish);
    else CHECK((kind == "ret" || kind == "boost"));
}
