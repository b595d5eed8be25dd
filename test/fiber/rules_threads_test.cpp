// Fibers and OS threads: whose a fiber is, what another thread may do with it, and how it ends with its thread.
#include <atomic>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/fiber.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/at_exit.hpp"
#include "support/counted.hpp"
#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::counted;
using test::at_exit;
using weft::fiber;

namespace {

weft::message to_parent() { return fiber::current().parent().switch_to(); }

/// Runs `function` on a thread of its own.
void on_a_thread(auto function) { std::thread{function}.join(); }

}  // namespace

HUB_TEST("each thread has a main fiber and a running fiber of its own") {
    const fiber here = fiber::current(), main = fiber::main();
    on_a_thread([&] {
        CHECK(fiber::main() != main);
        CHECK(fiber::current() == fiber::main());
        CHECK(fiber::main().parent() == fiber{});
        fiber f{[] { CHECK(fiber::current().parent() == fiber::main()); }};
        CHECK(f.parent() == fiber::main());
        f.switch_to();
    });
    CHECK(fiber::current() == here);
    CHECK(fiber::main() == main);
}

HUB_TEST("the running fiber is right while another thread lets go of fibers of this one") {
    const fiber here = fiber::current();
    std::vector<fiber> seen;
    std::vector<fiber> fibers;
    for (int i = 0; i < 10; ++i) {
        fibers.emplace_back([&] {
            const at_exit note{[&] { seen.push_back(fiber::current().parent()); }};
            to_parent();
        });
        fibers.back().switch_to();
    }
    on_a_thread([&] {
        const fiber mine = fiber::current();
        fibers.clear();
        CHECK(fiber::current() == mine);
    });
    CHECK(fiber::current() == here);
    CHECK(seen.empty());
    while (seen.size() < 10) weft::sleep_for(1ms);
    CHECK(fiber::current() == here);
}

HUB_TEST("pending, suspended and dead fibers of another thread refuse switches and throws, and are not harmed") {
    counted::reset();
    fiber pending{[] { return 1; }}, suspended{[] {
        to_parent();
        return 2;
    }}, dead{[] {}};
    suspended.switch_to();
    dead.switch_to();
    on_a_thread([&] {
        const fiber here = fiber::current();
        for (const fiber& f : {pending, suspended, dead}) {
            CHECK_THROWS_AS(f.switch_to(counted{1}), weft::wrong_thread);
            CHECK_THROWS_AS(f.throw_into(std::runtime_error("no")), weft::wrong_thread);
            CHECK(fiber::current() == here);
        }
        CHECK(fiber{[] { return 5; }}.switch_to().as<int>() == 5);
    });
    CHECK(counted::destroyed == 3);
    CHECK_FALSE(pending.started());
    CHECK(pending.switch_to().as<int>() == 1);
    CHECK(suspended.switch_to().as<int>() == 2);
}

HUB_TEST("many threads may try to switch to one another's fibers: each try throws") {
    constexpr int threads = 4;
    constexpr int tries = 200;
    std::atomic<int> made{0}, refused{0}, done{0};
    fiber shared[threads];
    std::vector<std::thread> all;
    for (int i = 0; i < threads; ++i) {
        all.emplace_back([&, i] {
            int resumed = 0;
            shared[i] = fiber{[&] {
                for (;;) {
                    to_parent();
                    ++resumed;
                }
            }};
            shared[i].switch_to();
            ++made;
            while (made < threads) std::this_thread::yield();
            for (int n = 0; n < tries; ++n) {
                for (const fiber& f : shared) {
                    try {
                        f.switch_to();
                    } catch (const weft::wrong_thread&) {
                        ++refused;
                    }
                }
            }
            CHECK(resumed == tries);
            ++done;
            while (done < threads) std::this_thread::yield();
        });
    }
    for (auto& t : all) t.join();
    CHECK(refused == threads * (threads - 1) * tries);
}

HUB_TEST("a parent of another thread is refused in every state, on either side") {
    fiber pending{[] {}}, suspended{[] { to_parent(); }}, dead{[] {}};
    suspended.switch_to();
    dead.switch_to();
    const fiber here = fiber::current();
    on_a_thread([&] {
        fiber own_pending{[] {}}, own_suspended{[] { to_parent(); }}, own_dead{[] {}};
        own_suspended.switch_to();
        own_dead.switch_to();
        for (const fiber& child : {own_pending, own_suspended, own_dead}) {
            for (const fiber& parent : {pending, suspended, dead, here}) {
                CHECK_THROWS_AS(child.set_parent(parent), weft::wrong_thread);
                CHECK(child.parent() == fiber::main());
            }
        }
    });
    for (const fiber& f : {pending, suspended, dead}) CHECK(f.parent() == here);
}

HUB_TEST("a thread cannot re-parent fibers of another, even to one another") {
    fiber child{[] {}}, parent{[] {}};
    on_a_thread([&] { CHECK_THROWS_AS(child.set_parent(parent), weft::wrong_thread); });
    CHECK(child.parent() == fiber::current());
}

HUB_TEST("fibers of a thread that has ended refuse every parent and switch, and can be dropped anywhere") {
    fiber pending, suspended, dead;
    on_a_thread([&] {
        pending = fiber{[] {}};
        suspended = fiber{[] { to_parent(); }};
        dead = fiber{[] {}};
        suspended.switch_to();
        dead.switch_to();
    });
    fiber own{[] {}};
    for (const fiber& f : {pending, suspended, dead}) {
        CHECK(f.dead());
        CHECK_THROWS_AS(f.switch_to(), weft::wrong_thread);
        CHECK_THROWS_AS(f.throw_into(std::runtime_error("late")), weft::wrong_thread);
        CHECK_THROWS_AS(own.set_parent(f), weft::wrong_thread);
        CHECK_THROWS_AS(f.set_parent(own), weft::wrong_thread);
    }
    on_a_thread([&] { pending = suspended = dead = fiber{}; });
}

