// States and the line of parents: what may be switched to and re-parented in which state, and where an end arrives.
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/task.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"

using test::counted;
using weft::fiber;
using weft::message;

namespace {

message to_parent() { return fiber::current().parent().switch_to(); }

fiber pending() {
    return fiber{[] {}};
}
fiber suspended() {
    fiber f{[] { to_parent(); }};
    f.switch_to();
    return f;
}
fiber dead() {
    fiber f{[] {}};
    f.switch_to();
    return f;
}

/// A fiber whose parent is `parent`.
template <class F>
fiber child_of(const fiber& parent, F function) {
    fiber f{std::move(function)};
    f.set_parent(parent);
    return f;
}

std::string complaint(auto&& ask) {
    try {
        ask();
    } catch (const std::logic_error& e) {
        return e.what();
    }
    return "no complaint";
}

/// A task parked in a wait, and the fiber that it is.
struct parked_task {
    weft::event go;
    fiber as_fiber;
    weft::task<void> task = weft::spawn([this] {
        as_fiber = fiber::current();
        go.wait();
    });
    parked_task() { test::settle(); }
    ~parked_task() {
        go.set();
        task.join();
    }
};

}  // namespace

TASK_TEST("a fiber that runs, and one that waits for its child, are started and not dead") {
    fiber outer, inner;
    outer = fiber{[&] {
        CHECK(static_cast<bool>(outer));
        inner = fiber{[&] {
            CHECK(static_cast<bool>(inner));
            CHECK(static_cast<bool>(outer));
            CHECK_FALSE(outer.dead());
        }};
        CHECK_FALSE(inner.started());
        inner.switch_to();
        CHECK(inner.dead());
    }};
    outer.switch_to();
    CHECK(outer.dead());
}

TASK_TEST("a dead fiber does not start again, by a switch or a throw") {
    int runs = 0;
    fiber f{[&] { ++runs; }};
    f.switch_to();
    f.switch_to();
    CHECK_THROWS_AS(f.throw_into(1), int);
    f.throw_into();
    CHECK(runs == 1);
    CHECK(f.dead());
}

TASK_TEST("two fibers that suspend themselves go on each from its own place") {
    std::vector<int> steps;
    const auto body = [&] {
        steps.push_back(1);
        to_parent();
        steps.push_back(2);
    };
    fiber a{body}, b{body};
    a.switch_to();
    b.switch_to();
    b.switch_to();
    CHECK(steps == std::vector{1, 1, 2});
    CHECK(b.dead());
    CHECK_FALSE(a.dead());
    a.switch_to();
    CHECK(a.dead());
}

TASK_TEST("a body is any callable: a function, an object that derives from an abstract one, a std::function") {
    struct task_like {
        virtual ~task_like() = default;
        virtual int run(int) = 0;
        int operator()(int in) { return run(in); }
    };
    struct doubles final : task_like {
        int calls = 0;
        int run(int in) override { return ++calls, 2 * in; }
    };
    CHECK(fiber{doubles{}}.switch_to(4).as<int>() == 8);
    CHECK(fiber{+[](int in) { return in + 1; }}.switch_to(4).as<int>() == 5);
    CHECK(fiber{std::function<int(int)>{[](int in) { return in + 2; }}}.switch_to(4).as<int>() == 6);
}

TASK_TEST("a body without a function in it is an error in the parent, by a switch, and none by a throw") {
    fiber f{std::function<void()>{}};
    CHECK_THROWS_AS(f.switch_to(), std::bad_function_call);
    CHECK(f.dead());
    fiber g{std::function<void()>{}};
    CHECK_THROWS_WITH_AS(g.throw_into(std::runtime_error("first")), "first", std::runtime_error);
}

TASK_TEST("a switch to a dead fiber passes a line of dead ancestors") {
    fiber youngest = dead(), middle = dead(), oldest = dead();
    youngest.set_parent(middle);
    middle.set_parent(oldest);
    CHECK(youngest.switch_to().empty());
    CHECK(youngest.switch_to(5).as<int>() == 5);
    auto [a, b] = youngest.switch_to(1, 2).get<int, int>();
    CHECK(a + b == 3);
    fiber living{[] { return to_parent().as<int>() + 1; }};
    living.switch_to();
    oldest.set_parent(living);
    CHECK(youngest.switch_to(7).as<int>() == 8);
    CHECK(living.dead());
}

TASK_TEST("a pending ancestor is started with all the values") {
    std::string got;
    const fiber parent{[&](int a, std::string b) {
        got = b + std::to_string(a);
        return 24;
    }};
    fiber child = dead();
    child.set_parent(parent);
    CHECK(child.switch_to(42, "with ").as<int>() == 24);
    CHECK(got == "with 42");
}

TASK_TEST("values that do not suit a pending ancestor are an error in that one's parent") {
    bool ran = false;
    const fiber parent{[&](int, int) { ran = true; }};
    fiber child = child_of(parent, [] { return 42; });
    const std::string text = complaint([&] { child.switch_to(); });
    CHECK(text.find("(int)") != std::string::npos);
    CHECK(text.find("(int, int)") != std::string::npos);
    CHECK_FALSE(ran);
    CHECK(parent.dead());
    CHECK(child.dead());
    CHECK(child.switch_to(1).as<int>() == 1);
}

