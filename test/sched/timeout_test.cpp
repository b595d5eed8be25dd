// What weft/timeout.hpp promises.
#include <stdexcept>
#include <string>

#include <weft/event.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>
#include <weft/timeout.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;

namespace {

/// A task that sleeps for ever inside a timeout, and tells what ended it.
std::string end_of(auto body) {
    auto t = weft::spawn([body] {
        try {
            return std::string{body()};
        } catch (const weft::timed_out&) {
            return std::string{"timed out"};
        } catch (const weft::fiber_exit&) {
            return std::string{"killed"};
        } catch (const std::exception& e) {
            return std::string{e.what()};
        }
    });
    test::settle();
    for (int second = 0; second < 20 && !t.ready(); ++second) {
        test::clock.advance(1s);
        test::settle();
    }
    return t.get();
}

}  // namespace

TASK_TEST("a timeout ends a wait at its deadline, not before") {
    auto t = weft::spawn([] {
        weft::timeout limit{2s};
        weft::sleep_for(1h);
    });
    test::settle();
    test::clock.advance(1999ms);
    test::settle();
    CHECK_FALSE(t.ready());
    test::clock.advance(1ms);
    test::settle();
    CHECK(t.ready());
    CHECK_THROWS_AS(t.get(), weft::timed_out);
}

TASK_TEST("it bounds all waits inside together, at any depth") {
    weft::event never;
    int slept = 0;
    CHECK(end_of([&] {
              weft::timeout limit{5s};
              for (;; ++slept) weft::sleep_for(2s);
              return "";
          }) == "timed out");
    CHECK(slept == 2);
}

TASK_TEST("a wait that ends in time is not disturbed, and nothing is left of the scope") {
    CHECK(end_of([] {
              {
                  weft::timeout limit{2s};
                  weft::sleep_for(1s);
                  CHECK(limit.pending());
              }
              weft::sleep_for(5s);
              return "slept on";
          }) == "slept on");
}

TASK_TEST("of nested timeouts the earliest fires, and tells whose it is") {
    CHECK(end_of([] {
              weft::timeout outer{1s};
              weft::timeout inner{2s};
              try {
                  weft::sleep_for(1h);
              } catch (const weft::timed_out& e) {
                  CHECK(e.is(outer));
                  CHECK_FALSE(e.is(inner));
                  return "outer";
              }
              return "nobody";
          }) == "outer");
    CHECK(end_of([] {
              weft::timeout outer{2s};
              weft::timeout inner{2s};
              try {
                  weft::sleep_for(1h);
              } catch (const weft::timed_out& e) {
                  return e.is(outer) ? "the outer of two equal ones" : "inner";
              }
              return "nobody";
          }) == "the outer of two equal ones");
}

TASK_TEST("an outer timeout survives an inner one that has fired") {
    std::string order;
    CHECK(end_of([&] {
              weft::timeout outer{3s};
              CHECK_FALSE(weft::try_with_timeout(1s, [] { weft::sleep_for(1h); }));
              order += "inner ";
              weft::sleep_for(1h);
              return "";
          }) == "timed out");
    CHECK(order == "inner ");
}

TASK_TEST("an outer timeout survives a wait's own deadline; of equal ones the wait's own answers first") {
    std::string order;
    CHECK(end_of([&] {
              weft::event never;
              weft::timeout outer{2s};
              CHECK_FALSE(never.wait(1s));
              CHECK_FALSE(never.wait(1s));  // until exactly the same moment
              order += "both ";
              (void)never.wait(weft::deadline::past());
              return "";
          }) == "timed out");
    CHECK(order == "both ");
}

TASK_TEST("a swallowed timeout comes again at the next wait inside the scope, and not outside") {
    int swallowed = 0;
    CHECK(end_of([&] {
              {
                  weft::timeout limit{1s};
                  for (int i = 0; i < 3; ++i) {
                      try {
                          weft::sleep_for(1h);
                      } catch (const weft::timed_out&) {
                          ++swallowed;
                      }
                  }
                  CHECK(limit.expired());
              }
              weft::sleep_for(1s);
              return "went on";
          }) == "went on");
    CHECK(swallowed == 3);
}

TASK_TEST("timed_out passes a handler of std::exception; what stands for it is thrown as it is") {
    CHECK(end_of([] {
              try {
                  weft::timeout limit{1s};
                  weft::sleep_for(1h);
              } catch (const std::exception&) {
                  return "caught";
              }
              return "";
          }) == "timed out");
    CHECK(end_of([] {
              weft::timeout limit{1s, std::make_exception_ptr(std::runtime_error("too slow"))};
              weft::sleep_for(1h);
              return "";
          }) == "too slow");
    CHECK_THROWS_AS((weft::timeout{1s, std::exception_ptr{}}), std::invalid_argument);
}

TASK_TEST("never never fires; one already past fires at the first wait, a yield included") {
    CHECK(end_of([] {
              weft::timeout limit{weft::deadline::never()};
              weft::sleep_for(3s);
              return "never";
          }) == "never");
    CHECK(end_of([] {
              weft::timeout limit{weft::deadline::past()};
              weft::yield();
              return "";
          }) == "timed out");
    CHECK_THROWS_AS(weft::timeout{-1s}, std::invalid_argument);
}

