// Who owns a fiber and what lies on its stack: last handles dropped anywhere, and user code in destructors.
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/counted.hpp"
#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::counted;
using weft::fiber;

namespace {

/// Calls `function` when it goes, unless it has been moved from.
template <class F>
class when_destroyed {
public:
    explicit when_destroyed(F function) : function_{std::move(function)} {}
    when_destroyed(when_destroyed&& other) noexcept
        : function_{std::move(other.function_)}, on_{std::exchange(other.on_, false)} {}
    when_destroyed& operator=(when_destroyed&&) = delete;
    ~when_destroyed() {
        if (on_) function_();
    }

private:
    F function_;
    bool on_ = true;
};

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

constexpr int rounds = test::under_tsan || test::under_asan ? 1'000 : 5'000;

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

HUB_TEST("another thread may drop the last handle of a fiber that runs and ends meanwhile") {
    std::atomic<fiber*> slot{nullptr};
    std::atomic<bool> stop{false};
    std::thread dropper{[&] {
        while (!stop) {
            if (fiber* f = slot.exchange(nullptr)) delete f;
            else std::this_thread::yield();
        }
    }};
    int ran = 0;
    for (int i = 0; i < rounds; ++i) {
        auto* f = new fiber;
        *f = fiber{[&, i] {
            slot = f;
            std::atomic<int> turns{0};
            while (turns.fetch_add(1) < i % 200) {}
            ++ran;
        }};
        f->switch_to();
        while (slot.load()) std::this_thread::yield();
    }
    stop = true;
    dropper.join();
    CHECK(ran == rounds);
    weft::sleep_for(1ms);  // the letters about the last ones
}

HUB_TEST("handles that another thread has copied and given back count as any other") {
    using list = std::vector<fiber>;
    const auto copied_elsewhere = [](const fiber& f, int copies) {
        list made;
        std::thread{[&] { made = list(static_cast<std::size_t>(copies), f); }}.join();
        return made;
    };
    for (const int copies : {1, 2, 3})
        for (const bool original_first : {true, false})
            for (const int dropped_elsewhere : {0, 1, 2}) {
                bool unwound = false;
                fiber f{[&] {
                    const when_destroyed note{[&] { unwound = true; }};
                    suspend();
                }};
                f.switch_to();
                list copied = copied_elsewhere(f, copies);
                if (original_first) f = {};
                std::thread{[&] {
                    for (int i = 0; i < dropped_elsewhere && copied.size() > 1; ++i) copied.pop_back();
                }}.join();
                CHECK_FALSE(unwound);
                copied.clear();
                CHECK(unwound == original_first);
                f = {};
                CHECK(unwound);
                weft::yield();  // the letters about those that were dropped elsewhere
            }
}

HUB_TEST("a result goes with the last handle, also if another thread has copied that and given it back") {
    bool gone = false;
    auto task = weft::spawn([&] { return when_destroyed{[&] { gone = true; }}; });
    task.join();
    decltype(task) back;
    std::thread{[&] { back = task; }}.join();
    task = {};
    weft::yield();
    CHECK_FALSE(gone);
    {
        const auto copy = back;
    }
    CHECK_FALSE(gone);
    back = {};
    CHECK(gone);
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

HUB_TEST("a handle that another thread has copied and this one drops is as good as any other") {
    counted::reset();
    for (const bool own_handle_first : {false, true}) {
        fiber f{[c = counted{1}] { suspend(); }}, copy;
        f.switch_to();
        std::thread{[&] { copy = f; }}.join();
        (own_handle_first ? f : copy) = {};
        CHECK(counted::alive == 1);
        fiber again = own_handle_first ? copy : f;
        (own_handle_first ? copy : f) = {};
        CHECK(counted::alive == 1);
        again = {};
        CHECK(counted::alive == 0);
    }
    CHECK(counted::destroyed == 2);
}

HUB_TEST("the last handle of a fiber may be another thread's, though this one has dropped that one's copies") {
    counted::reset();
    fiber f{[c = counted{1}] { suspend(); }}, copies[2];
    f.switch_to();
    auto* last = new fiber;
    std::thread{[&] {
        *last = f;
        for (fiber& copy : copies) copy = f;
    }}.join();
    for (fiber& copy : copies) copy = {};
    f = {};
    CHECK(counted::alive == 1);
    std::thread{[last] { delete last; }}.join();
    while (counted::alive > 0) weft::sleep_for(1ms);
    CHECK(counted::destroyed == 1);
}

HUB_TEST("many fibers that another thread drops at once are unwound one after the other") {
    counted::reset();
    std::vector<fiber> suspended;
    for (int i = 0; i < rounds; ++i) {
        suspended.emplace_back([c = counted{i}] { suspend(); });
        suspended.back().switch_to();
    }
    std::thread{[&] { suspended.clear(); }}.join();
    while (counted::alive > 0) weft::sleep_for(1ms);
    CHECK(counted::destroyed == rounds);
}

HUB_TEST("handles that change hands between two threads are all given up, whoever drops which") {
    counted::reset();
    for (int i = 0; i < rounds; ++i) {
        fiber f{[c = counted{1}] { suspend(); }}, from_there;
        f.switch_to();
        auto* there = new fiber{f};
        std::thread other{[&, i] {
            from_there = *there;
            if (i % 2) *there = from_there;
            delete there;
        }};
        if (i % 3) f = {};
        other.join();
    }
    while (counted::alive > 0) weft::sleep_for(1ms);
    CHECK(counted::destroyed == rounds);
}

HUB_TEST("a fiber dropped by another thread is unwound at once, also while its owner's hub is idle") {
    weft::event released;
    auto* f = new fiber{[&] {
        const when_destroyed note{[&] { released.set(); }};
        suspend();
    }};
    f->switch_to();
    std::thread dropper{[f] {
        std::this_thread::sleep_for(20ms);
        delete f;
    }};
    CHECK(released.wait(5s));
    dropper.join();
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
