// What weft/trace.hpp promises: which switches a tracer is told of, as what, where, and what it may do itself.
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>
#include <weft/trace.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"

using test::counted;
using weft::fiber;
using weft::message;
using weft::trace_event;

namespace {

/// Sets a tracer for as long as it lives.
struct traced {
    explicit traced(weft::tracer next) : before{weft::set_trace(std::move(next))} {}
    ~traced() { weft::set_trace(std::move(before)); }
    traced(const traced&) = delete;
    traced& operator=(const traced&) = delete;

    weft::tracer before;
};

/// Notes what it is told as "event origin>target" while it lives: 's' switched, 't' thrown; names of fibers.
class notes {
public:
    notes() : set_{[this](trace_event event, const fiber& origin, const fiber& target) {
        told_ += told_.empty() ? "" : " ";
        told_ += std::string{event == trace_event::thrown ? "t" : "s"} + ' ' + name(origin) + '>' + name(target);
        in_target_ &= fiber::current() == target;
    }} {}

    /// What has been told since the last call.
    std::string told() {
        CHECK(in_target_);
        return std::exchange(told_, {});
    }

private:
    std::string name(const fiber& f) const { return f == here_ ? "here" : f.name(); }

    fiber here_ = fiber::current();
    std::string told_;
    bool in_target_ = true;
    traced set_;
};

message to_parent() { return fiber::current().parent().switch_to(); }

fiber named(const char* name, auto function) { return fiber{std::move(function), {.name = name}}; }

fiber suspended(const char* name) {
    fiber f = named(name, [] { to_parent(); });
    f.switch_to();
    return f;
}

}  // namespace

TASK_TEST("trace: a start and a return are two switches, an end by an error is a throw") {
    notes n;
    named("f", [] {}).switch_to();
    CHECK(n.told() == "s here>f s f>here");
    CHECK_THROWS_AS(named("g", [] { throw 1; }).switch_to(), int);
    CHECK(n.told() == "s here>g t g>here");
}

TASK_TEST("trace: an end by fiber_exit is a switch") {
    notes n;
    named("f", [] { throw weft::fiber_exit{}; }).switch_to();
    CHECK(n.told() == "s here>f s f>here");
}

TASK_TEST("trace: throw_into is a throw, whether the target is suspended or pending") {
    fiber f = suspended("f"), g = suspended("g"), p = named("p", [] {}), q = named("q", [] {});
    notes n;
    CHECK_THROWS_AS(f.throw_into(1), int);
    CHECK(n.told() == "t here>f t f>here");
    g.throw_into();
    CHECK(n.told() == "t here>g s g>here");
    CHECK_THROWS_AS(p.throw_into(1), int);
    CHECK(n.told() == "t here>p t p>here");
    q.throw_into();
    CHECK(n.told() == "t here>q s q>here");
}

TASK_TEST("trace: the unwinding of a dropped fiber is a throw, and its end a switch") {
    fiber f = suspended("f");
    notes n;
    f = fiber{};
    CHECK(n.told() == "t here>f s f>here");
}

TASK_TEST("trace: a switch to oneself is told") {
    notes n;
    fiber::current().switch_to();
    CHECK(n.told() == "s here>here");
    named("f", [] { fiber::current().switch_to(1); }).switch_to();
    CHECK(n.told() == "s here>f s f>f s f>here");
}

TASK_TEST("trace: a switch to a dead fiber is told with the ancestor that it reaches") {
    fiber parent = suspended("parent"), child = named("child", [] {});
    child.switch_to();
    notes n;
    child.switch_to();
    CHECK(n.told() == "s here>here");
    child.set_parent(parent);
    child.switch_to();
    CHECK(n.told() == "s here>parent s parent>here");
}

