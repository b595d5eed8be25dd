// Rwlocks in kills, ends of threads and forks.
#include <atomic>
#include <thread>

#include <weft/group.hpp>
#include <weft/timeout.hpp>

#include "shim/lock_objects.hpp"
#include "shim/lockers.hpp"
#include "support/forked.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::rwlock;

HUB_TEST("a kill or a timeout does not end the wait for an rwlock, and is thrown at weft's next wait") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        for (const bool writes : {true, false}) {
            rwlock lock;
            CHECK(c.pthread_rwlock_wrlock(&lock.l) == 0);
            int held = 0, further = 0;
            const auto wait = [&] {
                CHECK((writes ? c.pthread_rwlock_wrlock(&lock.l) : c.pthread_rwlock_rdlock(&lock.l)) == 0);
                ++held;
                CHECK(c.pthread_rwlock_unlock(&lock.l) == 0);
                weft::sleep_for(1h);
                ++further;
            };
            auto killed = weft::spawn(wait);
            auto timed = weft::spawn([&] {
                const weft::timeout limit{1ms};
                wait();
            });
            weft::yield();
            killed.kill(weft::deadline::past());
            weft::sleep_for(4ms);
            CHECK(held == 0);
            CHECK(c.pthread_rwlock_unlock(&lock.l) == 0);
            CHECK(killed.join(5s));
            CHECK(timed.join(5s));
            CHECK_THROWS_AS(timed.get(), weft::timed_out);
            CHECK(held == 2);
            CHECK(further == 0);
        }
    }
}

HUB_TEST("a thread that ends leaves tasks behind that wait for an rwlock nobody gives back") {
    const test::patched now;
    rwlock lock;
    CHECK(pthread_rwlock_wrlock(&lock.l) == 0);
    std::atomic<int> got{0};
    std::thread{[&] {
        const test::leaks_on_purpose leaks;
        weft::spawn([&] {
            pthread_rwlock_rdlock(&lock.l);
            got.fetch_add(1);
        });
        weft::yield();
    }}.join();
    CHECK(got.load() == 0);
    CHECK(pthread_rwlock_unlock(&lock.l) == 0);
    CHECK(pthread_rwlock_wrlock(&lock.l) == 0);
    CHECK(pthread_rwlock_unlock(&lock.l) == 0);
}

HUB_TEST("a forked child of a process whose tasks stand in an rwlock's line works") {
    const test::patched now;
    rwlock lock;
    CHECK(pthread_rwlock_rdlock(&lock.l) == 0);
    weft::group tasks;
    for (int i = 0; i < 3; ++i) {
        tasks.spawn([&] {
            CHECK(pthread_rwlock_wrlock(&lock.l) == 0);
            CHECK(pthread_rwlock_unlock(&lock.l) == 0);
        });
    }
    weft::yield();
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        auto writer = weft::spawn([&] { return pthread_rwlock_wrlock(&lock.l); });
        weft::yield();
        pthread_rwlock_unlock(&lock.l);
        ::_exit(writer.join(5s) && writer.get() == 0 ? 7 : 1);
    }
    CHECK(test::exited_with(test::end_of(child), 7));
    CHECK(pthread_rwlock_unlock(&lock.l) == 0);
    tasks.join();
}
