// What to_string(const fiber&) of weft/fiber.hpp promises: which fiber, its name, its state, whose it is.
#include <string>
#include <thread>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"

using weft::fiber;

namespace {

void to_parent() { fiber::current().parent().switch_to(); }

/// "<weft::fiber 12 rest>" for this fiber.
std::string expected(const fiber& f, const std::string& rest) {
    return "<weft::fiber " + std::to_string(f.id()) + ' ' + rest + '>';
}

}  // namespace

TASK_TEST("to_string names a fiber by its id, and its name if it has one") {
    const fiber plain{[] {}}, named{[] {}, {.name = "worker"}};
    CHECK(to_string(plain) == expected(plain, "pending"));
    CHECK(to_string(named) == expected(named, "'worker' pending"));
}

TASK_TEST("to_string tells pending, running, suspended and dead") {
    fiber f, inner;
    std::string running, around;
    f = fiber{[&] {
        running = to_string(f);
        inner = fiber{[&] { around = to_string(f); }};
        inner.switch_to();
        to_parent();
    }};
    CHECK(to_string(f) == expected(f, "pending"));
    f.switch_to();
    CHECK(running == expected(f, "running"));
    CHECK(around == expected(f, "suspended"));
    CHECK(to_string(f) == expected(f, "suspended"));
    f.switch_to();
    CHECK(to_string(f) == expected(f, "dead"));
}

TASK_TEST("to_string tells waiting, and ready once it has been woken") {
    weft::event go;
    fiber as_fiber;
    auto task = weft::spawn({.name = "t"}, [&] {
        as_fiber = fiber::current();
        go.wait();
    });
    test::settle();
    CHECK(to_string(as_fiber) == expected(as_fiber, "'t' waiting"));
    go.set();
    CHECK(to_string(as_fiber) == expected(as_fiber, "'t' ready"));
    task.get();
    CHECK(to_string(as_fiber) == expected(as_fiber, "'t' dead"));
}

HUB_TEST("to_string marks a main fiber, and fibers of another thread") {
    const fiber here = fiber::main();
    CHECK(to_string(here) == expected(here, "'main' waiting main"));
    fiber other_main, other;
    std::thread{[&] {
        other_main = fiber::main();
        CHECK(to_string(other_main) == expected(other_main, "'main' running main"));
        fiber{[&] { CHECK(to_string(other_main) == expected(other_main, "'main' suspended main")); }}.switch_to();
        other = fiber{[] { to_parent(); }};
        other.switch_to();
        const std::string foreign = to_string(here);
        CHECK(foreign.find(" main of another thread>") != std::string::npos);
    }}.join();
    for (int i = 0; i < 3; ++i) {
        CHECK(to_string(other_main) == expected(other_main, "'main' dead main of another thread"));
        CHECK(to_string(other) == expected(other, "dead of another thread"));
    }
}
