// What weft/trace.hpp promises of a tracer that switches itself: those switches are told, too, and nothing is lost.
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <weft/fiber.hpp>
#include <weft/task.hpp>
#include <weft/trace.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"

using test::counted;
using weft::fiber;
using weft::message;
using weft::trace_event;

namespace {

message to_parent() { return fiber::current().parent().switch_to(); }

/// Calls `action` in the next switch's target, once, and counts all that is told, while it lives.
class once {
public:
    explicit once(std::function<void()> action) {
        weft::set_trace([this, act = std::move(action)](trace_event, const fiber&, const fiber&) {
            ++told;
            if (std::exchange(armed_, false)) act();
        });
    }
    ~once() { weft::set_trace(nullptr); }
    once(const once&) = delete;
    once& operator=(const once&) = delete;

    int told = 0;

private:
    bool armed_ = true;
};

}  // namespace

TASK_TEST("trace: a tracer that runs a fiber to its end comes back, and the switch goes on") {
    int inner = 0;
    once tracer{[&] { fiber{[&] { ++inner; }}.switch_to(); }};
    fiber f{[](int in) { return in + 1; }};
    CHECK(f.switch_to(4).as<int>() == 5);
    CHECK(inner == 1);
    CHECK(tracer.told == 4);
}

TASK_TEST("trace: a value on its way to a suspended fiber is kept while the tracer switches there") {
    counted::reset();
    int got = 0;
    fiber f{[&] { got = to_parent().as<counted>().number; }};
    f.switch_to();
    once tracer{[] { fiber{[] { return counted{99}; }}.switch_to(); }};
    f.switch_to(counted{7});
    CHECK(got == 7);
    CHECK(counted::destroyed == 2);
    CHECK(counted::alive == 0);
}

TASK_TEST("trace: first values are kept while the tracer leaves the fiber before it has started") {
    std::vector<std::string> seen;
    const fiber here = fiber::current();
    fiber first, second;
    once tracer{[&] { seen.push_back("tracer got " + second.switch_to("by the tracer").as<std::string>()); }};
    first = fiber{[&](std::string text) {
        seen.push_back("first starts with " + text);
        seen.push_back("first got " + here.switch_to("from first").as<std::string>());
        return std::string{"first done"};
    }};
    second = fiber{[&](std::string text) {
        seen.push_back("second starts with " + text);
        CHECK(here.switch_to("from second").empty());
        return std::string{"second done"};
    }};
    CHECK(first.switch_to("one").as<std::string>() == "from second");  // first has not started yet
    CHECK(first.switch_to("two").as<std::string>() == "from first");
    CHECK(first.switch_to("three").as<std::string>() == "first done");
    CHECK(second.switch_to().as<std::string>() == "second done");
    CHECK(seen == std::vector<std::string>{"second starts with by the tracer", "tracer got two", "first starts with one",
                                           "first got three"});
}

TASK_TEST("trace: an error on its way is kept while the tracer switches, and raised after it") {
    std::string caught;
    fiber f{[&] {
        try {
            to_parent();
        } catch (const std::runtime_error& e) {
            caught = e.what();
        }
    }};
    f.switch_to();
    once tracer{[] { fiber{[] {}}.switch_to(); }};
    f.throw_into(std::runtime_error("kept"));
    CHECK(caught == "kept");
}

TASK_TEST("trace: an error on its way to a pending fiber is kept while the tracer leaves it, and it never runs") {
    bool ran = false;
    const fiber here = fiber::current();
    fiber f{[&] { ran = true; }};
    once tracer{[&] { here.switch_to("from the tracer"); }};
    CHECK(f.throw_into(std::runtime_error("kept")).as<std::string>() == "from the tracer");
    CHECK_THROWS_WITH_AS(f.switch_to(), "kept", std::runtime_error);
    CHECK_FALSE(ran);
    CHECK(f.dead());
}

TASK_TEST("trace: a result is kept while the tracer in the parent switches") {
    fiber f{[] { return 5; }};
    int told = 0;
    weft::set_trace([&](trace_event, const fiber& origin, const fiber&) {
        if (++told == 2) {
            CHECK(origin == f);
            CHECK(f.dead());
            fiber{[] { return 6; }}.switch_to();
        }
    });
    message m = f.switch_to();
    weft::set_trace(nullptr);
    CHECK(m.as<int>() == 5);
}

TASK_TEST("trace: a tracer may switch to the origin, which is suspended in its switch") {
    std::vector<std::string> seen;
    fiber f{[&](int in) {
        seen.push_back("f " + std::to_string(in));
        return std::string{"done"};
    }};
    const fiber here = fiber::current();
    once tracer{[&] { here.switch_to("early"); }};
    CHECK(f.switch_to(3).as<std::string>() == "early");
    CHECK(seen.empty());
    CHECK(f.switch_to().as<std::string>() == "done");
    CHECK(seen == std::vector<std::string>{"f 3"});
}

TASK_TEST("trace: a tracer may drop the last handle of the origin, which is unwound in the target") {
    bool unwound = false;
    const fiber here = fiber::current();
    fiber f{[&] {
        struct note {
            bool& told;
            ~note() { told = true; }
        } at_end{unwound};
        here.switch_to("value");
    }};
    f.switch_to();
    fiber g{[&] {
        struct note {
            bool& told;
            ~note() { told = true; }
        } at_end{unwound};
        here.switch_to("kept");
    }};
    unwound = false;
    fiber* const doomed = &g;
    int told = 0;
    weft::set_trace([&](trace_event, const fiber&, const fiber&) {
        if (++told == 2) *doomed = fiber{};  // the event's own handle keeps it until the tracer has returned
    });
    message m = g.switch_to();
    weft::set_trace(nullptr);
    CHECK(m.as<std::string>() == "kept");
    CHECK(unwound);
}

TASK_TEST("trace: a tracer sees the target's exception state, and leaves it as it was") {
    std::exception_ptr seen;
    fiber f{[] {
        try {
            throw std::runtime_error("handled in f");
        } catch (const std::runtime_error&) {
            to_parent();
            throw;
        }
    }};
    f.switch_to();
    once tracer{[&] {
        seen = std::current_exception();
        try {
            throw 1;
        } catch (int) {
            fiber{[] {}}.switch_to();
        }
    }};
    CHECK_THROWS_WITH_AS(f.switch_to(), "handled in f", std::runtime_error);
    CHECK(seen != nullptr);
}

TASK_TEST("trace: every switch of a tracer that always switches is told, without end to be feared") {
    int depth = 0, told = 0;
    weft::set_trace([&](trace_event, const fiber&, const fiber&) {
        ++told;
        if (depth == 5) return;
        ++depth;
        fiber{[] {}}.switch_to();
    });
    fiber{[] {}}.switch_to();
    weft::set_trace(nullptr);
    CHECK(told == 2 + 5 * 2);
}