HUB_TEST("fibers that never ran lose their functions with their thread") {
    counted::reset();
    fiber kept;
    on_a_thread([&] {
        kept = fiber{[c = counted{1}] {}};
        const fiber dropped{[c = counted{2}] {}};
    });
    CHECK(counted::destroyed == 2);
    CHECK(kept.dead());
}

HUB_TEST("a destructor that runs another fiber to its end while its thread ends comes back to itself") {
    std::string order;
    on_a_thread([&] {
        static thread_local fiber kept;
        kept = fiber{[&] {
            const at_exit last{[&] { order += "last"; }};
            const at_exit first{[&] {
                fiber{[&] { order += "inner "; }}.switch_to();
                order += "outer ";
            }};
            fiber::main().switch_to();
        }};
        kept.switch_to();
    });
    CHECK(order == "inner outer last");
}

HUB_TEST("a destructor that is sent values by a child while its thread ends gets them") {
    std::vector<int> got;
    fiber kept;
    on_a_thread([&] {
        kept = fiber{[&] {
            const at_exit note{[&] {
                fiber source{[] {
                    for (int i = 1;; ++i) fiber::current().parent().switch_to(i);
                }};
                got.push_back(source.switch_to().as<int>());
                got.push_back(source.switch_to().as<int>());
                try {
                    fiber{[] { throw 3; }}.switch_to();
                } catch (int n) {
                    got.push_back(n);
                }
            }};
            to_parent();
        }};
        kept.switch_to();
    });
    CHECK(got == std::vector{1, 2, 3});
}

HUB_TEST("a thread that ends with a thousand fibers inside each other unwinds them all") {
    constexpr int depth = test::under_tsan ? 100 : 1000;
    int unwound = 0;
    on_a_thread([&] {
        struct nest {
            int& unwound;
            void operator()(int level) const {
                const at_exit note{[this] { ++unwound; }};
                fiber inner{nest{unwound}};
                if (level > 1) inner.switch_to(level - 1);
                fiber::main().switch_to();
            }
        };
        fiber outer{nest{unwound}};
        outer.switch_to(depth);
    });
    CHECK(unwound == depth);
}

HUB_TEST("a thread may end while a fiber of it is suspended in a handler") {
    std::string seen;
    fiber in_handler;
    on_a_thread([&] {
        in_handler = fiber{[&] {
            try {
                throw std::runtime_error("handled");
            } catch (const std::runtime_error& e) {
                const at_exit note{[&] { seen += e.what(); }};
                to_parent();
            }
        }};
        in_handler.switch_to();
    });
    CHECK(seen == "handled");
    CHECK(in_handler.dead());
}

HUB_TEST("a thread may end while a function is being copied to its fiber") {
    struct pauses {
        pauses() = default;
        pauses(const pauses&) { fiber::main().switch_to(); }
        void operator()() const {}
    };
    bool unwound = false, made = false;
    fiber maker;
    on_a_thread([&] {
        maker = fiber{[&] {
            const at_exit note{[&] { unwound = true; }};
            const pauses function;
            const fiber half{function};
            made = true;
        }};
        maker.switch_to();
    });
    CHECK(unwound);
    CHECK_FALSE(made);
}

HUB_TEST("a fiber that was left behind at its thread's end can still be named there, as a dead one") {
    bool reached = false;
    on_a_thread([&] {
        const test::leaks_on_purpose what_is_left_behind;
        auto* const stays = new fiber;
        auto* const ends = new fiber{[] { fiber::main().switch_to(); }};
        const auto until_unwound = [] {
            try {
                for (;;) fiber::main().switch_to();
            } catch (const weft::fiber_exit&) {
            }
        };
        static fiber last;
        last = fiber{[&, stays, until_unwound] {
            until_unwound();
            reached = true;
            CHECK(stays->dead());
            stays->switch_to();
        }};
        *stays = fiber{[=] {
            until_unwound();
            ends->switch_to();
            fiber::main().switch_to();
        }};
        last.switch_to();
        ends->switch_to();
        stays->switch_to();
    });
    CHECK(reached);
}

HUB_TEST("an error that leaves a fiber as its thread ends is reported, hub or none") {
    static std::atomic<int> reported;
    reported = 0;
    const auto before = weft::on_unhandled([](std::uint64_t, const std::string&, const std::exception_ptr&) {
        ++reported;
    });
    for (const bool with_hub : {true, false}) {
        fiber kept;
        on_a_thread([&] {
            if (with_hub) weft::yield();
            kept = fiber{[] {
                try {
                    to_parent();
                } catch (const weft::fiber_exit&) {
                    throw std::runtime_error("at the end");
                }
            }};
            kept.switch_to();
        });
        CHECK(reported == (with_hub ? 1 : 2));
    }
    weft::on_unhandled(before);
}

HUB_TEST("threads that come and go with fibers left behind in every state keep nothing") {
    counted::reset();
    constexpr int rounds = 20;
    std::vector<fiber> kept;
    for (int i = 0; i < rounds; ++i) {
        on_a_thread([&] {
            fiber suspended{[c = counted{1}] { to_parent(); }};
            suspended.switch_to();
            fiber ended{[c = counted{2}] {}};
            ended.switch_to();
            kept.push_back(suspended);
            kept.push_back(ended);
            kept.emplace_back([c = counted{3}] {});
            kept.push_back(fiber::main());
        });
    }
    for (const fiber& f : kept) CHECK(f.dead());
    CHECK(counted::destroyed == 3 * rounds);
    CHECK(counted::alive == 0);
}
