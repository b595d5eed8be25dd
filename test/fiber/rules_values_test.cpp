// Values on their way: none is lost while handles go, and each is destroyed exactly once on every path.
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/task.hpp>

#include "support/at_exit.hpp"
#include "support/counted.hpp"
#include "support/task_test.hpp"

using test::counted;
using test::at_exit;
using weft::fiber;
using weft::message;

namespace {

message to_parent() { return fiber::current().parent().switch_to(); }

}  // namespace

TASK_TEST("a value sent by a fiber that has dropped its own last handle arrives, and it is unwound") {
    counted::reset();
    bool unwound = false;
    auto* own = new fiber;
    *own = fiber{[&, own] {
        const at_exit note{[&] { unwound = true; }};
        fiber parent = fiber::current().parent();
        delete own;
        parent.switch_to(counted{42});
    }};
    message m = own->switch_to();
    CHECK(unwound);
    REQUIRE(m.holds<counted>());
    CHECK(m.as<counted>().number == 42);
    CHECK(counted::destroyed == 1);
}

TASK_TEST("an error thrown by a fiber that has dropped its own last handle arrives, and it is unwound") {
    bool unwound = false;
    auto* own = new fiber;
    *own = fiber{[&, own] {
        const at_exit note{[&] { unwound = true; }};
        fiber parent = fiber::current().parent();
        delete own;
        parent.throw_into(std::runtime_error("in flight"));
    }};
    CHECK_THROWS_WITH_AS(own->switch_to(), "in flight", std::runtime_error);
    CHECK(unwound);
}

TASK_TEST("first values sent by a fiber that has dropped its own last handle arrive, and it is unwound") {
    bool unwound = false;
    fiber child{[&](std::string text) {
        CHECK(unwound);
        return text;
    }};
    auto* own = new fiber;
    *own = fiber{[&, own] {
        const at_exit note{[&] { unwound = true; }};
        delete own;
        child.switch_to("first");
    }};
    child.set_parent(fiber::current());
    message m = own->switch_to();
    REQUIRE(m.holds<std::string>());
    CHECK(m.as<std::string>() == "first");
}

TASK_TEST("a value that passes through a fiber which drops its own last handle and lives on is not lost") {
    std::vector<fiber> worker(1);
    fiber initiator, seen;
    worker[0] = fiber{[&] {
        message value = to_parent();
        worker.clear();
        initiator.set_parent(fiber::current().parent());
        const at_exit note{[&] { seen = fiber::current(); }};
        fiber parent = fiber::current().parent();
        parent.switch_to(value.as<int>());
    }};
    worker[0].switch_to();
    initiator = fiber{[] { return 42; }};
    initiator.set_parent(worker[0]);
    message m = initiator.switch_to();
    CHECK(seen.dead());
    REQUIRE(m.holds<int>());
    CHECK(m.as<int>() == 42);
}

TASK_TEST("values are destroyed once on every path that refuses them or finds nobody") {
    counted::reset();
    fiber dead{[] {}};
    dead.switch_to();
    weft::event go;
    fiber parked;
    auto task = weft::spawn([&] {
        parked = fiber::current();
        go.wait();
    });
    test::settle();
    CHECK_THROWS_AS(fiber{}.switch_to(counted{1}), std::invalid_argument);
    CHECK_THROWS_AS(parked.switch_to(counted{2}), weft::invalid_switch);
    std::thread{[&] { CHECK_THROWS_AS(dead.switch_to(counted{3}), weft::wrong_thread); }}.join();
    dead.switch_to(counted{4});
    fiber::current().switch_to(counted{5});
    fiber{[] {}}.switch_to(counted{6});
    CHECK_THROWS_AS(fiber{[](int) {}}.switch_to(counted{7}), weft::bad_message);
    CHECK_THROWS_AS(fiber{[](counted) { throw 1; }}.switch_to(counted{8}), int);
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 8);
    go.set();
    task.get();
}

TASK_TEST("values held by an unwound fiber, and by one thrown into, are destroyed once") {
    counted::reset();
    {
        fiber dropped{[]([[maybe_unused]] counted held) { to_parent(); }};
        dropped.switch_to(counted{1});
        fiber thrown{[]([[maybe_unused]] counted held) { to_parent(); }};
        thrown.switch_to(counted{2});
        CHECK_THROWS_AS(thrown.throw_into(1), int);
        CHECK(counted::destroyed == 1);
        fiber pending{[c = counted{3}] {}};
        CHECK_THROWS_AS(pending.throw_into(1), int);
        CHECK(counted::destroyed == 2);
    }
    CHECK(counted::destroyed == 3);
    CHECK(counted::alive == 0);
}

HUB_TEST("a result that a parked parent cannot take is destroyed once") {
    counted::reset();
    // On a thread of its own, whose end unwinds the task that waits for ever in its switch_to().
    std::thread{[] {
        weft::event go;
        fiber child;
        auto parent = weft::spawn([&] {
            child = fiber{[] {
                to_parent();
                return counted{1};
            }};
            child.switch_to();
            go.wait();
        });
        test::settle();
        auto driver = weft::spawn([&] { child.switch_to(); });
        test::settle();
        CHECK(counted::destroyed == 1);
        go.set();
        parent.get();
    }}.join();
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 1);
}
