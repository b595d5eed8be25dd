// What weft/timeout.hpp promises of shields, and of scopes that other threads and later times see.
#include <memory>
#include <string>
#include <thread>

#include <weft/task.hpp>
#include <weft/this_task.hpp>
#include <weft/timeout.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;

TASK_TEST("a shield defers a kill and an outer timeout, but not one made inside") {
    std::string order;
    auto t = weft::spawn([&] {
        weft::timeout outer{1s};
        {
            const weft::shield whole;
            weft::sleep_for(2s);
            order += "slept ";
            CHECK_FALSE(weft::try_with_timeout(1s, [] { weft::sleep_for(1h); }));
            order += "inner ";
        }
        weft::yield();
        order += "never";
    });
    test::settle();
    test::clock.advance(1s);
    test::settle();
    CHECK_FALSE(t.kill(weft::deadline::past()));
    test::clock.advance(1s);
    test::settle();
    test::clock.advance(1s);
    t.join();
    CHECK(order == "slept inner ");
    CHECK(t.killed());
}

TASK_TEST("shields nest") {
    auto t = weft::spawn([&] {
        const weft::shield outer;
        { const weft::shield inner; }
        weft::sleep_for(1s);
        return 7;
    });
    test::settle();
    (void)t.kill(weft::deadline::past());
    test::settle();
    CHECK_FALSE(t.ready());
    test::clock.advance(1s);
    CHECK(t.get() == 7);
}

TASK_TEST("the main fiber has timeouts, and a timeout may outlive its fiber") {
    std::unique_ptr<weft::timeout> kept;
    weft::spawn([&] { kept = std::make_unique<weft::timeout>(1s); }).join();
    CHECK_FALSE(kept->pending());
    kept->restart(1s);
    kept->cancel();
    test::clock.advance(2s);
    kept.reset();
}

HUB_TEST("on another thread a timeout can neither be cancelled nor restarted") {
    weft::timeout limit{1h};
    int refused = 0;
    std::thread{[&] {
        try {
            limit.cancel();
        } catch (const weft::wrong_thread&) {
            ++refused;
        }
    }}.join();
    CHECK(refused == 1);
    CHECK(limit.pending());
}

HUB_TEST("a timeout of a thread's main fiber may outlive the thread") {
    std::unique_ptr<weft::timeout> kept;
    std::thread{[&] {
        kept = std::make_unique<weft::timeout>(1h);
        weft::yield();
    }}.join();
    CHECK_FALSE(kept->pending());
    kept.reset();
}
