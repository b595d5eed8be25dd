// Errors between fibers: throw_into() in every state, fiber_exit and what derives from it, exceptions of any type.
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/task.hpp>

#include "support/task_test.hpp"

using weft::fiber;
using weft::message;

namespace {

struct polite_exit : weft::fiber_exit {
    std::string reason = "asked to";
};

message to_parent() { return fiber::current().parent().switch_to(); }

fiber dead() {
    fiber f{[] {}};
    f.switch_to();
    return f;
}

/// A fiber that is ready to catch: what it then returns.
fiber catcher() {
    fiber f{[]() -> std::string {
        try {
            to_parent();
        } catch (const std::runtime_error& e) {
            return std::string{"caught "} + e.what();
        }
        return "no error";
    }};
    f.switch_to();
    return f;
}

}  // namespace

TASK_TEST("throw_into returns what is sent to the thrower next, by whomever") {
    const fiber here = fiber::current();
    fiber other{[&] { here.switch_to("from another"); }};
    fiber f{[&] {
        try {
            to_parent();
        } catch (const std::runtime_error&) {
            other.switch_to();
        }
    }};
    f.switch_to();
    CHECK(f.throw_into(std::runtime_error("in")).as<std::string>() == "from another");
    f.switch_to();
}

TASK_TEST("a fiber may catch what is thrown into it as often as it is thrown") {
    fiber f{[] {
        for (int caught = 0;;) {
            try {
                fiber::current().parent().switch_to(caught);
            } catch (int n) {
                caught += n;
            }
        }
    }};
    CHECK(f.switch_to().as<int>() == 0);
    CHECK(f.throw_into(1).as<int>() == 1);
    CHECK(f.throw_into(10).as<int>() == 11);
    CHECK(f.throw_into(100).as<int>() == 111);
}

TASK_TEST("what is thrown into a pending fiber passes its pending parent, and neither runs") {
    bool ran = false;
    fiber parent{[&] { ran = true; }}, child{[&] { ran = true; }};
    child.set_parent(parent);
    CHECK_THROWS_AS(child.throw_into(std::runtime_error("early")), std::runtime_error);
    CHECK_FALSE(ran);
    CHECK(child.dead());
    CHECK(parent.dead());
}

TASK_TEST("what is thrown into a child and leaves it raises in its own parent, pending or started") {
    for (const bool started : {false, true}) {
        fiber parent = catcher();
        const fiber here = fiber::current();
        fiber child{[&] { here.switch_to("from child"); }};
        child.set_parent(parent);
        if (started) CHECK(child.switch_to().as<std::string>() == "from child");
        CHECK(child.throw_into(std::runtime_error("it")).as<std::string>() == "caught it");
        CHECK(child.dead());
        CHECK(parent.dead());
    }
}

TASK_TEST("fiber_exit thrown into a pending fiber starts a pending parent with it as the value") {
    bool got = false;
    fiber parent{[&](message m) { got = m.holds<weft::fiber_exit>(); }}, child{[] {}};
    child.set_parent(parent);
    child.throw_into();
    CHECK(got);
    CHECK(child.dead());
    CHECK(parent.dead());
}

TASK_TEST("what is thrown into a dead fiber raises in an ancestor that is suspended") {
    fiber child = dead();
    child.set_parent(catcher());
    CHECK(child.throw_into(std::runtime_error("late")).as<std::string>() == "caught late");
}

TASK_TEST("what is thrown into a dead fiber kills a pending ancestor and goes on to its parent") {
    bool ran = false;
    fiber child = dead(), parent{[&] { ran = true; }};
    child.set_parent(parent);
    CHECK_THROWS_WITH_AS(child.throw_into(std::runtime_error("late")), "late", std::runtime_error);
    CHECK_FALSE(ran);
    CHECK(parent.dead());
}

TASK_TEST("fiber_exit thrown into a dead fiber comes back and leaves its ancestors alone") {
    fiber child = dead(), parent = catcher();
    child.set_parent(parent);
    CHECK(child.throw_into().holds<weft::fiber_exit>());
    CHECK(child.throw_into(polite_exit{}).holds<weft::fiber_exit>());
    CHECK_FALSE(parent.dead());
}

TASK_TEST("fiber_exit thrown into oneself is raised here, not returned") {
    fiber f{[]() -> std::string {
        try {
            fiber::current().throw_into();
        } catch (const weft::fiber_exit&) {
            return "raised";
        }
        return "returned";
    }};
    CHECK(f.switch_to().as<std::string>() == "raised");
}

