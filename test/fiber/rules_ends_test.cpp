// How fibers end that nobody finishes: the last handle's unwinding, and what survives it.
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <weft/fiber.hpp>
#include <weft/task.hpp>
#include <weft/testing.hpp>

#include "support/at_exit.hpp"
#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using test::at_exit;
using weft::fiber;
using weft::message;

namespace {

message to_parent() { return fiber::current().parent().switch_to(); }

/// Keeps the errors that nobody observes while it lives.
class unhandled {
public:
    unhandled() {
        texts_.clear();
        before_ = weft::on_unhandled(&keep);
    }
    ~unhandled() { weft::on_unhandled(before_); }
    unhandled(const unhandled&) = delete;
    unhandled& operator=(const unhandled&) = delete;

    const std::vector<std::string>& texts() const { return texts_; }

private:
    static void keep(std::uint64_t, const std::string& name, const std::exception_ptr& error) {
        try {
            std::rethrow_exception(error);
        } catch (const std::exception& e) {
            texts_.push_back(name + ": " + e.what());
        } catch (...) {
            texts_.push_back(name + ": something else");
        }
    }
    static inline std::vector<std::string> texts_;
    weft::unhandled_hook before_;
};

}  // namespace

TASK_TEST("an unwound fiber sees fiber_exit at the switch that suspended it, and its end is nobody's value") {
    bool saw_exit = false;
    const fiber here = fiber::current();
    fiber other{[&] { here.switch_to("first"); }};
    {
        fiber f{[&] {
            try {
                to_parent();
            } catch (const weft::fiber_exit&) {
                saw_exit = true;
            }
            return 5;  // to whoever dropped it, who waits for nothing
        }};
        f.switch_to();
    }
    CHECK(saw_exit);
    CHECK(other.switch_to().as<std::string>() == "first");
}

TASK_TEST("a fiber is unwound by the fiber that drops it, not by the one that made it") {
    fiber dropped_in, parent_then;
    auto* f = new fiber{[&] {
        const at_exit note{[&] { parent_then = fiber::current().parent(); }};
        to_parent();
    }};
    f->switch_to();
    fiber dropper{[&] {
        dropped_in = fiber::current();
        delete f;
    }};
    dropper.switch_to();
    CHECK(parent_then == dropper);
    CHECK(parent_then == dropped_in);
}

TASK_TEST("an unwinding starts where a stack is unwound itself, and leaves that exception alone") {
    std::vector<int> uncaught;
    const auto throws = [&] {
        fiber f{[&] {
            const at_exit note{[&] { uncaught.push_back(std::uncaught_exceptions()); }};
            to_parent();
        }};
        f.switch_to();
        throw std::runtime_error("the dropper's own");
    };
    CHECK_THROWS_WITH_AS(throws(), "the dropper's own", std::runtime_error);
    CHECK(uncaught == std::vector{1});
    CHECK(std::uncaught_exceptions() == 0);
}

TASK_TEST("what is thrown instead of fiber_exit is reported whatever its type, and the dropper goes on") {
    const unhandled reports;
    for (const bool standard : {true, false}) {
        fiber f{[standard] {
            try {
                to_parent();
            } catch (const weft::fiber_exit&) {
                if (standard) throw std::runtime_error("instead");
                throw 5;
            }
        }, {.name = standard ? "a" : "b"}};
        f.switch_to();
    }
    CHECK(reports.texts() == std::vector<std::string>{"a: instead", "b: something else"});
}

TASK_TEST("an exception derived from fiber_exit that leaves an unwinding is not reported") {
    struct polite_exit : weft::fiber_exit {};
    const unhandled reports;
    {
        fiber f{[] {
            try {
                to_parent();
            } catch (const weft::fiber_exit&) {
                throw polite_exit{};
            }
        }};
        f.switch_to();
    }
    CHECK(reports.texts().empty());
}

TASK_TEST("an error that leaves an unwinding is reported on a thread that never had a hub, too") {
    const unhandled reports;
    std::thread{[] {
        fiber f{[] {
            try {
                to_parent();
            } catch (const weft::fiber_exit&) {
                throw std::runtime_error("without a hub");
            }
        }, {.name = "alone"}};
        f.switch_to();
    }}.join();
    CHECK(reports.texts() == std::vector<std::string>{"alone: without a hub"});
}

TASK_TEST("a child of an unwound fiber that fails while it is unwound raises there, in its parent") {
    const unhandled reports;
    std::string caught;
    {
        fiber f{[&] {
            const at_exit note{[&] {
                try {
                    fiber{[] { throw std::runtime_error("child"); }}.switch_to();
                } catch (const std::runtime_error& e) {
                    caught = e.what();
                }
            }};
            to_parent();
        }};
        f.switch_to();
    }
    CHECK(caught == "child");
    CHECK(reports.texts().empty());
}

