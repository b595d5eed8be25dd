// What weft/local.hpp promises.
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/hub.hpp>
#include <weft/local.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/counted.hpp"
#include "support/forked.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::counted;
using weft::fiber;
using weft::local;

namespace {

using strings = std::vector<std::string>;

void suspend() { fiber::current().parent().switch_to(); }

/// Calls `action` as it is destroyed.
struct when_destroyed {
    std::function<void()> action;
    ~when_destroyed() { action(); }
};

}  // namespace

TASK_TEST("each fiber has a value of its own") {
    local<int> number;
    *number = 1;
    fiber other{[&] {
        CHECK(*number == 0);
        *number = 2;
        suspend();
        CHECK(*number == 2);
    }};
    other.switch_to();
    CHECK(*number == 1);
    auto task = weft::spawn([&] { return ++*number; });
    CHECK(task.get() == 1);
    other.switch_to();
    CHECK(other.dead());
    CHECK(*number == 1);
}

TASK_TEST("a value is made at first use, in the fiber that uses it, by the factory") {
    int made = 0;
    local<std::string> name{[&] { return "number " + std::to_string(++made); }};
    fiber idle{[&] { CHECK_FALSE(name.find()); }};
    idle.switch_to();
    CHECK(made == 0);
    fiber{[&] { CHECK(name.get() == "number 1"); }}.switch_to();
    CHECK(*name == "number 2");
    CHECK(name.find() == &name.get());
    CHECK(name->size() == 8);
}

TASK_TEST("a value that can be neither copied nor moved is made in place") {
    struct fixed {
        explicit fixed(int n) : number{n} {}
        fixed(fixed&&) = delete;
        int number;
    };
    local<fixed> value{[] { return fixed{3}; }};
    CHECK(value->number == 3);
}

TASK_TEST("what the factory throws comes out of get, and the next use tries again") {
    bool fails = true;
    local<int> value{[&] { return fails ? throw std::runtime_error("not yet") : 4; }};
    CHECK_THROWS_AS(value.get(), std::runtime_error);
    CHECK_FALSE(value.find());
    fails = false;
    CHECK(*value == 4);
}

TASK_TEST("values are destroyed once, with their fiber, however it ends") {
    counted::reset();
    local<counted> value{[] { return counted{1}; }};
    fiber returns{[&] { value.get(); }};
    returns.switch_to();
    CHECK(counted::destroyed == 1);
    fiber throws{[&] {
        value.get();
        throw std::runtime_error("an end");
    }};
    CHECK_THROWS_AS(throws.switch_to(), std::runtime_error);
    CHECK(counted::destroyed == 2);
    {
        fiber dropped{[&] {
            value.get();
            suspend();
        }};
        dropped.switch_to();
        CHECK(counted::alive == 1);
    }
    CHECK(counted::destroyed == 3);
    auto killed = weft::spawn([&] {
        value.get();
        weft::sleep_for(1h);
    });
    test::settle();
    killed.kill();
    CHECK(counted::destroyed == 4);
    CHECK(counted::alive == 0);
}

TASK_TEST("the order at a fiber's end: its variables, its captures, its locals from the newest on, its end") {
    strings log;
    const auto note = [&log](const char* text) {
        return when_destroyed{[&log, text] { log.push_back(text); }};
    };
    local<when_destroyed> first{[&] { return note("first local"); }};
    local<when_destroyed> second{[&] { return note("second local"); }};
    const auto log_capture = [&log](void*) { log.push_back("capture"); };
    auto task = weft::spawn([&, kept = std::shared_ptr<void>{nullptr, log_capture}] {
        const auto variable = note("variable");
        first.get();
        second.get();
    });
    task.join();
    log.push_back("joined");
    CHECK(log == strings{"variable", "capture", "second local", "first local", "joined"});
}

