// What weft/fiber.hpp promises of handles: who unwinds a fiber, when, and where.
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/at_exit.hpp"
#include "support/counted.hpp"
#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::counted;
using test::at_exit;
using weft::fiber;

namespace {

fiber to_parent() { return fiber::current().parent(); }

}  // namespace

TASK_TEST("the last handle of a suspended fiber unwinds it, with whoever dropped it as its parent") {
    fiber made_by;
    fiber seen_parent;
    fiber f;
    made_by = fiber{[&] {
        f = fiber{[&] {
            const at_exit note{[&] { seen_parent = to_parent(); }};
            made_by.parent().switch_to();
        }};
        f.switch_to();
    }};
    made_by.switch_to();
    const fiber here = fiber::current();
    REQUIRE(f.parent() == made_by);
    f = fiber{};
    CHECK(seen_parent == here);
    made_by.throw_into();
}

TASK_TEST("a copy of the handle keeps it") {
    bool unwound = false;
    fiber copy;
    {
        fiber f{[&] {
            const at_exit note{[&] { unwound = true; }};
            to_parent().switch_to();
        }};
        f.switch_to();
        copy = f;
    }
    CHECK_FALSE(unwound);
    copy = fiber{};
    CHECK(unwound);
}

TASK_TEST("dropping a pending fiber runs nothing and destroys its function") {
    counted::reset();
    bool ran = false;
    { fiber f{[c = counted{1}, &ran] { ran = c.number > 0; }}; }
    CHECK_FALSE(ran);
    CHECK(counted::destroyed == 1);
}

TASK_TEST("a child keeps its parent alive") {
    bool unwound = false;
    fiber child;
    {
        fiber parent{[&] {
            const at_exit note{[&] { unwound = true; }};
            child = fiber{[] {}};
            to_parent().switch_to();
        }};
        parent.switch_to();
    }
    CHECK_FALSE(unwound);
    child = fiber{};
    CHECK(unwound);
}

TASK_TEST("a fiber that switches while it is unwound comes back to whoever dropped it") {
    std::vector<std::string> seen;
    fiber f{[&] {
        const at_exit note{[&] {
            fiber{[&] { seen.push_back("a switch in a destructor"); }}.switch_to();
            seen.push_back("unwound");
        }};
        to_parent().switch_to();
    }};
    f.switch_to();
    f = fiber{};
    seen.push_back("dropped");
    CHECK(seen == std::vector<std::string>{"a switch in a destructor", "unwound", "dropped"});
}

TASK_TEST("another error that leaves a dropped fiber is reported, not thrown at whoever dropped it") {
    static std::string reported;
    const auto before = weft::on_unhandled([](std::uint64_t, const std::string& name, const std::exception_ptr& e) {
        try {
            std::rethrow_exception(e);
        } catch (const std::runtime_error& error) {
            reported = name + ": " + error.what();
        }
    });
    {
        fiber f{[] {
            try {
                to_parent().switch_to();
            } catch (const weft::fiber_exit&) {
                throw std::runtime_error("in its clean-up");
            }
        }, {.name = "careless"}};
        f.switch_to();
    }
    weft::on_unhandled(before);
    CHECK(reported == "careless: in its clean-up");
}

TASK_TEST("a fiber that survives its unwinding and has left a handle lives on, with its parent restored") {
    fiber kept, former_parent;
    const fiber here = fiber::current();
    fiber maker{[&] {
        fiber f{[&] {
            for (;;) {
                try {
                    here.switch_to();
                } catch (const weft::fiber_exit&) {
                    kept = fiber::current();
                    to_parent().switch_to();
                    return;
                }
            }
        }};
        former_parent = f.parent();
        auto* only = new fiber{std::move(f)};
        only->switch_to();
        delete only;
    }};
    maker.switch_to();
    maker.switch_to();  // drops it: it stores a handle and comes back
    CHECK(kept.started());
    CHECK_FALSE(kept.dead());
    CHECK(kept.parent() == former_parent);
    kept.switch_to();
    CHECK(kept.dead());
}

TASK_TEST("values in flight are not lost when the last handle goes") {
    counted::reset();
    {
        auto* own = new fiber;
        *own = fiber{[own](counted in) {
            delete own;  // its own last handle: it runs on
            return in;
        }};
        CHECK(own->switch_to(counted{9}).as<counted>().number == 9);
    }
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 1);
}

