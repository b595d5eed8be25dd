// What weft/group.hpp promises.
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/event.hpp>
#include <weft/group.hpp>
#include <weft/this_task.hpp>
#include <weft/timeout.hpp>

#include "support/reported.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;

TASK_TEST("leaving the scope waits for every member") {
    int ended = 0;
    auto owner = weft::spawn([&] {
        weft::group g;
        for (int i = 1; i <= 3; ++i)
            g.spawn([&, i] {
                weft::sleep_for(std::chrono::seconds{i});
                ++ended;
            });
        CHECK(g.size() == 3);
    });
    for (int second = 1; second <= 3; ++second) {
        test::settle();
        CHECK_FALSE(owner.ready());
        test::clock.advance(1s);
    }
    owner.get();
    CHECK(ended == 3);
}

TASK_TEST("the first failure kills the siblings and is thrown by the end of the scope") {
    std::string told;
    auto owner = weft::spawn([&] {
        weft::group g;
        auto sibling = g.spawn([&] {
            struct note {
                std::string& t;
                ~note() { t += "unwound "; }
            } at_end{told};
            weft::sleep_for(1h);
        });
        auto unstarted = g.spawn([&] { weft::sleep_for(1s); throw std::runtime_error("the first"); });
        (void)unstarted;
    });
    test::settle();
    test::clock.advance(1s);
    CHECK_THROWS_WITH_AS(owner.get(), "the first", std::runtime_error);
    CHECK(told == "unwound ");
}

TASK_TEST("siblings that fail while they are killed are kept with the first, and thrown once") {
    const test::reported_errors scope;
    auto owner = weft::spawn([] {
        weft::group g;
        g.spawn([] {
            try {
                weft::sleep_for(1h);
            } catch (const weft::fiber_exit&) {
                throw std::runtime_error("second");
            }
        });
        g.spawn([] { throw std::runtime_error("first"); });
        CHECK_THROWS_WITH_AS(g.join(), "first", std::runtime_error);
        CHECK(g.failed());
        CHECK(g.failures().size() == 2);
        CHECK(g.join());  // thrown once
    });
    owner.get();
    CHECK(scope.texts().empty());
}

TASK_TEST("failures that nobody has seen are reported when the group ends, the one thrown apart") {
    const test::reported_errors scope;
    auto owner = weft::spawn([] {
        weft::group g;
        for (const char* name : {"second", "first"})
            g.spawn([name] {
                if (std::string{name} == "first") throw std::runtime_error(name);
                try {
                    weft::sleep_for(1h);
                } catch (const weft::fiber_exit&) {
                    throw std::runtime_error(name);
                }
            });
    });
    CHECK_THROWS_WITH_AS(owner.get(), "first", std::runtime_error);
    CHECK(scope.texts() == std::vector<std::string>{"second"});
}

TASK_TEST("an exception that leaves the scope kills the members, waits for them, and goes on") {
    const test::reported_errors scope;
    bool unwound = false;
    auto owner = weft::spawn([&] {
        weft::group g;
        g.spawn([&] {
            struct note {
                bool& u;
                ~note() { u = true; }
            } at_end{unwound};
            weft::sleep_for(1h);
        });
        g.spawn([] {
            try {
                weft::sleep_for(1h);
            } catch (const weft::fiber_exit&) {
                throw std::runtime_error("a member's");
            }
        });
        weft::yield();
        throw std::logic_error("the scope's");
    });
    CHECK_THROWS_WITH_AS(owner.get(), "the scope's", std::logic_error);
    CHECK(unwound);
    CHECK(scope.texts() == std::vector<std::string>{"a member's"});
}

TASK_TEST("a kill or a timeout of the owner in join() kills the members and waits for them") {
    for (const bool by_timeout : {false, true}) {
        bool unwound = false;
        auto owner = weft::spawn([&] {
            weft::timeout limit{by_timeout ? weft::deadline::after(1s) : weft::deadline::never()};
            weft::group g;
            g.spawn([&] {
                struct note {
                    bool& u;
                    ~note() { u = true; }
                } at_end{unwound};
                weft::sleep_for(1h);
            });
        });
        test::settle();
        if (by_timeout) test::clock.advance(1s);
        else (void)owner.kill(weft::deadline::past());
        owner.join();
        CHECK(unwound);
        CHECK(owner.killed() == !by_timeout);
        if (by_timeout) CHECK_THROWS_AS(owner.get(), weft::timed_out);
    }
}

TASK_TEST("join() with a deadline leaves the members running") {
    auto owner = weft::spawn([] {
        weft::group g;
        g.spawn([] { weft::sleep_for(2s); });
        CHECK_FALSE(g.join(1s));
        CHECK(g.size() == 1);
        CHECK(g.join());
        CHECK(g.empty());
        g.spawn([] {});
        CHECK(g.join());
    });
    test::settle();
    test::clock.advance(1s);
    test::settle();
    test::clock.advance(1s);
    owner.get();
}

TASK_TEST("kill() ends every member, also those that have not run, and what is spawned later") {
    std::string ran;
    weft::group g;
    g.spawn([&] { ran += "x"; });
    CHECK(g.kill());
    auto late = g.spawn([&] { ran += "y"; });
    late.join();
    CHECK(late.killed());
    CHECK(ran.empty());
    CHECK_FALSE(g.failed());
}

