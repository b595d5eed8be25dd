// What becomes of fibers and tasks whose thread ends: unwound, newest first, every wait failing at once.
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/hub.hpp>
#include <weft/mutex.hpp>
#include <weft/queue.hpp>
#include <weft/semaphore.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "hub/offload.hpp"
#include "support/counted.hpp"
#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::counted;

namespace {

struct appends {
    std::string& to;
    char what;
    ~appends() { to += what; }
};

}  // namespace

HUB_TEST("a thread's end unwinds tasks and fibers, newest first") {
    std::string order;
    weft::event never;
    weft::fiber middle;
    std::thread{[&] {
        weft::spawn([&] {
            const appends a{order, '1'};
            never.wait();
        });
        middle = weft::fiber{[&] {
            const appends a{order, '2'};
            weft::fiber::current().parent().switch_to();
        }};
        middle.switch_to();
        weft::spawn([&] {
            const appends a{order, '3'};
            weft::sleep_for(1h);
        });
        weft::yield();
    }}.join();
    CHECK(order == "321");
    CHECK(middle.dead());
}

HUB_TEST("a task that has not had its first turn never runs") {
    counted::reset();
    bool ran = false;
    weft::task<void> task;
    std::thread{[&] { task = weft::spawn([&ran, c = counted{1}] { ran = c.number > 0; }); }}.join();
    CHECK_FALSE(ran);
    CHECK(counted::destroyed == 1);
    CHECK(task.ready());
    CHECK_THROWS_AS(task.get(), weft::task_killed);
}

HUB_TEST("every kind of wait fails at once in a task that is unwound with its thread") {
    weft::event never;
    weft::semaphore none{0};
    weft::mutex held;
    weft::queue<int> empty{1}, full{1};
    full.put(1);
    held.lock();
    int failed = 0, finished = 0;
    std::thread{[&] {
        struct waits_again {
            weft::event& never;
            weft::semaphore& none;
            weft::queue<int>& empty;
            weft::queue<int>& full;
            int& failed;
            ~waits_again() {
                const auto fails = [this](auto&& wait) {
                    try {
                        wait();
                    } catch (const weft::fiber_exit&) {
                        ++failed;
                    }
                };
                fails([] { weft::sleep_for(1h); });
                fails([] { weft::yield(); });
                fails([this] { never.wait(); });
                fails([this] { none.acquire(); });
                fails([this] { (void)empty.get(); });
                fails([this] { full.put(2); });
            }
        };
        const auto waiter = [&](auto wait) {
            weft::spawn([&, wait] {
                try {
                    wait();
                } catch (const weft::fiber_exit&) {
                    const waits_again again{never, none, empty, full, failed};
                }
                ++finished;
            });
        };
        waiter([&] { never.wait(); });
        waiter([&] { none.acquire(); });
        waiter([&] { held.lock(); });
        waiter([&] { (void)empty.get(); });
        waiter([&] { full.put(2); });
        waiter([] { weft::sleep_for(1h); });
        weft::yield();
    }}.join();
    CHECK(failed == 6 * 6);
    CHECK(finished == 6);
    held.unlock();
    CHECK(full.size() == 1);
}

HUB_TEST("a lock held by a task that is unwound with its thread is given back") {
    weft::mutex lock;
    weft::event never;
    std::thread{[&] {
        weft::spawn([&] {
            const std::lock_guard guard{lock};
            never.wait();
        });
        weft::yield();
    }}.join();
    CHECK_FALSE(lock.locked());
    CHECK(lock.try_lock());
    lock.unlock();
}

HUB_TEST("a fiber that swallows its unwinding for ever does not hang the thread's end") {
    weft::event never;
    long attempts = 0;
    std::thread{[&] {
        const test::leaks_on_purpose left_behind;
        weft::spawn([&] {
            for (;;) {
                try {
                    ++attempts;
                    never.wait();
                } catch (const weft::fiber_exit&) {
                }
            }
        });
        weft::yield();
    }}.join();
    CHECK(attempts > 100);
    never.set();  // nobody is in its list any more
}

