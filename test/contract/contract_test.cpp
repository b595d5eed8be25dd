// The promises that every waiting call makes, each call put to the same tests.
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <weft/event.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>
#include <weft/timeout.hpp>

#include "contract/contract.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using contract::waiting_call;

namespace {

constexpr weft::deadline past = weft::deadline::past();

/// Each kind in turn, with its name in every failure.
template <class F>
void each_call(F test) {
    for (const contract::kind& k : contract::all()) {
        if (k.seeds_only) continue;
        INFO(k.name);
        const auto call = k.make();
        test::settle();
        test(*call, k);
    }
}

weft::task<bool> waiter(waiting_call& call, weft::deadline by = {}) {
    return weft::spawn([&call, by] { return call.wait(by); });
}

/// What was served once is there, once, and nobody has taken it.
void check_untouched(waiting_call& call) {
    call.serve();
    test::settle();
    CHECK(call.left() == 1);
}

/// One has been served and interrupted; `next` stood behind it.
void check_handed_on(waiting_call& call, const contract::kind& k, bool had, const weft::task<bool>& next) {
    CHECK(had == k.granted_is_done);
    if (k.granted_is_done && !call.serves_all) call.serve();
    test::settle();
    CHECK(next.ready());
    CHECK((next.ready() && next.get()));
    if (!next.ready()) (void)next.kill();
}

}  // namespace

TASK_TEST("a wait that times out says so at its deadline, and takes nothing") {
    each_call([](waiting_call& call, const contract::kind&) {
        auto late = waiter(call, 2s);
        test::settle();
        test::clock.advance(1999ms);
        test::settle();
        CHECK_FALSE(late.ready());
        test::clock.advance(1ms);
        CHECK_FALSE(late.get());
        check_untouched(call);
    });
}

TASK_TEST("a deadline already past never parks, and takes what is there") {
    each_call([](waiting_call& call, const contract::kind&) {
        bool other_ran = false;
        auto other = weft::spawn([&] { other_ran = true; });
        CHECK_FALSE(call.wait(past));
        CHECK_FALSE(other_ran);
        other.join();
        call.serve();
        test::settle();
        CHECK(call.wait(past));
    });
}

TASK_TEST("a killed waiter takes nothing") {
    each_call([](waiting_call& call, const contract::kind&) {
        auto doomed = waiter(call);
        test::settle();
        doomed.kill();
        CHECK(doomed.killed());
        check_untouched(call);
    });
}

TASK_TEST("a kill that comes with the grant hands the turn on") {
    each_call([](waiting_call& call, const contract::kind& k) {
        auto doomed = waiter(call);
        auto next = waiter(call);
        test::settle();
        call.serve();  // on its way to doomed, which has not run yet
        (void)doomed.kill(past);
        test::settle();
        check_handed_on(call, k, doomed.successful(), next);
    });
}

TASK_TEST("a timeout scope that fires with the grant hands the turn on") {
    each_call([](waiting_call& call, const contract::kind& k) {
        auto doomed = weft::spawn([&] { return weft::try_with_timeout(1s, [&] { return call.wait({}); }); });
        auto next = waiter(call);
        test::settle();
        test::clock.advance(1s);  // doomed is ready to leave, and still stands in the list
        call.serve();
        test::settle();
        check_handed_on(call, k, doomed.get().has_value(), next);
    });
}

TASK_TEST("a timeout scope ends the wait, and nothing is taken") {
    each_call([](waiting_call& call, const contract::kind&) {
        auto doomed = weft::spawn([&] {
            weft::timeout limit{2s};
            (void)call.wait({});
        });
        test::settle();
        test::clock.advance(2s);
        CHECK_THROWS_AS(doomed.get(), weft::timed_out);
        check_untouched(call);
    });
}