TASK_TEST("what derives from fiber_exit is caught as itself, and arrives as a fiber_exit") {
    std::string reason;
    fiber f{[&] {
        try {
            to_parent();
        } catch (const polite_exit& e) {
            reason = e.reason;
            throw;
        }
    }};
    f.switch_to();
    CHECK(f.throw_into(polite_exit{}).holds<weft::fiber_exit>());
    CHECK(reason == "asked to");
    fiber own{[] { throw polite_exit{}; }};
    CHECK(own.switch_to().holds<weft::fiber_exit>());
    CHECK(own.dead());
}

TASK_TEST("a fiber_exit that was wrapped in another exception is an error like others") {
    fiber f{[] {
        try {
            to_parent();
        } catch (const weft::fiber_exit&) {
            std::throw_with_nested(std::runtime_error("while cleaning up"));
        }
    }};
    f.switch_to();
    bool nested = false;
    try {
        f.throw_into();
    } catch (const std::runtime_error& e) {
        try {
            std::rethrow_if_nested(e);
        } catch (const weft::fiber_exit&) {
            nested = true;
        }
    }
    CHECK(nested);
}

TASK_TEST("catching std::exception lets fiber_exit pass") {
    fiber f{[] {
        try {
            to_parent();
        } catch (const std::exception&) {
            return;
        }
    }};
    f.switch_to();
    CHECK(f.throw_into().holds<weft::fiber_exit>());
}

TASK_TEST("an exception raised in the parent is the very object that the child threw") {
    const void* thrown = nullptr;
    const void* caught = nullptr;
    fiber f{[&] {
        try {
            throw std::make_unique<int>(5);  // of a type that cannot be copied
        } catch (const std::unique_ptr<int>& p) {
            thrown = &p;
            throw;
        }
    }};
    try {
        f.switch_to();
    } catch (const std::unique_ptr<int>& p) {
        caught = &p;
        CHECK(*p == 5);
    }
    CHECK(thrown != nullptr);
    CHECK(thrown == caught);
}

TASK_TEST("an exception climbs through every parent on its way, each of which may catch it") {
    std::vector<std::string> seen;
    const auto passes = [&](std::string name, auto next) {
        return fiber{[&seen, name, next] {
            try {
                next();
            } catch (const std::runtime_error&) {
                seen.push_back(name);
                throw;
            }
        }};
    };
    fiber outer = passes("outer", [&] {
        fiber inner = passes("inner", [] { throw std::runtime_error("up"); });
        inner.switch_to();
    });
    CHECK_THROWS_WITH_AS(outer.switch_to(), "up", std::runtime_error);
    CHECK(seen == std::vector<std::string>{"inner", "outer"});
}

TASK_TEST("one exception thrown into many fibers is destroyed once, after the last of them") {
    struct owner {
        std::shared_ptr<int> held;
    };
    auto held = std::make_shared<int>(1);
    std::exception_ptr shared = std::make_exception_ptr(owner{held});
    std::vector<fiber> fibers;
    for (int i = 0; i < 3; ++i) {
        fibers.emplace_back([] {
            try {
                to_parent();
            } catch (const owner&) {
                to_parent();
                throw;
            }
        });
        fibers.back().switch_to();
        fibers.back().throw_into(shared);
    }
    shared = nullptr;
    CHECK(held.use_count() == 2);
    for (fiber& f : fibers) CHECK_THROWS_AS(f.switch_to(), owner);
    CHECK(held.use_count() == 1);
}

TASK_TEST("a throw to a fiber that waits in the scheduler is refused, and to its dead child, too") {
    weft::event go;
    fiber waits, child;
    auto task = weft::spawn([&] {
        waits = fiber::current();
        child = dead();
        go.wait();
    });
    test::settle();
    CHECK_THROWS_AS(waits.throw_into(std::runtime_error("in")), weft::invalid_switch);
    CHECK_THROWS_AS(child.throw_into(std::runtime_error("in")), weft::invalid_switch);
    CHECK(child.throw_into().holds<weft::fiber_exit>());
    go.set();
    task.get();
}

HUB_TEST("an error that a parked parent cannot take is reported as one that nobody observed") {
    static std::string reported;
    reported.clear();
    const auto before = weft::on_unhandled([](std::uint64_t, const std::string& name, const std::exception_ptr&) {
        reported = name;
    });
    // On a thread of its own, whose end unwinds the task that waits for ever in its throw_into().
    std::thread{[] {
        weft::event go;
        fiber child;
        auto parent = weft::spawn([&] {
            child = fiber{[] { to_parent(); }, {.name = "child"}};
            child.switch_to();
            go.wait();
        });
        test::settle();
        auto driver = weft::spawn([&] { child.throw_into(std::runtime_error("to nobody")); });
        test::settle();
        CHECK(child.dead());
        go.set();
        parent.get();
    }}.join();
    weft::on_unhandled(before);
    CHECK(reported == "child");
}