TASK_TEST("a parent set by a fiber that is unwound does not last: the one from before comes back") {
    fiber kept;
    const fiber here = fiber::current();
    fiber other{[] {}};
    auto* f = new fiber{[&] {
        try {
            here.switch_to();
        } catch (const weft::fiber_exit&) {
            kept = fiber::current();
            kept.set_parent(other);
            here.switch_to();
        }
    }};
    f->switch_to();
    delete f;
    CHECK(kept.parent() == here);
    kept.switch_to();
    CHECK(kept.dead());
}

TASK_TEST("a fiber whose parent became its child while it was unwound makes no circle of parents") {
    fiber kept;
    const fiber here = fiber::current();
    fiber former{[] { return std::string{"former"}; }};
    auto* f = new fiber{[&] {
        try {
            here.switch_to();
        } catch (const weft::fiber_exit&) {
            kept = fiber::current();
            former.set_parent(kept);  // no circle now: the dropper is the parent
            here.switch_to();
        }
    }};
    f->set_parent(former);
    f->switch_to();
    delete f;
    REQUIRE(former.parent() == kept);
    fiber at = kept;
    for (int i = 0; i < 10 && at.id() != 0; ++i) at = at.parent();
    CHECK(at == fiber{});
    kept.set_parent(here);
    kept.switch_to();
    CHECK(former.switch_to().as<std::string>() == "former");
}

TASK_TEST("a fiber may be resurrected more than once, and is unwound anew by each last drop") {
    int times = 0;
    fiber kept;
    const fiber here = fiber::current();
    auto* f = new fiber{[&] {
        while (times < 3) {
            try {
                here.switch_to();
            } catch (const weft::fiber_exit&) {
                if (++times < 3) kept = fiber::current();
            }
        }
    }};
    f->switch_to();
    delete f;
    CHECK(times == 1);
    CHECK_FALSE(kept.dead());
    kept = fiber{};
    CHECK(times == 2);
    CHECK_FALSE(kept.dead());
    kept = fiber{};
    CHECK(times == 3);
}

TASK_TEST("a child whose parent's only handle it is gets it unwound when it ends or is re-parented") {
    for (const bool by_end : {true, false}) {
        bool unwound = false;
        fiber child;
        {
            fiber parent{[&] {
                const at_exit note{[&] { unwound = true; }};
                child = fiber{[] { return 3; }};
                to_parent();
            }};
            parent.switch_to();
        }
        CHECK_FALSE(unwound);
        if (by_end) {
            child = fiber{};  // pending: it and its parent go, one after the other
        } else {
            child.set_parent(fiber::current());
            CHECK(child.switch_to().as<int>() == 3);
        }
        CHECK(unwound);
    }
}

TASK_TEST("a fiber that holds a child of its own is held by it until somebody opens the circle") {
    // As in greenlet, where the frames of a suspended fiber are opaque to the collector.
    bool unwound = false;
    fiber child;
    {
        fiber f{[&] {
            const at_exit note{[&] { unwound = true; }};
            const fiber own{[] {}};
            child = own;
            to_parent();
        }};
        f.switch_to();
    }
    CHECK_FALSE(unwound);
    child.set_parent(fiber::current());
    CHECK(unwound);
}

TASK_TEST("fibers that hold each other end with their thread, newest first") {
    std::string order;
    std::thread{[&] {
        auto a = std::make_shared<fiber>();
        auto b = std::make_shared<fiber>();
        const fiber here = fiber::current();
        *a = fiber{[&order, &here, b] {
            const at_exit note{[&] { order += 'a'; }};
            here.switch_to();
        }};
        *b = fiber{[&order, &here, a] {
            const at_exit note{[&] { order += 'b'; }};
            here.switch_to();
        }};
        a->switch_to();
        b->switch_to();
    }}.join();
    CHECK(order == "ba");
}

TASK_TEST("fibers that each hold the next, a thousand deep, are unwound from the first") {
    constexpr int depth = test::under_tsan ? 100 : 1000;
    int unwound = 0;
    const fiber here = fiber::current();
    struct nest {
        const fiber& here;
        int& unwound;
        void operator()(int level) const {
            const at_exit note{[this] { ++unwound; }};
            fiber inner;
            if (level > 1) {
                inner = fiber{nest{here, unwound}};
                inner.set_parent(here);  // else it would hold this one
                inner.switch_to(level - 1);
            } else {
                here.switch_to();
            }
        }
    };
    {
        fiber outer{nest{here, unwound}};
        outer.switch_to(depth);
        CHECK(unwound == 0);
        CHECK(weft::testing::count().fibers >= depth);
    }
    CHECK(unwound == depth);
}

TASK_TEST("an error from a thousand fibers inside each other comes out at the first, each stack unwound") {
    constexpr int depth = test::under_tsan ? 100 : 1000;
    int unwound = 0;
    struct nest {
        int& unwound;
        int operator()(int level) const {
            const at_exit note{[this] { ++unwound; }};
            if (level == 0) throw std::runtime_error("innermost");
            return fiber{nest{unwound}}.switch_to(level - 1).as<int>();
        }
    };
    fiber outer{nest{unwound}};
    CHECK_THROWS_WITH_AS(outer.switch_to(depth), "innermost", std::runtime_error);
    CHECK(unwound == depth + 1);
}
