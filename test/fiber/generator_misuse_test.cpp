// What weft/generator.hpp promises of ends that nobody asked for, and of what is refused.
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <signal.h>
#include <unistd.h>

#include <weft/event.hpp>
#include <weft/generator.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>

#include "support/forked.hpp"
#include "support/task_test.hpp"

using weft::fiber;
using weft::fiber_exit;
using weft::generator;
using weft::yielder;

TASK_TEST("destroying a suspended generator unwinds its body, captures last") {
    std::vector<std::string> log;
    struct note {
        std::vector<std::string>& log;
        const char* text;
        ~note() { log.push_back(text); }
    };
    {
        std::shared_ptr<note> capture{new note{log, "capture"}};
        generator<int> g{[&log, kept = std::move(capture)](yielder<int>& out) {
            const note local{log, "local"};
            out.yield(1);
        }};
        g.next();
        CHECK(log.empty());
    }
    CHECK(log == std::vector<std::string>{"local", "capture"});
}

TASK_TEST("an error that leaves the body while the generator is destroyed is reported") {
    static std::string reported;
    reported.clear();
    const auto hook = [](std::uint64_t, const std::string&, const std::exception_ptr& error) {
        try {
            std::rethrow_exception(error);
        } catch (const std::runtime_error& known) {
            reported = known.what();
        }
    };
    const auto before = weft::on_unhandled(hook);
    {
        generator<int> g{[](yielder<int>& out) {
            try {
                out.yield(1);
            } catch (const fiber_exit&) {
                throw std::runtime_error("nobody asks any more");
            }
        }};
        g.next();
    }
    weft::on_unhandled(before);
    CHECK(reported == "nobody asks any more");
}

TASK_TEST("a destructor may yield while the body is unwound: nobody receives it") {
    struct farewell {
        yielder<int>& out;
        ~farewell() { out.yield(2); }
    };
    bool went_on = false;
    {
        generator<int> g{[&](yielder<int>& out) {
            struct last {
                bool& done;
                ~last() { done = true; }
            } after{went_on};
            const farewell yields{out};
            out.yield(1);
        }};
        g.next();
    }
    CHECK(went_on);
}

TASK_TEST("a generator that ignores its destruction is left to its thread's end") {
    // Said on standard error, as of a fiber; in a thread of its own, whose end unwinds it once more.
    int caught = 0;
    std::thread{[&] {
        generator<int> g{[&](yielder<int>& out) {
            while (caught < 2) {
                try {
                    out.yield(1);
                } catch (const fiber_exit&) {
                    ++caught;
                }
            }
        }};
        g.next();
    }}.join();
    CHECK(caught == 2);
}

TASK_TEST("a generator that is running cannot be resumed, sent to, thrown into or closed") {
    std::optional<generator<int, int>> g;
    int refused = 0;
    g.emplace([&](yielder<int, int>& out) {
        try { g->next(); } catch (const weft::generator_misuse&) { ++refused; }
        try { g->send(1); } catch (const weft::generator_misuse&) { ++refused; }
        try { g->throw_into(1); } catch (const weft::generator_misuse&) { ++refused; }
        try { g->close(); } catch (const weft::generator_misuse&) { ++refused; }
        out.yield(1);
        out.yield(2);
    });
    CHECK(g->next() == 1);
    CHECK(refused == 4);
    CHECK(g->next() == 2);
}

TASK_TEST("a value yielded outside of its generator is refused") {
    yielder<int>* leaked = nullptr;
    generator<int> g{[&](yielder<int>& out) {
        leaked = &out;
        out.yield(1);
    }};
    g.next();
    CHECK_THROWS_AS(leaked->yield(2), weft::generator_misuse);
    g.close();
    CHECK_THROWS_AS(leaked->yield(3), weft::generator_misuse);
}

TASK_TEST("another thread can neither resume a generator nor yield for it") {
    yielder<int>* leaked = nullptr;
    generator<int> g{[&](yielder<int>& out) {
        leaked = &out;
        out.yield(1);
        out.yield(2);
    }};
    g.next();
    std::thread{[&] {
        CHECK_THROWS_AS(g.next(), weft::wrong_thread);
        CHECK_THROWS_AS(g.throw_into(1), weft::wrong_thread);
        CHECK_THROWS_AS(g.close(), weft::wrong_thread);
        CHECK_THROWS_AS(leaked->yield(2), weft::wrong_thread);
    }}.join();
    CHECK(g.next() == 2);
}

TASK_TEST("a generator may be destroyed on another thread: its own unwinds the body") {
    const auto home = std::this_thread::get_id();
    std::thread::id unwound_by;
    struct note {
        std::thread::id& by;
        ~note() { by = std::this_thread::get_id(); }
    };
    std::optional<generator<int>> g;
    g.emplace([&](yielder<int>& out) {
        const note when_unwound{unwound_by};
        out.yield(1);
    });
    g->next();
    std::thread{[&] { g.reset(); }}.join();
    test::settle();
    CHECK(unwound_by == home);
}

// In a thread of its own, where main can be switched to: it gets the errors that nobody waits for.
TASK_TEST("who is woken out of next by somebody else's switch is told; what the body does then is main's") {
    std::thread{[] {
        fiber asking, body;
        generator<int> g{[&](yielder<int>& out) {
            body = fiber::current();
            asking.switch_to();
            out.yield(1);
        }};
        bool told = false;
        asking = fiber{[&] {
            try {
                g.next();
            } catch (const weft::invalid_switch&) {
                told = true;
            }
        }};
        asking.switch_to();
        CHECK(told);
        CHECK_THROWS_AS(g.next(), weft::generator_misuse);  // still running: it has not yielded
        CHECK_THROWS_AS(body.switch_to(), weft::generator_misuse);  // its yield() is refused
        CHECK(g.done());
    }}.join();
}

// In a thread of its own, where main can be switched to: it gets the errors that nobody waits for.
TASK_TEST("a switch to a suspended generator's fiber ends its body with invalid_switch") {
    std::thread{[] {
        fiber body;
        generator<int> g{[&](yielder<int>& out) {
            body = fiber::current();
            out.yield(1);
        }};
        g.next();
        CHECK_THROWS_AS(body.switch_to(), weft::invalid_switch);
        CHECK(g.done());
    }}.join();
}

HUB_TEST("a callback of the hub cannot resume a generator, which is as it was") {
    generator<int> g{[](yielder<int>& out) {
        out.yield(1);
        out.yield(2);
    }};
    g.next();
    weft::event called;
    bool refused = false;
    weft::hub::current().post([&] {
        try {
            g.next();
        } catch (const weft::invalid_switch&) {
            refused = true;
        }
        called.set();
    });
    called.wait();
    CHECK(refused);
    CHECK(g.next() == 2);
}

TASK_TEST("a thread that ends unwinds the bodies of its generators, which have then ended") {
    bool unwound = false;
    std::optional<generator<int>> g;
    std::thread{[&] {
        g.emplace([&](yielder<int>& out) {
            try {
                out.yield(1);
            } catch (const fiber_exit&) {
                unwound = true;
                throw;
            }
        });
        g->next();
    }}.join();
    CHECK(unwound);
    CHECK(g->done());
    CHECK_THROWS_AS(g->next(), weft::wrong_thread);
}

HUB_TEST("destroying a generator in whose next somebody waits aborts") {
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        ::signal(SIGABRT, SIG_DFL);  // the test runner's would print a failure
        std::optional<generator<int>> g;
        g.emplace([&](yielder<int>&) { g.reset(); });
        g->next();
        ::_exit(0);
    }
    const int status = test::end_of(child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGABRT);
}
