// sleep and its kin.
#include <sched.h>
#include <threads.h>

#include "shim/differential.hpp"

using namespace std::chrono_literals;

DIFFERENTIAL("sleeps last as long as they are asked to") {
    out("sleep(0)", [&] { return c.sleep(0); });
    out("sleep(1)", [&] { return c.sleep(1); });
    out("usleep", [&] { return c.usleep(60'000); });
    out("usleep beyond a second", [&] { return c.usleep(1'050'000); });
    const timespec span{0, 60'000'000}, none{0, 0};
    timespec left{7, 7};
    out("nanosleep", [&] { return c.nanosleep(&span, &left); });
    out.value("left is untouched", left.tv_sec);
    out("nanosleep of nothing", [&] { return c.nanosleep(&none, nullptr); });
    for (const clockid_t clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME})
        out("clock_nanosleep", [&] { return c.clock_nanosleep(clock, 0, &span, nullptr); });
    // weft::shim has no thrd_sleep.
    out("thrd_sleep", [&] { return c.named ? c.nanosleep(&span, nullptr) : ::thrd_sleep(&span, nullptr); });
    out("sched_yield", [&] { return ::sched_yield(); });
}

DIFFERENTIAL("clock_nanosleep until a point in time") {
    for (const clockid_t clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_TAI}) {
        timespec when{};
        CHECK(::clock_gettime(clock, &when) == 0);
        when.tv_nsec += 60'000'000;
        if (when.tv_nsec >= 1'000'000'000) when.tv_nsec -= 1'000'000'000, ++when.tv_sec;
        out("ahead", [&] { return c.clock_nanosleep(clock, TIMER_ABSTIME, &when, nullptr); });
        timespec now{};
        CHECK(::clock_gettime(clock, &now) == 0);
        out.value("it has come", now.tv_sec > when.tv_sec || (now.tv_sec == when.tv_sec && now.tv_nsec >= when.tv_nsec));
        out("past", [&] { return c.clock_nanosleep(clock, TIMER_ABSTIME, &when, nullptr); });
        when = {-5, 0};
        out("before all time", [&] { return c.clock_nanosleep(clock, TIMER_ABSTIME, &when, nullptr); });
    }
}

DIFFERENTIAL("bad spans and clocks") {
    for (const timespec bad : {timespec{0, -1}, timespec{0, 1'000'000'000}, timespec{-1, 0}}) {
        out("nanosleep", [&] { return c.nanosleep(&bad, nullptr); });
        out("clock_nanosleep", [&] { return c.clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, nullptr); });
        out("thrd_sleep", [&] { return ::thrd_sleep(&bad, nullptr); });
    }
    const timespec span{0, 1'000'000};
    out("no such clock", [&] { return c.clock_nanosleep(77, 0, &span, nullptr); });
    out("a coarse clock", [&] { return c.clock_nanosleep(CLOCK_MONOTONIC_RAW, 0, &span, nullptr); });
    out("this thread's time", [&] { return c.clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &span, nullptr); });
}

HUB_TEST("a sleep of years ends when its task is killed") {
    for (const bool named : {true, false}) {
        const test::calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        const timespec ages{std::int64_t{1} << 60, 0};
        auto sleeper = weft::spawn([&] { return c.nanosleep(&ages, nullptr); });
        auto other = weft::spawn([&] { return c.sleep(4'000'000'000U); });
        auto third = weft::spawn([&] { return c.usleep(4'000'000'000U); });
        weft::sleep_for(5ms);
        CHECK_FALSE(sleeper.ready());
        CHECK_FALSE(other.ready());
        CHECK_FALSE(third.ready());
        CHECK(sleeper.kill(1s));
        CHECK(other.kill(1s));
        CHECK(third.kill(1s));
    }
}
