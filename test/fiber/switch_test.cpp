// What weft/fiber.hpp promises of switching: values both ways, parents, ends and errors.
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <weft/fiber.hpp>
#include <weft/task.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"

using test::counted;
using weft::fiber;
using weft::message;

TASK_TEST("two fibers take turns as they name each other") {
    std::vector<int> seen;
    fiber first, second;
    first = fiber{[&] {
        seen.push_back(12);
        second.switch_to();
        seen.push_back(34);
        second.switch_to();
    }};
    second = fiber{[&] {
        seen.push_back(56);
        first.switch_to();
        seen.push_back(78);
    }};
    first.switch_to();
    CHECK(seen == std::vector{12, 56, 34, 78});
    CHECK(second.dead());
    CHECK_FALSE(first.dead());
}

TASK_TEST("making a fiber runs none of its code") {
    bool ran = false;
    fiber f{[&] { ran = true; }};
    CHECK_FALSE(ran);
    CHECK_FALSE(f.started());
    CHECK_FALSE(f.dead());
    CHECK_FALSE(static_cast<bool>(f));
}

TASK_TEST("pending, started, dead: what each state answers") {
    fiber f{[] { fiber::current().parent().switch_to(); }};
    f.switch_to();
    CHECK(f.started());
    CHECK(static_cast<bool>(f));
    CHECK_FALSE(f.dead());
    f.switch_to();
    CHECK(f.started());
    CHECK_FALSE(static_cast<bool>(f));
    CHECK(f.dead());
}

TASK_TEST("a handle that names no fiber answers no and refuses to be switched to") {
    const fiber none;
    CHECK_FALSE(none.dead());
    CHECK_FALSE(none.started());
    CHECK(none.id() == 0);
    CHECK(none.name().empty());
    CHECK(none.parent() == fiber{});
    CHECK_THROWS_AS(none.switch_to(), std::invalid_argument);
    CHECK_THROWS_AS(none.throw_into(), std::invalid_argument);
    CHECK_THROWS_AS(none.set_parent(fiber::current()), std::invalid_argument);
}

TASK_TEST("the first switch's values are the parameters of the function") {
    std::string seen;
    fiber{[&](int number, std::string text) { seen = text + std::to_string(number); }}.switch_to(5, "five ");
    CHECK(seen == "five 5");
}

TASK_TEST("a function may take the first message whole, or nothing of it") {
    int held = 0;
    fiber{[&](message m) { held = m.as<int>(); }}.switch_to(8);
    CHECK(held == 8);
    counted::reset();
    fiber{[] {}}.switch_to(counted{1});
    CHECK(counted::destroyed == 1);
}

TASK_TEST("first values of other types than the parameters are an error in the parent") {
    fiber f{[](int) {}};
    CHECK_THROWS_AS(f.switch_to("text"), weft::bad_message);
    CHECK(f.dead());
}

TASK_TEST("values travel both ways: each switch returns what is sent next") {
    fiber f{[](int first) {
        int got = first;
        for (;;) got = fiber::current().parent().switch_to(got * 10).as<int>();
    }};
    CHECK(f.switch_to(1).as<int>() == 10);
    CHECK(f.switch_to(2).as<int>() == 20);
    CHECK(f.switch_to(3).as<int>() == 30);
}

TASK_TEST("a switch returns what anyone sends, not only its target") {
    fiber a, b;
    const fiber here = fiber::current();
    a = fiber{[&] { b.switch_to(); }};
    b = fiber{[&] { here.switch_to("from b"); }};
    CHECK(a.switch_to().as<std::string>() == "from b");
}

TASK_TEST("a switch without values gives an empty message") {
    fiber f{[] { CHECK(fiber::current().parent().switch_to().empty()); }};
    CHECK(f.switch_to().empty());
    CHECK(f.switch_to().empty());
}

TASK_TEST("each value that travels is destroyed exactly once") {
    counted::reset();
    {
        fiber f{[](counted first) {
            CHECK(first.number == 1);
            auto second = fiber::current().parent().switch_to(counted{2}).as<counted>();
            CHECK(second.number == 3);
            return counted{4};
        }};
        CHECK(f.switch_to(counted{1}).as<counted>().number == 2);
        CHECK(f.switch_to(counted{3}).as<counted>().number == 4);
    }
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 4);
}

TASK_TEST("what the function returns goes to the parent, whoever switched last") {
    const fiber here = fiber::current();
    fiber child, other;
    child = fiber{[&] {
        here.switch_to();
        return std::string{"result"};
    }};
    other = fiber{[&] {
        child.switch_to();  // its end goes to its parent, not back here
        FAIL("the end of a fiber came to somebody who is not its parent");
    }};
    child.switch_to();
    CHECK(other.switch_to().as<std::string>() == "result");
    CHECK(other.started());
    CHECK_FALSE(other.dead());
}