TASK_TEST("a fiber that drops its own last handle runs to its end") {
    int steps = 0;
    auto* own = new fiber;
    *own = fiber{[&] {
        delete own;
        ++steps;
    }};
    own->switch_to();
    CHECK(steps == 1);
}

TASK_TEST("an explicit fiber that waits is kept alive by its wait") {
    weft::event go;
    bool done = false;
    fiber* f = nullptr;
    auto task = weft::spawn([&] {
        f = new fiber{[&] {
            go.wait();
            done = true;
        }};
        f->switch_to();
    });
    test::settle();
    delete f;
    CHECK_FALSE(done);
    go.set();
    task.get();
    CHECK(done);
}

TASK_TEST("an explicit fiber that yields is kept alive until its next turn") {
    bool done = false;
    fiber* f = nullptr;
    auto task = weft::spawn([&] {
        f = new fiber{[&] {
            weft::yield();
            done = true;
        }};
        f->switch_to();
    });
    auto dropper = weft::spawn([&] {
        delete f;
        CHECK_FALSE(done);
    });
    joinall(std::vector{task, dropper});
    CHECK(done);
}

TASK_TEST("a long line of dead parents goes without a deep recursion") {
    constexpr int generations = test::under_tsan ? 500 : 50'000;  // there a fiber costs milliseconds
    fiber youngest{[] {}};
    youngest.switch_to();
    fiber oldest = youngest;
    for (int i = 0; i < generations; ++i) {
        fiber older{[] {}};
        older.switch_to();
        oldest.set_parent(older);
        oldest = older;
    }
    oldest = fiber{};
    CHECK(youngest.dead());
}

HUB_TEST("a handle dropped on another thread has the fiber unwound by its owner, at its next turn") {
    std::thread::id unwound_on;
    fiber f{[&] {
        const at_exit note{[&] { unwound_on = std::this_thread::get_id(); }};
        to_parent().switch_to();
    }};
    f.switch_to();
    std::thread{[&] { f = fiber{}; }}.join();
    CHECK(unwound_on == std::thread::id{});
    while (unwound_on == std::thread::id{}) weft::sleep_for(1ms);
    CHECK(unwound_on == std::this_thread::get_id());
}

HUB_TEST("a handle may outlive its fiber's thread: the fiber was unwound with it") {
    bool unwound = false;
    fiber f;
    std::thread{[&] {
        f = fiber{[&] {
            const at_exit note{[&] { unwound = true; }};
            to_parent().switch_to();
        }};
        f.switch_to();
    }}.join();
    CHECK(unwound);
    CHECK(f.dead());
    CHECK_THROWS_WITH_AS(f.switch_to(), doctest::Contains("thread has ended"), weft::wrong_thread);
    CHECK_THROWS_AS(f.throw_into(std::runtime_error("late")), weft::wrong_thread);
}

HUB_TEST("switching to another thread's fiber throws and harms neither") {
    fiber f{[] {
        to_parent().switch_to();
        return 1;
    }};
    f.switch_to();
    std::thread{[&] {
        CHECK_THROWS_WITH_AS(f.switch_to(), doctest::Contains("belongs to another thread"), weft::wrong_thread);
        CHECK_THROWS_AS(f.throw_into(), weft::wrong_thread);
        CHECK_THROWS_AS(f.throw_into(std::runtime_error("no")), weft::wrong_thread);
    }}.join();
    CHECK(f.switch_to().as<int>() == 1);
}

HUB_TEST("another thread's main fiber reads as dead once the thread has ended") {
    fiber other;
    std::thread{[&] {
        other = fiber::main();
        CHECK_FALSE(other.dead());
    }}.join();
    CHECK(other.dead());
}

HUB_TEST("a fiber dropped in a callback of the hub is unwound outside of it") {
    bool unwound = false, in_callback = true;
    auto* f = new fiber{[&] {
        const at_exit note{[&] { unwound = !in_callback; }};
        to_parent().switch_to();
    }};
    f->switch_to();
    weft::hub::current().post([&] {
        delete f;
        in_callback = false;
    });
    weft::sleep_for(1ms);
    CHECK(unwound);
}