HUB_TEST("a fiber that swallows its unwinding and makes others of its kind does not hang it either") {
    long attempts = 0;
    std::thread{[&] {
        const test::leaks_on_purpose left_behind;
        weft::spawn([&] {
            for (;;) {
                try {
                    ++attempts;
                    weft::spawn([] {});
                    weft::sleep_for(1h);
                } catch (const weft::fiber_exit&) {
                }
            }
        });
        weft::yield();
    }}.join();
    CHECK(attempts > 100);
}

HUB_TEST("a fiber that switches to main instead of ending is left behind") {
    weft::fiber kept;
    std::thread{[&] {
        const test::leaks_on_purpose left_behind;
        kept = weft::fiber{[] {
            for (;;) {
                try {
                    weft::fiber::main().switch_to();
                } catch (const weft::fiber_exit&) {
                }
            }
        }};
        kept.switch_to();
    }}.join();
    CHECK(kept.dead());
}

HUB_TEST("a job in a pool is finished before the stack that it works on goes") {
    std::atomic<bool> finished{false}, seen_finished{false};
    std::thread{[&] {
        weft::spawn([&] {
            // Many refused waits must not make the last one, which cannot be refused, be given up.
            struct runs_a_job {
                std::atomic<bool>& finished;
                std::atomic<bool>& seen;
                ~runs_a_job() {
                    for (int i = 0; i < 990; ++i) {
                        try {
                            weft::yield();
                        } catch (const weft::fiber_exit&) {
                        }
                    }
                    weft::detail::offload(
                        weft::detail::offload_kind::dns,
                        [](void* flag) {
                            std::this_thread::sleep_for(50ms);
                            static_cast<std::atomic<bool>*>(flag)->store(true);
                        },
                        &finished, "a test");
                    seen = finished.load();
                }
            };
            const runs_a_job at_end{finished, seen_finished};
            weft::sleep_for(1h);
        });
        weft::yield();
    }}.join();
    CHECK(seen_finished);
}

HUB_TEST("a manual clock on the stack of a task that is unwound with its thread is taken away in order") {
    bool unwound = false;
    std::thread{[&] {
        weft::spawn([&] {
            struct note {
                bool& told;
                ~note() { told = true; }
            } at_end{unwound};
            const weft::testing::manual_clock clock;
            weft::sleep_for(1h);
        });
        weft::yield();
    }}.join();
    CHECK(unwound);
}

HUB_TEST("what a dying thread's tasks throw besides fiber_exit is reported, not lost") {
    static std::string reported;
    const auto before = weft::on_unhandled([](std::uint64_t, const std::string& name, const std::exception_ptr&) {
        reported = name;
    });
    std::thread{[] {
        weft::spawn({.name = "careless"}, [] {
            try {
                weft::sleep_for(1h);
            } catch (const weft::fiber_exit&) {
                throw 1;
            }
        });
        weft::yield();
    }}.join();
    weft::on_unhandled(before);
    CHECK(reported == "careless");
}

HUB_TEST("joiners that a thread's end wakes and unwinds leave the thread's stacks in order") {
    weft::event never;
    for (int round = 0; round < 20; ++round) {
        weft::task<void> late[2];
        std::thread{[&] {
            std::vector<weft::task<void>> joiners;
            for (auto& target : late)
                joiners.push_back(weft::spawn([&] {
                    while (!target) weft::yield();
                    target.join();
                }));
            weft::yield();
            for (auto& target : late) target = weft::spawn([&] { never.wait(); });
            for (int i = 0; i < 3; ++i) weft::yield();
        }}.join();
    }
    weft::spawn([] {}).join();
}

HUB_TEST("a task that its thread's end cannot end counts as killed, and who waits for it elsewhere is told") {
    weft::task<int> stubborn;
    weft::event started;
    std::thread home{[&] {
        const test::leaks_on_purpose left_behind;
        stubborn = weft::spawn([&]() -> int {
            started.set();
            for (;;) {
                try {
                    weft::sleep_for(1h);
                } catch (const weft::fiber_exit&) {
                }
            }
        });
        weft::yield();
        weft::sleep_for(20ms);
    }};
    started.wait();
    stubborn.join();
    home.join();
    CHECK(stubborn.killed());
    CHECK_FALSE(stubborn.successful());
    CHECK_THROWS_AS((void)stubborn.get(), weft::task_killed);
}