TASK_TEST("trace: a switch that is refused is not told") {
    weft::event go;
    fiber parked;
    auto task = weft::spawn([&] {
        parked = fiber::current();
        go.wait();
    });
    test::settle();
    {
        notes n;
        CHECK_THROWS_AS(parked.switch_to(), weft::invalid_switch);
        CHECK_THROWS_AS(fiber{}.switch_to(), std::invalid_argument);
        CHECK(n.told().empty());
    }
    go.set();
    task.get();
}

TASK_TEST("trace: turns of the scheduler are told as switches to the task that runs") {
    const fiber here = fiber::current();
    weft::event go;
    fiber waiter;
    auto task = weft::spawn([&] {
        waiter = fiber::current();
        go.wait();
    });
    test::settle();
    int to_waiter = 0, to_here = 0;
    {
        const traced t{[&](trace_event event, const fiber&, const fiber& target) {
            CHECK(event == trace_event::switched);
            to_waiter += target == waiter;
            to_here += target == here;
        }};
        go.set();
        task.join();
    }
    CHECK(to_waiter == 1);
    CHECK(to_here == 1);
}

HUB_TEST("trace: a result that nobody fetched is destroyed in a fiber, in which it may wait") {
    static weft::event waited;
    waited.clear();
    struct waits {
        std::unique_ptr<int> full = std::make_unique<int>();
        waits() = default;
        waits(waits&&) = default;
        ~waits() {
            if (!full) return;
            weft::yield();
            waited.set();
        }
    };
    const notes told;
    weft::spawn([] {
        weft::yield();
        return waits{};
    });
    CHECK(waited.wait(std::chrono::seconds{5}));
}

TASK_TEST("trace: the tracer runs in the target, before what the target does next") {
    std::vector<std::string> order;
    fiber f = named("f", [&] {
        order.push_back("f starts");
        to_parent();
        order.push_back("f goes on");
    });
    {
        const traced t{[&](trace_event, const fiber&, const fiber& target) {
            order.push_back("told of " + (target.name() == "f" ? std::string{"f"} : std::string{"here"}));
        }};
        f.switch_to();
        order.push_back("here goes on");
        f.switch_to();
    }
    CHECK(order == std::vector<std::string>{"told of f", "f starts", "told of here", "here goes on", "told of f",
                                            "f goes on", "told of here"});
}

TASK_TEST("trace: set_trace returns the previous tracer, which may be set again") {
    int first = 0, second = 0;
    CHECK_FALSE(weft::set_trace([&](trace_event, const fiber&, const fiber&) { ++first; }));
    weft::tracer before = weft::set_trace([&](trace_event, const fiber&, const fiber&) { ++second; });
    CHECK(static_cast<bool>(before));
    fiber{[] {}}.switch_to();
    CHECK(first == 0);
    CHECK(second == 2);
    weft::set_trace(before);
    weft::set_trace(before);  // the same twice
    fiber{[] {}}.switch_to();
    CHECK(first == 2);
    CHECK(second == 2);
    CHECK(static_cast<bool>(weft::set_trace(nullptr)));
    CHECK_FALSE(weft::set_trace(nullptr));
    fiber{[] {}}.switch_to();
    CHECK(first == 2);
}

TASK_TEST("trace: a tracer that is replaced or taken away is destroyed") {
    auto held = std::make_shared<int>(0);
    weft::set_trace([held](trace_event, const fiber&, const fiber&) {});
    fiber{[] {}}.switch_to();
    CHECK(held.use_count() == 2);
    weft::set_trace(nullptr);
    CHECK(held.use_count() == 1);
}

HUB_TEST("trace: each thread has a tracer of its own, none at first") {
    notes n;
    std::thread{[] {
        fiber{[] {}}.switch_to();
        CHECK_FALSE(weft::set_trace(nullptr));
        int told = 0;
        weft::set_trace([&](trace_event, const fiber&, const fiber&) { ++told; });
        fiber{[] {}}.switch_to();
        CHECK(told == 2);
        weft::set_trace(nullptr);
    }}.join();
    CHECK(n.told().empty());
}