TASK_TEST("no value does not suit a pending ancestor that wants one") {
    const fiber parent{[](int) {}};
    fiber child = child_of(parent, [] {});
    CHECK_THROWS_AS(child.switch_to(), weft::bad_message);
    CHECK(parent.dead());
}

TASK_TEST("ends pass along a line of pending ancestors, each started by the one before") {
    const fiber oldest{[](std::string s) { return s + " oldest"; }};
    const fiber middle = child_of(oldest, [](std::string s) { return s + " middle"; });
    const fiber youngest = child_of(middle, [] { return std::string{"youngest"}; });
    CHECK(youngest.switch_to().as<std::string>() == "youngest middle oldest");
    for (const fiber& f : {oldest, middle, youngest}) CHECK(f.dead());
}

TASK_TEST("a fiber_exit starts a pending parent, as its value") {
    bool got = false;
    const fiber parent{[&](message m) { got = m.holds<weft::fiber_exit>(); }};
    child_of(parent, [] { throw weft::fiber_exit{}; }).switch_to();
    CHECK(got);
    CHECK(parent.dead());
}

TASK_TEST("an error does not start a pending parent: it dies, and the error goes on to the next") {
    bool ran = false;
    std::string caught;
    fiber grandparent{[&] {
        try {
            to_parent();
        } catch (const std::runtime_error& e) {
            caught = e.what();
        }
    }};
    grandparent.switch_to();
    const fiber parent = child_of(grandparent, [&] { ran = true; });
    child_of(parent, [] { throw std::runtime_error("passed on"); }).switch_to();
    CHECK_FALSE(ran);
    CHECK(parent.dead());
    CHECK(caught == "passed on");
}

TASK_TEST("a switch to a dead fiber with a parked ancestor is refused, and the values are destroyed") {
    counted::reset();
    parked_task parked;
    fiber child = dead();
    child.set_parent(parked.as_fiber);
    CHECK_THROWS_AS(child.switch_to(counted{1}), weft::invalid_switch);
    CHECK_THROWS_AS(child.throw_into(std::runtime_error("to nobody")), weft::invalid_switch);
    CHECK(counted::destroyed == 1);
}

TASK_TEST("no fiber becomes its own ancestor, whatever state those between are in") {
    for (auto make : {pending, suspended, dead}) {
        for (auto between : {pending, suspended, dead}) {
            fiber top = make(), middle = between(), bottom = make();
            const fiber before = top.parent();
            middle.set_parent(top);
            bottom.set_parent(middle);
            for (const fiber& wrong : {top, middle, bottom})
                CHECK_THROWS_AS(top.set_parent(wrong), std::invalid_argument);
            CHECK(top.parent() == before);
            CHECK(middle.parent() == top);
            CHECK_THROWS_AS(middle.set_parent(bottom), std::invalid_argument);
            bottom.set_parent(fiber::current());
            middle.set_parent(bottom);  // a circle a moment ago
            CHECK_THROWS_AS(bottom.set_parent(middle), std::invalid_argument);
        }
    }
    CHECK(complaint([] {
              fiber f = pending();
              f.set_parent(f);
          }).find("circle") != std::string::npos);
}

TASK_TEST("a running fiber may be given a parent, but not one of its descendants") {
    const fiber here = fiber::current();
    fiber elsewhere{[&] { return to_parent().as<int>() * 2; }};
    elsewhere.switch_to();
    fiber f{[&] {
        const fiber own{[] {}};
        CHECK_THROWS_AS(fiber::current().set_parent(own), std::invalid_argument);
        CHECK_THROWS_AS(fiber::main().set_parent(own), std::invalid_argument);
        fiber::current().set_parent(elsewhere);
        return 21;
    }};
    CHECK(f.switch_to().as<int>() == 42);
    CHECK(elsewhere.dead());
}

TASK_TEST("an end passes a parent that was dead when it was set") {
    fiber child{[] { return 3; }};
    child.set_parent(dead());
    CHECK(child.switch_to().as<int>() == 3);
}

TASK_TEST("a former parent that nobody else holds is unwound as it is replaced") {
    bool unwound = false;
    fiber child{[] {}};
    {
        fiber former{[&] {
            struct note {
                bool& told;
                ~note() { told = true; }
            } at_end{unwound};
            to_parent();
        }};
        former.switch_to();
        child.set_parent(former);
    }
    CHECK_FALSE(unwound);
    child.set_parent(fiber::current());
    CHECK(unwound);
}

TASK_TEST("a handle may be copied, a fiber cannot: a copy runs the same stack on") {
    int steps = 0;
    fiber f{[&] {
        ++steps;
        to_parent();
        ++steps;
    }};
    const fiber copy = f;
    f.switch_to();
    copy.switch_to();
    CHECK(steps == 2);
    CHECK(f.dead());
}

TASK_TEST("a handle that outlives its fiber's end still names it, by its id") {
    fiber f{[] {}};
    const auto id = f.id();
    f.switch_to();
    fiber next{[] {}};
    CHECK(f.id() == id);
    CHECK(next.id() != id);
}