TASK_TEST("a destructor may use locals: its own and destroyed ones are made anew and destroyed too") {
    strings log;
    local<std::string> text{[] { return std::string{"fresh"}; }};
    int lives = 0;
    local<when_destroyed>* self = nullptr;
    local<when_destroyed> again{[&] {
        return when_destroyed{[&] {
            log.push_back(*text);
            if (++lives < 3) self->get();
        }};
    }};
    self = &again;
    fiber{[&] {
        again.get();
        *text = "used";  // newer, so it goes first
    }}.switch_to();
    CHECK(log == strings{"fresh", "fresh", "fresh"});
    CHECK(lives == 3);
}

TASK_TEST("a destructor may wait and switch; nothing is thrown into it") {
    weft::event gate;
    bool went_on = false, thrown = false;
    local<when_destroyed> value{[&] {
        return when_destroyed{[&] {
            try {
                fiber{[] {}}.switch_to();
                gate.wait();
            } catch (...) {
                thrown = true;
            }
            went_on = true;
        }};
    }};
    auto task = weft::spawn([&] { value.get(); });
    test::settle();
    CHECK_FALSE(task.ready());
    task.kill(weft::deadline::after(0s));
    test::settle();
    gate.set();
    task.join();
    CHECK(went_on);
    CHECK_FALSE(thrown);
}

TASK_TEST("values outlive their local, and one made later does not find them") {
    counted::reset();
    std::optional<local<counted>> gone;
    gone.emplace([] { return counted{1}; });
    fiber keeps{[&] {
        CHECK(gone->get().number == 1);
        suspend();
        local<counted> later{[] { return counted{2}; }};
        CHECK_FALSE(later.find());
        CHECK(later->number == 2);
    }};
    keeps.switch_to();
    gone.reset();
    CHECK(counted::alive == 1);
    keeps.switch_to();
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 2);
}

TASK_TEST("hundreds of locals, from the first to the last, are told apart") {
    std::vector<std::unique_ptr<local<int>>> many;
    for (int i = 0; i < 300; ++i) many.push_back(std::make_unique<local<int>>([i] { return i; }));
    fiber{[&] {
        for (int i = 299; i >= 0; --i) CHECK(**many[static_cast<std::size_t>(i)] == i);
        CHECK(**many[7] == 7);
    }}.switch_to();
}

TASK_TEST("a thread without fibers has values of its own, which end with it, after its fibers") {
    strings log;
    local<when_destroyed> value{[&] {
        return when_destroyed{[&, name = fiber::current().name()] { log.push_back(name); }};
    }};
    std::thread{[&] {
        value.get();
        static thread_local fiber suspended;
        suspended = fiber{[&] {
            value.get();
            suspend();
        }, {.name = "suspended"}};
        suspended.switch_to();
    }}.join();
    CHECK(log == strings{"suspended", "main"});
}

HUB_TEST("main's values may still spawn, wait and use locals as their thread ends") {
    bool ran_to_its_end = false;
    counted::reset();
    local<counted> other{[] { return counted{5}; }};
    local<when_destroyed> value{[&] {
        return when_destroyed{[&] {
            weft::spawn([] {});
            weft::sleep_for(1h);  // answered at once: the thread ends
            ran_to_its_end = other->number == 5;
        }};
    }};
    std::thread{[&] {
        weft::yield();
        value.get();
    }}.join();
    CHECK(ran_to_its_end);
    CHECK(counted::alive == 0);
}

HUB_TEST("a value made in a callback of the hub is the hub's, and ends with its thread") {
    counted::reset();
    local<counted> value{[] { return counted{1}; }};
    std::thread{[&] {
        weft::event called;
        weft::hub::current().post([&] {
            value.get();
            called.set();
        });
        called.wait();
        CHECK_FALSE(value.find());
        CHECK(counted::alive == 1);
    }}.join();
    CHECK(counted::alive == 0);
}

HUB_TEST("exit() in a task leaves the values of its thread alone") {
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        local<when_destroyed> value{[] { return when_destroyed{[] { ::_exit(7); }}; }};
        value.get();
        std::exit(0);
    }
    CHECK(test::exited_with(test::end_of(child), 0));
}