TASK_TEST("an outer timeout survives the wait's own deadline, and an inner scope's") {
    each_call([](waiting_call& call, const contract::kind&) {
        std::string told;
        auto both = weft::spawn([&] {
            weft::timeout outer{3s};
            if (!call.wait(1s)) told += "own ";
            if (!weft::try_with_timeout(1s, [&] { return call.wait({}); })) told += "inner ";
            (void)call.wait({});
            told += "never";
        });
        for (int i = 0; i < 3; ++i) {
            test::settle();
            test::clock.advance(1s);
        }
        CHECK_THROWS_AS(both.get(), weft::timed_out);
        CHECK(told == "own inner ");
        check_untouched(call);
    });
}

TASK_TEST("an interruption that is pending beats a deadline that has passed, unless it need not wait") {
    each_call([](waiting_call& call, const contract::kind&) {
        auto task = weft::spawn([&] {
            weft::timeout limit{past};
            return call.wait(past);
        });
        CHECK_THROWS_AS((void)task.get(), weft::timed_out);
        check_untouched(call);
    });
}

TASK_TEST("waiters are served first come, first served") {
    each_call([](waiting_call& call, const contract::kind&) {
        std::string order;
        std::vector<weft::task<void>> waiters;
        for (const char name : {'a', 'b', 'c'})
            waiters.push_back(weft::spawn([&, name] {
                if (call.wait({})) order += name;
            }));
        test::settle();
        for (int i = 0; i < (call.serves_all ? 1 : 3); ++i) call.serve();
        weft::joinall(waiters);
        CHECK(order == "abc");
    });
}

TASK_TEST("one that gives up in the middle does not hold up those behind it") {
    each_call([](waiting_call& call, const contract::kind&) {
        auto first = waiter(call), second = waiter(call, 1s), third = waiter(call), fourth = waiter(call);
        test::settle();
        third.kill();
        test::clock.advance(1s);
        CHECK_FALSE(second.get());
        for (int i = 0; i < (call.serves_all ? 1 : 2); ++i) call.serve();
        CHECK(first.get());
        CHECK(fourth.get());
    });
}

TASK_TEST("in a shield the wait outlasts a kill and an outer timeout, and is served") {
    each_call([](waiting_call& call, const contract::kind&) {
        bool served = false;
        auto shielded = weft::spawn([&] {
            weft::timeout outer{1s};
            {
                const weft::shield whole;
                served = call.wait({});
            }
            weft::yield();
        });
        test::settle();
        test::clock.advance(1s);
        (void)shielded.kill(past);
        test::settle();
        CHECK_FALSE(shielded.ready());
        call.serve();
        shielded.join();
        CHECK(served);
        CHECK(shielded.killed());
    });
}

TASK_TEST("in a destructor, while an exception is in flight, the wait is not torn") {
    each_call([](waiting_call& call, const contract::kind&) {
        struct waits {
            waiting_call& c;
            bool& s;
            ~waits() { s = c.wait({}); }
        };
        bool served = false;
        auto unwinding = weft::spawn([&] {
            const waits at_end{call, served};
            throw 1;
        });
        test::settle();
        (void)unwinding.kill(past);
        test::settle();
        CHECK_FALSE(unwinding.ready());
        call.serve();
        CHECK_THROWS_AS(unwinding.get(), int);
        CHECK(served);
    });
}

HUB_TEST("a task is served by a plain thread, and a plain thread by a task") {
    each_call([](waiting_call& call, const contract::kind&) {
        auto task = waiter(call);
        weft::yield();
        std::thread{[&] { call.serve(); }}.join();
        CHECK(task.get());
    });
    each_call([](waiting_call& call, const contract::kind&) {
        weft::event ended;
        bool had = false;
        std::thread other{[&] {
            had = call.wait({});
            ended.set();
        }};
        weft::yield();
        call.serve();
        ended.wait();
        other.join();
        CHECK(had);
    });
}

HUB_TEST("a task of another hub that is killed or late takes nothing") {
    each_call([](waiting_call& call, const contract::kind&) {
        std::thread{[&] {
            auto late = waiter(call, 1ms);
            auto doomed = waiter(call);
            CHECK_FALSE(late.get());
            doomed.kill();
        }}.join();
        call.serve();
        weft::yield();
        CHECK(call.left() == 1);
    });
}