TASK_TEST("the parent is read when the fiber ends") {
    const fiber here = fiber::current();
    fiber guardian{[&] { return here.switch_to("started").as<std::string>(); }};
    fiber adopted{[&] { return std::string{"to the new parent"}; }};
    CHECK(guardian.switch_to().as<std::string>() == "started");
    adopted.set_parent(guardian);
    // The end goes to guardian, which returns it to its own parent: here.
    CHECK(adopted.switch_to().as<std::string>() == "to the new parent");
    CHECK(guardian.dead());
}

TASK_TEST("an exception that escapes is rethrown in the parent's switch") {
    fiber f{[] { throw std::runtime_error("from the child"); }};
    CHECK_THROWS_WITH_AS(f.switch_to(), "from the child", std::runtime_error);
    CHECK(f.dead());
}

TASK_TEST("an exception of any type reaches the parent") {
    CHECK_THROWS_AS(fiber{[] { throw 5; }}.switch_to(), int);
}

TASK_TEST("an exception passes a dead parent and reaches the nearest living ancestor") {
    fiber child;
    fiber parent{[&] { child = fiber{[] { throw std::runtime_error("grandchild"); }}; }};
    parent.switch_to();
    REQUIRE(parent.dead());
    CHECK_THROWS_WITH_AS(child.switch_to(), "grandchild", std::runtime_error);
}

TASK_TEST("fiber_exit does not propagate: it arrives as a value") {
    fiber f{[] { throw weft::fiber_exit{}; }};
    CHECK(f.switch_to().holds<weft::fiber_exit>());
    CHECK(f.dead());
}

TASK_TEST("a switch to a dead fiber goes to its nearest living ancestor") {
    const fiber here = fiber::current();
    fiber dead{[] {}};
    dead.switch_to();
    REQUIRE(dead.dead());
    CHECK(dead.switch_to(25).as<int>() == 25);  // the ancestor is the caller itself

    fiber other{[&] { return dead.switch_to("hello").as<std::string>(); }};
    CHECK(other.switch_to().as<std::string>() == "hello");
    CHECK_FALSE(other.dead());
}

TASK_TEST("a switch to a dead fiber starts an ancestor that is pending") {
    int got = 0;
    fiber parent{[&](int value) { got = value; }};
    fiber child{[] {}};
    child.switch_to();
    child.set_parent(parent);
    child.switch_to(25);
    CHECK(got == 25);
    CHECK(parent.dead());
}

TASK_TEST("a function that ends starts a pending parent with its value") {
    int got = 0;
    fiber parent{[&](int value) { got = value; }};
    fiber child{[] { return 17; }};
    child.set_parent(parent);
    child.switch_to();
    CHECK(got == 17);
    CHECK(parent.dead());
}

TASK_TEST("a switch to oneself returns the values at once") {
    CHECK(fiber::current().switch_to(5).as<int>() == 5);
    CHECK(fiber::current().switch_to().empty());
}

TASK_TEST("current and main name the running fiber and the thread's own") {
    const fiber here = fiber::current();
    fiber seen;
    fiber f{[&] { seen = fiber::current(); }};
    f.switch_to();
    CHECK(seen == f);
    CHECK(fiber::current() == here);
    CHECK(fiber::main().parent() == fiber{});
    CHECK(fiber::main().started());
    CHECK_FALSE(fiber::main().dead());
    CHECK(fiber::main().name() == "main");
}

TASK_TEST("copies name the same fiber, and each fiber has an id of its own") {
    fiber a{[] {}, {.name = "named"}};
    fiber b{[] {}};
    const fiber copy = a;
    CHECK(copy == a);
    CHECK(copy.id() == a.id());
    CHECK(a.id() != b.id());
    CHECK(a.name() == "named");
    CHECK(b.name().empty());
}

TASK_TEST("fiber::current().parent() leaves no handle behind in the fiber that says it") {
    bool unwound = false;
    {
        struct note {
            bool& told;
            ~note() { told = true; }
        };
        fiber f{[&] {
            const note at_end{unwound};
            fiber::current().parent().switch_to();
        }};
        f.switch_to();
    }
    CHECK(unwound);
}

TASK_TEST("a function object may be move-only and may return a move-only value") {
    fiber f{[owned = std::make_unique<int>(3)]() mutable { return std::move(owned); }};
    CHECK(*f.switch_to().as<std::unique_ptr<int>>() == 3);
}

TASK_TEST("the function object is destroyed when the fiber ends, not with its last handle") {
    counted::reset();
    fiber f{[c = counted{1}] { (void)c; }};
    CHECK(counted::alive == 1);
    f.switch_to();
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 1);
}

TASK_TEST("a function object that cannot be moved in leaves nothing behind") {
    struct refusing {
        refusing() = default;
        refusing(const refusing&) { throw std::runtime_error("not to be copied"); }
        void operator()() const {}
    };
    const refusing function;
    CHECK_THROWS_AS(fiber{function}, std::runtime_error);
}