TASK_TEST("trace: a tracer may be set, replaced and taken away in a fiber, and by itself") {
    int told = 0;
    fiber f{[&] {
        weft::set_trace([&](trace_event, const fiber&, const fiber&) {
            ++told;
            weft::set_trace(nullptr);
        });
    }};
    f.switch_to();
    CHECK(told == 1);  // of the end of f
    fiber{[] {}}.switch_to();
    CHECK(told == 1);
}

TASK_TEST("trace: a tracer that throws is removed, and its exception is thrown at the target's switch") {
    std::string caught;
    int told = 0;
    fiber f{[&] {
        try {
            to_parent();
        } catch (const std::runtime_error& e) {
            caught = e.what();
        }
    }};
    f.switch_to();
    counted::reset();
    weft::set_trace([&](trace_event, const fiber&, const fiber&) {
        ++told;
        throw std::runtime_error("from the tracer");
    });
    f.switch_to(counted{1});
    CHECK(caught == "from the tracer");
    CHECK(told == 1);
    CHECK_FALSE(weft::set_trace(nullptr));
    CHECK(counted::destroyed == 1);
    CHECK(f.dead());
}

TASK_TEST("trace: a tracer that throws at a start kills the fiber before it runs, and the parent gets the error") {
    bool ran = false;
    fiber f{[&] { ran = true; }};
    weft::set_trace([](trace_event, const fiber&, const fiber&) { throw std::runtime_error("at the start"); });
    CHECK_THROWS_WITH_AS(f.switch_to(), "at the start", std::runtime_error);
    CHECK_FALSE(ran);
    CHECK(f.dead());
    CHECK_FALSE(weft::set_trace(nullptr));
}

TASK_TEST("trace: a tracer that throws at a throw replaces what was thrown") {
    fiber f = suspended("f");
    weft::set_trace([](trace_event, const fiber&, const fiber&) { throw std::runtime_error("instead"); });
    CHECK_THROWS_WITH_AS(f.throw_into(std::runtime_error("first")), "instead", std::runtime_error);
    CHECK(f.dead());
}

TASK_TEST("trace: a tracer that throws at a switch to oneself throws there, and the values are destroyed") {
    counted::reset();
    weft::set_trace([](trace_event, const fiber&, const fiber&) { throw 1; });
    CHECK_THROWS_AS(fiber::current().switch_to(counted{1}), int);
    CHECK(counted::destroyed == 1);
    CHECK_FALSE(weft::set_trace(nullptr));
}

TASK_TEST("trace: a tracer that throws at the end of an unwinding is reported, and the dropper goes on") {
    static int reports;
    reports = 0;
    const auto before = weft::on_unhandled([](std::uint64_t, const std::string&, const std::exception_ptr&) {
        ++reports;
    });
    fiber f = suspended("f");
    int told = 0;
    weft::set_trace([&](trace_event, const fiber&, const fiber&) {
        if (++told == 2) throw std::runtime_error("in a destructor of a handle");
    });
    f = fiber{};  // noexcept: there is nobody to throw it at
    CHECK(told == 2);
    CHECK_FALSE(weft::set_trace(nullptr));
    weft::on_unhandled(before);
    CHECK(reports == 1);
}

TASK_TEST("trace: a tracer that throws as a waiting task is resumed is reported, and the wait goes on as it ended") {
    static int reports;
    reports = 0;
    const auto before = weft::on_unhandled([](std::uint64_t, const std::string&, const std::exception_ptr&) {
        ++reports;
    });
    weft::event go;
    auto task = weft::spawn([&] {
        go.wait();
        return 5;
    });
    test::settle();
    weft::set_trace([](trace_event, const fiber&, const fiber&) { throw 1; });
    go.set();
    CHECK(task.get() == 5);
    CHECK_FALSE(weft::set_trace(nullptr));
    weft::on_unhandled(before);
    CHECK(reports == 1);
}
