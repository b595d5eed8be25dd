// What weft/fiber.hpp promises of set_parent() and throw_into().
#include <stdexcept>
#include <string>
#include <thread>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/task.hpp>

#include "support/task_test.hpp"

using weft::fiber;

namespace {

/// A fiber that has come to its first switch back to its maker.
fiber suspended() {
    fiber f{[] { fiber::current().parent().switch_to(); }};
    f.switch_to();
    return f;
}

}  // namespace

TASK_TEST("the parent is the fiber that made it") {
    const fiber here = fiber::current();
    fiber inner;
    fiber outer{[&] { inner = fiber{[] {}}; }};
    outer.switch_to();
    CHECK(outer.parent() == here);
    CHECK(inner.parent() == outer);
}

TASK_TEST("a parent may be set while pending, suspended and dead") {
    fiber parent = suspended();
    fiber pending{[] {}}, waiting = suspended(), dead{[] {}};
    dead.switch_to();
    for (const fiber& f : {pending, waiting, dead}) {
        f.set_parent(parent);
        CHECK(f.parent() == parent);
        f.set_parent(fiber::current());
    }
}

TASK_TEST("a fiber cannot become its own ancestor, and nothing changes when it is tried") {
    const fiber here = fiber::current();
    fiber a{[] {}}, b{[] {}}, c{[] {}};
    b.set_parent(a);
    c.set_parent(b);
    CHECK_THROWS_AS(a.set_parent(a), std::invalid_argument);
    CHECK_THROWS_AS(a.set_parent(b), std::invalid_argument);
    CHECK_THROWS_AS(a.set_parent(c), std::invalid_argument);
    CHECK(a.parent() == here);
    CHECK_THROWS_AS(here.set_parent(c), std::invalid_argument);
    a.switch_to();
}

TASK_TEST("a main fiber cannot be given a parent, and no fiber a parent of another thread") {
    fiber f{[] {}};
    CHECK_THROWS_AS(fiber::main().set_parent(f), std::invalid_argument);
    std::thread{[&] {
        fiber foreign{[] {}};
        CHECK_THROWS_AS(foreign.set_parent(f), weft::wrong_thread);
    }}.join();
    CHECK_THROWS_AS(f.set_parent(fiber{}), std::invalid_argument);
    CHECK(f.parent() == fiber::current());
}

TASK_TEST("throw_into throws at the switch that suspended it") {
    std::string caught;
    fiber f{[&] {
        try {
            fiber::current().parent().switch_to();
        } catch (const std::runtime_error& e) {
            caught = e.what();
        }
        return 5;
    }};
    f.switch_to();
    CHECK(f.throw_into(std::runtime_error("thrown in")).as<int>() == 5);
    CHECK(caught == "thrown in");
}

TASK_TEST("what throw_into throws and nobody catches comes back to the parent") {
    fiber f = suspended();
    CHECK_THROWS_WITH_AS(f.throw_into(std::runtime_error("through")), "through", std::runtime_error);
    CHECK(f.dead());
}

TASK_TEST("throw_into without arguments throws fiber_exit, which comes back as a value") {
    fiber f = suspended();
    CHECK(f.throw_into().holds<weft::fiber_exit>());
    CHECK(f.dead());
}

TASK_TEST("a fiber may catch fiber_exit and return a value all the same") {
    fiber f{[] {
        try {
            fiber::current().parent().switch_to();
        } catch (const weft::fiber_exit&) {
        }
        return std::string{"cleaned up"};
    }};
    f.switch_to();
    CHECK(f.throw_into().as<std::string>() == "cleaned up");
}

TASK_TEST("a fiber may catch fiber_exit, switch away and live on") {
    fiber f{[] {
        try {
            fiber::current().parent().switch_to();
        } catch (const weft::fiber_exit&) {
        }
        fiber::current().parent().switch_to("alive");
    }};
    f.switch_to();
    CHECK(f.throw_into().as<std::string>() == "alive");
    CHECK_FALSE(f.dead());
    f.switch_to();
}

TASK_TEST("throw_into a pending fiber: its function never runs, and the error goes to its parent") {
    bool ran = false;
    fiber f{[&] { ran = true; }};
    CHECK_THROWS_AS(f.throw_into(std::runtime_error("early")), std::runtime_error);
    CHECK(f.dead());
    fiber g{[&] { ran = true; }};
    CHECK(g.throw_into().holds<weft::fiber_exit>());
    CHECK(g.dead());
    CHECK_FALSE(ran);
}

TASK_TEST("throw_into a pending fiber raises in its parent, not in the thrower") {
    std::string caught;
    fiber child;
    fiber parent{[&] {
        child = fiber{[] {}};
        try {
            fiber::current().parent().switch_to();
        } catch (const std::runtime_error& e) {
            caught = e.what();
        }
    }};
    parent.switch_to();
    child.throw_into(std::runtime_error("to the parent"));
    CHECK(caught == "to the parent");
}

TASK_TEST("throw_into a dead fiber: fiber_exit comes back, anything else surfaces in the nearest living ancestor") {
    fiber f{[] {}};
    f.switch_to();
    CHECK(f.throw_into().holds<weft::fiber_exit>());
    CHECK_THROWS_WITH_AS(f.throw_into(std::runtime_error("late")), "late", std::runtime_error);
}

TASK_TEST("throw_into oneself throws here") {
    CHECK_THROWS_AS(fiber::current().throw_into(std::runtime_error("own")), std::runtime_error);
}

TASK_TEST("throw_into takes a ready made exception_ptr, but not an empty one") {
    fiber f = suspended();
    CHECK_THROWS_AS(f.throw_into(std::exception_ptr{}), std::invalid_argument);
    CHECK_FALSE(f.dead());
    CHECK_THROWS_AS(f.throw_into(std::make_exception_ptr(7)), int);
}

TASK_TEST("a fiber that waits in the scheduler cannot be switched to") {
    weft::event go;
    fiber inner;
    auto task = weft::spawn([&] {
        inner = fiber::current();
        go.wait();
    });
    test::settle();
    CHECK_THROWS_AS(inner.switch_to(), weft::invalid_switch);
    CHECK_THROWS_AS(inner.throw_into(), weft::invalid_switch);
    CHECK_THROWS_AS(fiber::main().switch_to(), weft::invalid_switch);
    go.set();
    task.get();
}

TASK_TEST("an explicit fiber may wait, and its waiting parent gets its end when it can") {
    weft::event go;
    std::string seen;
    fiber f{[&] {
        go.wait();
        seen += "waited ";
        return 3;
    }};
    auto setter = weft::spawn([&] { go.set(); });
    CHECK(f.switch_to().as<int>() == 3);
    CHECK(seen == "waited ");
    setter.join();
}

HUB_TEST("an end that its parked parent cannot take is dropped, and the scheduler goes on") {
    bool ended = false, went_on = false;
    // On a thread of its own, whose end unwinds the task that waits for ever in its switch_to().
    std::thread{[&] {
        weft::event go;
        fiber child;
        auto parent = weft::spawn([&] {
            child = fiber{[&] {
                fiber::current().parent().switch_to();
                ended = true;
            }};
            child.switch_to();
            go.wait();
        });
        test::settle();
        auto driver = weft::spawn([&] { child.switch_to(); });  // the end of child is not for it
        test::settle();
        went_on = !parent.ready() && !driver.ready();
        go.set();
        parent.get();
    }}.join();
    CHECK(ended);
    CHECK(went_on);
}
