// Who owns a fiber and what lies on its stack: last handles dropped anywhere, and user code in destructors.
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"
#include "support/when_destroyed.hpp"

using namespace std::chrono_literals;
using test::when_destroyed;
using weft::fiber;

namespace {


/// What a fiber can see of itself, and whether it can spawn.
struct glimpse {
    std::uint64_t task = 0;
    fiber running;
    weft::task<void> spawned;

    void take() {
        task = weft::this_task::id();
        running = fiber::current();
        spawned = weft::spawn([] {});
    }
    /// It was a living fiber that saw itself.
    bool sound() const { return task != 0 && running.id() == task && spawned; }
};

void suspend() { fiber::current().parent().switch_to(); }

}  // namespace

TASK_TEST("an error that nobody asked for is reported once, to a hook that runs in a living fiber") {
    static int calls;
    static glimpse seen;
    calls = 0;
    seen = {};
    const auto before = weft::on_unhandled([](std::uint64_t, const std::string&, const std::exception_ptr&) {
        ++calls;
        seen.take();
    });
    weft::spawn([] { throw std::runtime_error("nobody asks"); });
    test::settle();
    weft::on_unhandled(before);
    CHECK(calls == 1);
    CHECK(seen.sound());
    CHECK(seen.spawned.ready());
    seen = {};
}

TASK_TEST("the destructor of a result that nobody fetched runs once, in a living fiber, and may spawn") {
    int runs = 0;
    glimpse seen;
    weft::spawn([&] {
        return when_destroyed{[&] {
            ++runs;
            seen.take();
        }};
    });
    test::settle();
    CHECK(runs == 1);
    CHECK(seen.sound());
    CHECK(seen.spawned.ready());
}

TASK_TEST("the destructor of an error runs once, in a living fiber, and may spawn") {
    static int runs;
    static glimpse seen;
    struct error : std::runtime_error {
        error() : std::runtime_error("with a destructor") {}
        std::shared_ptr<void> owner = std::make_shared<when_destroyed<void (*)()>>([] {
            ++runs;
            seen.take();
        });
    };
    runs = 0;
    seen = {};
    const auto before =
        weft::on_unhandled([](std::uint64_t, const std::string&, const std::exception_ptr&) {});
    weft::spawn([] { throw error{}; });
    test::settle();
    weft::on_unhandled(before);
    CHECK(runs == 1);
    CHECK(seen.sound());
    CHECK(seen.spawned.ready());
    seen = {};
}

TASK_TEST("a dying child that holds its parent's last reference still ends in it") {
    fiber parent, child;
    int got = 0;
    parent = fiber{[&] {
        child = fiber{[&] {
            parent = {};
            child = {};
            return 42;
        }};
        got = child.switch_to().as<int>();
    }};
    parent.switch_to();
    CHECK(got == 42);
}

TASK_TEST("a fiber that drops its own last handle and switches away is unwound by whoever runs next") {
    bool unwound = false;
    auto* own = new fiber;
    *own = fiber{[&, own] {
        const when_destroyed note{[&] { unwound = true; }};
        delete own;
        suspend();
    }};
    own->switch_to();
    test::settle();
    CHECK(unwound);
}

TASK_TEST("a fiber that drops its own last handle and then another's is unwound once it has switched away") {
    fiber idle{[] {
        for (;;) suspend();
    }};
    idle.switch_to();
    idle.switch_to();
    auto* other = new fiber{[&] {
        const when_destroyed visit{[] { fiber{[] {}}.switch_to(); }};
        suspend();
    }};
    other->switch_to();
    bool unwound = false;
    auto* own = new fiber;
    *own = fiber{[&, own] {
        const when_destroyed note{[&] { unwound = true; }};
        delete own;
        delete other;
        idle.switch_to();
    }};
    own->switch_to();
    test::settle();
    fiber{[] {}}.switch_to();
    CHECK(unwound);
}

TASK_TEST("a fiber dropped in a destructor that then waits is unwound at its next switch") {
    fiber here = fiber::current(), idle{[&] {
        for (;;) here.switch_to();
    }};
    idle.switch_to();
    bool unwound = false;
    fiber dropped{[&] {
        const when_destroyed note{[&] { unwound = true; }};
        try {
            const when_destroyed visit{[&] {
                here.switch_to();
                weft::sleep_for(1s);
            }};
            throw std::runtime_error("unwinds");
        } catch (const std::runtime_error&) {
        }
        idle.switch_to();
        CHECK(false);
    }};
    dropped.switch_to();
    idle.switch_to();
    weft::spawn([] {
        test::settle();
        test::clock.advance(1s);
    });
    dropped = {};
    CHECK(unwound);
}

TASK_TEST("captures and arguments of a killed task may wait as they are destroyed") {
    int waited = 0;
    const auto slow = [&] {
        return when_destroyed{[&] {
            weft::sleep_for(1s);
            ++waited;
        }};
    };
    auto task = weft::spawn([c = slow()](const auto&) { weft::sleep_for(1h); }, slow());
    test::settle();
    (void)task.kill(weft::deadline::past());
    for (int i = 0; i < 4; ++i) {
        test::settle();
        test::clock.advance(1s);
    }
    task.join();
    CHECK(waited == 2);
}

HUB_TEST("captures and arguments may try to wait as their thread ends") {
    int tried = 0;
    std::thread{[&] {
        const auto slow = [&] {
            return when_destroyed{[&] {
                ++tried;
                try {
                    weft::sleep_for(1h);
                } catch (const weft::fiber_exit&) {
                }
            }};
        };
        weft::spawn([c = slow()](const auto&) { weft::sleep_for(1h); }, slow());
        weft::yield();
    }}.join();
    CHECK(tried == 2);
}

HUB_TEST("a capture that joins a task of its own survives a kill and the thread's end") {
    // As a nursery does: its destructor is noexcept and waits.
    struct nursery {
        weft::task<void> inner = weft::spawn([] { weft::sleep_for(1ms); });
        ~nursery() { inner.join(); }
    };
    auto killed = weft::spawn([n = std::make_unique<nursery>()] { weft::sleep_for(1h); });
    weft::yield();
    CHECK(killed.kill(5s));
    weft::task<void> left;
    std::thread{[&] {
        left = weft::spawn([n = std::make_unique<nursery>()] { weft::sleep_for(1h); });
        weft::yield();
    }}.join();
    CHECK(left.ready());
}

HUB_TEST("posted functions that were never reached are destroyed while the thread's weft still works") {
    bool had_time = false, spawned = false;
    std::thread{[&] {
        weft::yield();
        weft::hub::current().post([w = when_destroyed{[&] {
            had_time = weft::deadline::after(1s).when() > weft::now();
            spawned = static_cast<bool>(weft::spawn([] {}));
        }}] {});
    }}.join();
    CHECK(had_time);
    CHECK(spawned);
}