TASK_TEST("cancel() and restart(): a scope that has expired is as new") {
    CHECK(end_of([] {
              weft::timeout limit{1s};
              limit.cancel();
              CHECK_FALSE(limit.pending());
              weft::sleep_for(2s);
              limit.restart(1s);
              CHECK(limit.pending());
              try {
                  weft::sleep_for(1h);
              } catch (const weft::timed_out& e) {
                  CHECK(e.is(limit));
              }
              limit.restart(3s);
              weft::sleep_for(1s);
              return "restarted";
          }) == "restarted");
}

TASK_TEST("another fiber may move a timeout under a wait, earlier and later") {
    weft::timeout* shared = nullptr;
    auto t = weft::spawn([&] {
        weft::timeout limit{5s};
        shared = &limit;
        weft::sleep_for(1h);
    });
    test::settle();
    shared->restart(10s);
    test::clock.advance(5s);
    test::settle();
    CHECK_FALSE(t.ready());
    shared->restart(1s);
    test::clock.advance(1s);
    test::settle();
    CHECK_THROWS_AS(t.get(), weft::timed_out);
}

TASK_TEST("once it has ended a wait, another fiber cannot take that back") {
    weft::timeout* shared = nullptr;
    auto t = weft::spawn([&] {
        weft::timeout limit{1s};
        shared = &limit;
        weft::sleep_for(1h);
    });
    test::settle();
    test::clock.advance(1s);  // it is ready, and has not run
    shared->cancel();
    test::settle();
    CHECK_THROWS_AS(t.get(), weft::timed_out);
}

TASK_TEST("a kill beats a timeout that has expired, too") {
    weft::event go;
    auto t = weft::spawn([&] {
        weft::timeout limit{1s};
        weft::sleep_for(1h);
    });
    test::settle();
    test::clock.advance(1s);
    t.kill();
    CHECK(t.killed());
}

TASK_TEST("nothing is thrown while unwinding: a wait in a destructor outlasts the timeout") {
    weft::event go;
    bool waited = false;
    auto t = weft::spawn([&] {
        struct slow {
            weft::event& e;
            bool& w;
            ~slow() { w = e.wait(5s); }
        };
        weft::timeout limit{1s};
        const slow at_end{go, waited};
        weft::sleep_for(1h);
    });
    test::settle();
    test::clock.advance(1s);
    test::settle();
    test::clock.advance(3s);
    test::settle();
    CHECK_FALSE(t.ready());
    go.set();
    CHECK_THROWS_AS(t.get(), weft::timed_out);
    CHECK(waited);
}

TASK_TEST("with_timeout gives the result, the fallback for its own timeout, and passes an outer one") {
    CHECK(end_of([] { return weft::with_timeout(2s, [] { weft::sleep_for(1s); return "in time"; }); }) == "in time");
    CHECK(end_of([] {
              return weft::with_timeout(1s, [] { weft::sleep_for(2s); return std::string{"late"}; }, "fallback");
          }) == "fallback");
    CHECK(end_of([] {
              weft::timeout outer{1s};
              return weft::with_timeout(5s, [] { weft::sleep_for(1h); return std::string{}; }, "fallback");
          }) == "timed out");
    CHECK(end_of([] { return weft::with_timeout(1s, [] { weft::sleep_for(1h); return ""; }); }) == "timed out");
    CHECK(end_of([] {
              const auto in_time = weft::try_with_timeout(2s, [] { return 5; });
              const auto late = weft::try_with_timeout(1s, [] { weft::sleep_for(1h); return 5; });
              return in_time == 5 && !late ? "as promised" : "";
          }) == "as promised");
}

TASK_TEST("a timeout bounds its own fiber, not the tasks spawned inside") {
    weft::task<int> child;
    CHECK(end_of([&] {
              weft::timeout limit{1s};
              child = weft::spawn([] { weft::sleep_for(3s); return 3; });
              weft::sleep_for(1h);
              return "";
          }) == "timed out");
    test::clock.advance(3s);
    CHECK(child.get() == 3);
}

TASK_TEST("this_task::interrupted tells a computation what the next wait would throw") {
    CHECK(end_of([] {
              weft::timeout limit{1s};
              CHECK_FALSE(weft::this_task::interrupted());
              test::clock.advance(1s);
              CHECK(weft::this_task::interrupted());
              {
                  const weft::shield whole;
                  CHECK_FALSE(weft::this_task::interrupted());
              }
              weft::yield();
              return "";
          }) == "timed out");
}

HUB_TEST("by the real clock") {
    const auto start = weft::now();
    CHECK_FALSE(weft::try_with_timeout(20ms, [] { weft::sleep_for(1h); }));
    const auto took = weft::now() - start;
    CHECK(took >= 20ms);
}

TASK_TEST("a timeout that another fiber restarts for the same moment leaves its sleeper's turn as it is") {
    std::string order;
    weft::timeout* shared = nullptr;
    auto first = weft::spawn([&] {
        weft::timeout limit{5s};
        shared = &limit;
        weft::sleep_for(1s);
        order += "a";
    });
    auto second = weft::spawn([&] {
        weft::sleep_for(1s);
        order += "b";
    });
    test::settle();
    shared->restart(6s);
    test::clock.advance(1s);
    first.join();
    second.join();
    CHECK(order == "ab");
}
