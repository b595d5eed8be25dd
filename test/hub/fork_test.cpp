// What a forked child has of weft: the fiber that forked and a hub of its own, none of the parent's waits.
#include <atomic>
#include <string>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>
#include <thread>

#include <sys/mman.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include <weft/event.hpp>
#include <weft/group.hpp>
#include <weft/hub.hpp>
#include <weft/offload.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "hub/offload.hpp"
#include "support/forked.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::end_of;
using test::exited_with;
using test::fork_flushed;

namespace {

/// Counters that parent and child both see.
struct counters {
    std::atomic<int> in_child{0};
    std::atomic<int> unwound_in_child{0};
    std::atomic<int> ran_in_child{0};
};

class shared_counters {
public:
    shared_counters() {
        void* const room =
            ::mmap(nullptr, sizeof(counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        REQUIRE(room != MAP_FAILED);
        counters_ = ::new (room) counters;
    }
    ~shared_counters() { ::munmap(counters_, sizeof(counters)); }
    shared_counters(const shared_counters&) = delete;
    shared_counters& operator=(const shared_counters&) = delete;
    counters* operator->() const { return counters_; }

private:
    counters* counters_;
};

/// Counts its destruction in any process but the one that made it.
struct bystander {
    const shared_counters& seen;
    pid_t home = ::getpid();
    ~bystander() {
        if (::getpid() != home) ++seen->unwound_in_child;
    }
};

/// Sleeps for ever; counts where it turns.
weft::task<void> ticker(const shared_counters& seen, int& ticks) {
    return weft::spawn([&] {
        const bystander here{seen};
        for (;;) {
            weft::sleep_for(1ms);
            ++ticks;
            if (::getpid() != here.home) ++seen->ran_in_child;
        }
    });
}

/// Spawns, waits, sleeps, posts and takes in a post of another thread. @returns whether all of it works
bool weft_works() {
    weft::event posted;
    const auto sum = weft::spawn([] {
        weft::sleep_for(1ms);
        return 42;
    });
    std::thread poster{[&posted, hub = weft::hub::current()] { hub.post([&posted] { posted.set(); }); }};
    const bool came = posted.wait(5s);
    poster.join();
    weft::sleep_for(1ms);
    return came && sum.get() == 42;
}

}  // namespace

TEST_CASE("the child of a main fiber that has waited has weft for itself") {
    weft::sleep_for(1ms);
    const pid_t child = fork_flushed();
    if (child == 0) ::_exit(weft_works() ? 7 : 1);
    CHECK(exited_with(end_of(child), 7));
    CHECK(weft_works());
}

HUB_TEST("the child of a task has weft for itself, and so has the parent") {
    const pid_t child = fork_flushed();
    if (child == 0) ::_exit(weft_works() ? 7 : 1);
    CHECK(weft_works());
    CHECK(exited_with(end_of(child), 7));
}

HUB_TEST("the parent's tasks do not run in the child, while they go on in the parent") {
    const shared_counters seen;
    int ticks = 0;
    const auto task = ticker(seen, ticks);
    weft::sleep_for(3ms);
    const pid_t child = fork_flushed();
    if (child == 0) {
        const int before = ticks;
        for (int i = 0; i < 20; ++i) weft::sleep_for(1ms);
        ::_exit(ticks == before ? 0 : 1);
    }
    const int before = ticks;
    CHECK(exited_with(end_of(child), 0));
    CHECK(ticks > before);
    CHECK(seen->ran_in_child == 0);
    CHECK(task.kill(1s));
}

HUB_TEST("exit() in the child ends it with that status and leaves the parent's tasks alone") {
    const shared_counters seen;
    int ticks = 0;
    const auto task = ticker(seen, ticks);
    weft::sleep_for(3ms);
    const pid_t child = fork_flushed();
    if (child == 0) std::exit(9);
    CHECK(exited_with(end_of(child), 9));
    CHECK(seen->unwound_in_child == 0);
    CHECK(task.kill(1s));
}

TEST_CASE("exit() in the child of a main fiber leaves the parent's tasks alone, too") {
    const shared_counters seen;
    int ticks = 0;
    const auto task = ticker(seen, ticks);
    weft::sleep_for(3ms);
    const pid_t child = fork_flushed();
    if (child == 0) std::exit(9);
    CHECK(exited_with(end_of(child), 9));
    CHECK(seen->unwound_in_child == 0);
    CHECK(task.kill(1s));
}

HUB_TEST("the child of a task ends with status 0 when that task returns") {
    const shared_counters seen;
    int ticks = 0;
    const auto task = ticker(seen, ticks);
    weft::sleep_for(3ms);
    auto forker = weft::spawn([&] {
        const pid_t child = fork_flushed();
        if (child == 0) {
            weft::sleep_for(2ms);
            ++seen->in_child;
        }
        return child;
    });
    CHECK(exited_with(end_of(forker.get()), 0));
    CHECK(seen->in_child == 1);
    CHECK(seen->ran_in_child == 0);
    CHECK(seen->unwound_in_child == 0);
    CHECK(task.kill(1s));
}

HUB_TEST("the child of a task lives on while tasks that it spawned do") {
    const shared_counters seen;
    auto forker = weft::spawn([&] {
        const pid_t child = fork_flushed();
        if (child == 0)
            weft::spawn([&] {
                weft::sleep_for(5ms);
                ++seen->in_child;
            });
        return child;
    });
    CHECK(exited_with(end_of(forker.get()), 0));
    CHECK(seen->in_child == 1);
}

HUB_TEST("a pool that had threads in the parent makes new ones in the child") {
    const auto job = [] {
        bool done = false;
        const auto finish = [](void* flag) { *static_cast<bool*>(flag) = true; };
        return weft::detail::offload(weft::detail::offload_kind::dns, finish, &done, "a test") && done;
    };
    REQUIRE(job());
    const pid_t child = fork_flushed();
    if (child == 0) {
        const auto asker = weft::spawn(job);
        ::_exit(asker.join(5s) && asker.get() ? 7 : 1);
    }
    CHECK(exited_with(end_of(child), 7));
    CHECK(job());
}

HUB_TEST("a forked child offloads on threads of its own, also one that a function of the pool forks") {
    CHECK(weft::offload([] { return 1; }) == 1);
    const pid_t child = fork_flushed();
    if (child == 0) ::_exit(weft::offload([] { return 7; }));
    CHECK(exited_with(end_of(child), 7));
    const pid_t other = weft::offload([] {
        const pid_t forked = fork_flushed();
        if (forked == 0) {
            int got = 0;
            std::thread{[&] { got = weft::offload([] { return 9; }); }}.join();
            ::_exit(got);
        }
        return forked;
    });
    CHECK(exited_with(end_of(other), 9));
}

HUB_TEST("a child's exit does not take the parent's wake-ups with it") {
    weft::event posted;
    auto waiter = weft::spawn([&] { posted.wait(); });
    weft::yield();
    const pid_t child = fork_flushed();
    if (child == 0) ::_exit(weft_works() ? 7 : 1);
    CHECK(exited_with(end_of(child), 7));
    std::thread poster{[&posted, hub = weft::hub::current()] { hub.post([&posted] { posted.set(); }); }};
    CHECK(waiter.join(5s));
    poster.join();
}

HUB_TEST("in the child the parent's tasks count as killed, and are no members of their group any more") {
    weft::group group;
    weft::event go;
    auto sibling = group.spawn([&] {
        go.wait();
        return std::string{"the parent's"};
    });
    weft::yield();
    const pid_t child = fork_flushed();
    if (child == 0) {
        bool told = false;
        try {
            (void)sibling.get();
        } catch (const weft::task_killed&) {
            told = true;
        }
        ::_exit(told && sibling.killed() && group.join() && weft_works() ? 7 : 1);
    }
    CHECK(exited_with(end_of(child), 7));
    go.set();
    CHECK(sibling.get() == "the parent's");
}
