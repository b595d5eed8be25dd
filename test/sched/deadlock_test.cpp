// What weft promises when nothing can ever wake anybody: an error with an explanation, in main.
//
// Not in tasks: main itself is what is told.
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/hub.hpp>
#include <weft/mutex.hpp>
#include <weft/task.hpp>
#include <weft/testing.hpp>
#include <weft/this_task.hpp>
#include <weft/thread_pool.hpp>

#include "support/sanitizers.hpp"

namespace {

std::string explanation(auto&& blocks) {
    try {
        blocks();
    } catch (const weft::deadlock& e) {
        return e.what();
    }
    return "no deadlock";
}

bool mentions(const std::string& text, const char* words) { return text.find(words) != std::string::npos; }

}  // namespace

// Under ThreadSanitizer the process has a thread more, and nothing can be known.
#define DEADLOCK_TEST(name) TEST_CASE(name* doctest::skip(test::under_tsan))

DEADLOCK_TEST("main that waits for ever is told, with what it waits for") {
    weft::event never;
    const std::string text = explanation([&] { never.wait(); });
    CHECK(mentions(text, "blocked for ever"));
    CHECK(mentions(text, "'main'"));
    CHECK(mentions(text, "waits for an event"));
}

DEADLOCK_TEST("every parked task is listed with its name, and the process can go on") {
    weft::event never;
    weft::mutex held;
    held.lock();
    auto first = weft::spawn({.name = "first"}, [&] { never.wait(); });
    auto second = weft::spawn({.name = "second"}, [&] { held.lock(); });
    const std::string text = explanation([&] { first.join(); });
    CHECK(mentions(text, "'first': waits for an event"));
    CHECK(mentions(text, "'second': waits for a mutex"));
    CHECK(mentions(text, "'main': waits for the end of a task"));
    first.kill();
    second.kill();
    held.unlock();
    CHECK(weft::spawn([] { return 5; }).get() == 5);
}

DEADLOCK_TEST("main is told, too, when another thread has woken it before and has ended") {
    weft::event set_elsewhere, never;
    std::thread other{[&] { set_elsewhere.set(); }};
    set_elsewhere.wait();
    other.join();
    CHECK(mentions(explanation([&] { never.wait(); }), "waits for an event"));
}

DEADLOCK_TEST("main inside switch_to is told too") {
    weft::event never;
    weft::fiber f{[&] { never.wait(); }};
    CHECK(mentions(explanation([&] { f.switch_to(); }), "waits for an event"));
    never.set();
    weft::yield();
}

DEADLOCK_TEST("a deadlock in a destructor during another exception does not come back later") {
    weft::event never;
    struct waits {
        weft::event& e;
        ~waits() { e.wait(); }
    };
    try {
        const waits w{never};
        throw 1;
    } catch (int) {
    }
    CHECK_NOTHROW(weft::yield());
    weft::fiber f{[] {}};
    CHECK_NOTHROW(f.switch_to());
    CHECK_NOTHROW(weft::spawn([] {}).get());
}

DEADLOCK_TEST("under a manual clock, a time that nobody is left to advance to is a deadlock") {
    const weft::testing::manual_clock by_hand;
    CHECK(mentions(explanation([] { weft::sleep_for(std::chrono::seconds{1}); }), "waits for a sleep"));
}

DEADLOCK_TEST("an idle pool of threads does not hide a deadlock, and while a job runs there is none") {
    weft::thread_pool pool{1};
    weft::event never, set_by_job;
    pool.apply([] {});
    while (pool.unfinished() > 0) weft::yield();
    CHECK(mentions(explanation([&] { never.wait(); }), "waits for an event"));
    (void)pool.spawn([&] { set_by_job.set(); });
    CHECK_NOTHROW(set_by_job.wait());
}