TASK_TEST("a kill with a reason is no failure") {
    struct reason {};
    weft::group g;
    auto t = g.spawn([] { weft::sleep_for(1h); });
    test::settle();
    CHECK(g.kill(std::make_exception_ptr(reason{})));
    CHECK_FALSE(g.failed());
    CHECK_THROWS_AS(t.get(), reason);
}

TASK_TEST("after a failure the group takes nobody: a task spawned then is killed before it runs") {
    auto owner = weft::spawn([] {
        weft::group g;
        g.spawn([] { throw 1; });
        test::settle();
        bool ran = false;
        auto late = g.spawn([&] { ran = true; });
        late.join();
        CHECK_FALSE(ran);
        CHECK(late.killed());
        CHECK_THROWS_AS(g.join(), int);
    });
    owner.get();
}

TASK_TEST("a member that joins its own group is told so; one that kills it ends, too") {
    weft::group g;
    bool refused = false, others = false, past = false;
    g.spawn([&] {
        try {
            g.join();
        } catch (const weft::lock_misuse&) {
            refused = true;
        }
    });
    g.join();
    CHECK(refused);
    auto sleeper = g.spawn([] { weft::sleep_for(1h); });
    auto killer = g.spawn([&] {
        (void)g.kill();
        past = true;
    });
    g.join();
    others = sleeper.killed();
    CHECK(others);
    CHECK(killer.killed());
    CHECK_FALSE(past);
}

TASK_TEST("groups nest: an inner failure goes up the scopes") {
    auto owner = weft::spawn([] {
        weft::group outer;
        outer.spawn([] { weft::sleep_for(1h); });
        outer.spawn([] {
            weft::group inner;
            inner.spawn([] { throw std::runtime_error("deep"); });
            inner.spawn([] { weft::sleep_for(1h); });
        });
    });
    CHECK_THROWS_WITH_AS(owner.get(), "deep", std::runtime_error);
}

TASK_TEST("members may spawn members, and the scope waits for those, too") {
    int leaves = 0;
    auto owner = weft::spawn([&] {
        weft::group g;
        const auto grow = [&](auto&& self, int depth) -> void {
            if (depth == 0) {
                ++leaves;
                return;
            }
            for (int i = 0; i < 2; ++i)
                g.spawn([&self, depth] { self(self, depth - 1); });
            weft::yield();
        };
        g.spawn([&] { grow(grow, 4); });
        g.join();
    });
    owner.get();
    CHECK(leaves == 16);
}

HUB_TEST("members on several threads: the failure of one kills those of the others") {
    weft::group g;
    weft::event failing;
    std::vector<std::thread> threads;
    std::atomic<int> killed{0}, started{0};
    for (int i = 0; i < 3; ++i)
        threads.emplace_back([&] {
            std::vector<weft::task<void>> mine;
            for (int k = 0; k < 5; ++k)
                mine.push_back(g.spawn([&] {
                    ++started;
                    weft::sleep_for(1h);
                }));
            weft::joinall(mine);
            for (const auto& t : mine) killed += t.killed();
        });
    while (started < 15) weft::sleep_for(1ms);
    g.spawn([] { throw std::runtime_error("one"); });
    CHECK_THROWS_WITH_AS(g.join(), "one", std::runtime_error);
    for (auto& t : threads) t.join();
    CHECK(killed == 15);
}

HUB_TEST("a group of a task that its thread's end unwinds holds nothing up") {
    std::thread{[] {
        weft::spawn([] {
            weft::group g;
            g.spawn([] { weft::sleep_for(1h); });
            weft::sleep_for(1h);
        });
        weft::yield();
        weft::yield();
    }}.join();
}

TASK_TEST("a task that runs already can be added, is waited for and ended with the others, and can be discarded") {
    auto sleeper = weft::spawn([] { weft::sleep_for(1h); });
    auto kept = weft::spawn([] { weft::sleep_for(2s); return 2; });
    auto owner = weft::spawn([&] {
        weft::group g;
        CHECK(g.add(sleeper));
        CHECK_FALSE(g.add(sleeper));
        CHECK(g.add(kept));
        auto spawned = g.spawn([] { weft::sleep_for(1s); throw std::runtime_error("fails"); });
        CHECK(g.contains(spawned));
        CHECK(g.discard(kept));
        CHECK_FALSE(g.discard(kept));
        CHECK_FALSE(g.discard(spawned));
        CHECK(g.size() == 2);
        CHECK_THROWS_AS(g.join(), std::runtime_error);
    });
    test::settle();
    test::clock.advance(1s);
    owner.get();
    CHECK(sleeper.killed());
    CHECK_FALSE(kept.ready());
    test::clock.advance(1s);
    CHECK(kept.get() == 2);
}

TASK_TEST("an added task's failure is the group's, also one that has failed before") {
    auto failed = weft::spawn([] { throw std::runtime_error("before"); });
    failed.join();
    weft::group g;
    auto sibling = g.spawn([] { weft::sleep_for(1h); });
    CHECK(g.add(failed));
    CHECK_THROWS_WITH_AS(g.join(), "before", std::runtime_error);
    CHECK(sibling.killed());
    CHECK(g.empty());
}
