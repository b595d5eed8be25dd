// Who owns a fiber that several threads name: every handle counts, wherever it was copied and is dropped.
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/counted.hpp"
#include "support/sanitizers.hpp"
#include "support/task_test.hpp"
#include "support/when_destroyed.hpp"

using namespace std::chrono_literals;
using test::counted;
using test::when_destroyed;
using weft::fiber;

namespace {

void suspend() { fiber::current().parent().switch_to(); }

constexpr int rounds = test::under_tsan || test::under_asan ? 1'000 : 5'000;

}  // namespace

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
