// Tests that fail, each in one way; task_test_test.cpp runs them one at a time and looks at what is said.
#include <stdexcept>
#include <thread>

#include <fcntl.h>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;

namespace {
weft::event outlives_its_test;
weft::fiber kept;
}  // namespace

TASK_TEST("passes") { CHECK(true); }
HUB_TEST("passes on the real hub") { weft::sleep_for(1ms); }

TASK_TEST("requires in the body") { REQUIRE(1 == 2); }
TASK_TEST("requires in a task that is joined") {
    weft::spawn([] { REQUIRE(1 == 2); }).get();
}
TASK_TEST("requires in a task that nobody joins") {
    weft::spawn([] { REQUIRE(1 == 2); });
}
TASK_TEST("requires in a fiber") {
    weft::fiber{[] { REQUIRE(1 == 2); }}.switch_to();
}
TASK_TEST("throws in a task that nobody joins") {
    weft::spawn([] { throw std::runtime_error("thrown by nobody's child"); });
}
HUB_TEST("throws in a task of another thread") {
    std::thread{[] {
        weft::spawn([] { throw std::runtime_error("thrown far away"); });
        weft::yield();
    }}.join();
}

TASK_TEST("leaves a task") {
    weft::spawn([] { outlives_its_test.wait(); });
}
TASK_TEST("leaves a fiber") {
    kept = weft::fiber{[] { weft::fiber::current().parent().switch_to(); }};
    kept.switch_to();
}
HUB_TEST("leaves a descriptor") { CHECK(::open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0); }

TASK_TEST("waits for ever") { weft::event{}.wait(); }
TASK_TEST("yields for ever") {
    for (;;) weft::yield();
}
HUB_TEST("turns for ever") {
    static volatile bool never = false;  // a compiler may assume that other loops come to an end
    while (!never) {}
}
HUB_TEST("advances the real clock") { test::clock.advance(1s); }
