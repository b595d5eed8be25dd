// What a forked child has of a thread pool: an empty one.
#include <atomic>
#include <chrono>
#include <thread>

#include <unistd.h>

#include <weft/thread_pool.hpp>

#include "support/forked.hpp"
#include "support/held_back.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::gate;

HUB_TEST("a forked child's pool is empty and makes threads of its own") {
    weft::thread_pool pool{2};
    gate g;
    const auto held = pool.spawn([&] { g.pass(); });
    const auto idle = pool.spawn([] { return 1; });
    CHECK(idle.get() == 1);
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        const bool empty = pool.size() == 0 && pool.unfinished() == 0 && pool.join(weft::deadline::past());
        ::_exit(empty && pool.apply([] { return 7; }) == 7 && pool.join(5s) ? 7 : 1);
    }
    g.open();
    CHECK(test::exited_with(test::end_of(child), 7));
    held.get();
    CHECK(pool.apply([] { return 2; }) == 2);
}

HUB_TEST("the child of a job uses the pool and ends when the job returns") {
    weft::thread_pool pool{2};
    const pid_t child = pool.apply([&] {
        const pid_t forked = test::fork_flushed();
        if (forked == 0 && pool.apply([] { return 3; }) != 3) ::_exit(1);
        return forked;
    });
    CHECK(test::exited_with(test::end_of(child), 0));
    CHECK(pool.apply([] { return 4; }) == 4);
}
