// Mutexes among tasks and threads: the standard library's, in turn, and under stress.
#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

#include <weft/group.hpp>

#include "shim/lock_objects.hpp"
#include "shim/lockers.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::mutex;

namespace {

template <class Mutex>
void check_excludes() {
    const test::patched now;
    Mutex m;
    int inside = 0, most = 0, sections = 0;
    weft::group tasks;
    for (int i = 0; i < 6; ++i) {
        tasks.spawn([&, i] {
            for (int round = 0; round < 20; ++round) {
                const std::lock_guard guard{m};
                most = std::max(most, ++inside);
                if (round % 3 == 0) weft::sleep_for(100us);
                else if ((round + i) % 3 == 1) weft::yield();
                --inside;
                ++sections;
            }
        });
    }
    tasks.join();
    CHECK(most == 1);
    CHECK(sections == 120);
}

}  // namespace

HUB_TEST("the standard's mutexes held across a switch keep other tasks out, not the thread") {
    check_excludes<std::mutex>();
    check_excludes<std::recursive_mutex>();
    check_excludes<std::timed_mutex>();
    check_excludes<std::recursive_timed_mutex>();
    check_excludes<std::shared_mutex>();
    check_excludes<std::shared_timed_mutex>();
}

HUB_TEST("timed mutexes give up in time while another task holds them") {
    const test::patched now;
    std::timed_mutex plain;
    std::recursive_timed_mutex again;
    const std::scoped_lock held{plain, again};
    weft::spawn([&] {
        const auto start = weft::clock::now();
        CHECK_FALSE(plain.try_lock_for(30ms));
        CHECK_FALSE(again.try_lock_until(std::chrono::system_clock::now() + 30ms));
        CHECK_FALSE(again.try_lock());
        const auto took = weft::clock::now() - start;
        CHECK(took >= 60ms);
        CHECK(took < 60ms + 100ms * test::patience());
    }).get();
    CHECK(again.try_lock_for(1s));
    again.unlock();
}

HUB_TEST("std::lock takes two mutexes that tasks hold in the other order") {
    const test::patched now;
    std::mutex a, b;
    int sections = 0;
    weft::group tasks;
    for (int i = 0; i < 4; ++i) {
        tasks.spawn([&, i] {
            for (int round = 0; round < 30; ++round) {
                std::unique_lock first{i % 2 ? a : b, std::defer_lock}, second{i % 2 ? b : a, std::defer_lock};
                std::lock(first, second);
                weft::yield();
                ++sections;
            }
        });
    }
    tasks.join();
    CHECK(sections == 120);
}

HUB_TEST("a recursive mutex comes again to who holds it, whoever has been passed meanwhile") {
    const test::patched now;
    std::recursive_mutex m;
    std::unique_lock outer{m};
    int got = 0;
    auto waiter = weft::spawn([&] {
        const std::lock_guard guard{m};
        ++got;
    });
    weft::sleep_for(1ms);
    outer.unlock();
    outer.lock();  // past the waiter, which has been told and tries in vain
    weft::sleep_for(1ms);
    CHECK(got == 0);
    m.lock();
    CHECK(m.try_lock());
    m.unlock();
    m.unlock();
    CHECK(got == 0);
    outer.unlock();
    CHECK(waiter.join(5s));
    CHECK(got == 1);
}

HUB_TEST("a task does not own what an ended one has held, though it stands where that one stood") {
    const test::patched now;
    pthread_mutex_t m = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
    weft::spawn([&] { CHECK(pthread_mutex_lock(&m) == 0); }).get();
    weft::spawn([&] {
        CHECK(pthread_mutex_unlock(&m) == EPERM);
        const timespec soon = test::in_ms(CLOCK_REALTIME, 5);
        CHECK(pthread_mutex_timedlock(&m, &soon) == ETIMEDOUT);
    }).get();
}

HUB_TEST("a loop of lock, sleep, unlock keeps each waiter out once at most") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
        bool stop = false;
        int sections = 0, most_passes = 0;
        auto loop = weft::spawn([&] {
            while (!stop) {
                CHECK(c.pthread_mutex_lock(&m) == 0);
                ++sections;
                c.usleep(200);
                CHECK(c.pthread_mutex_unlock(&m) == 0);
            }
        });
        weft::sleep_for(1ms);
        weft::group waiters;
        for (int i = 0; i < 5; ++i) {
            waiters.spawn([&] {
                for (int round = 0; round < 5; ++round) {
                    const int before = sections;
                    CHECK(c.pthread_mutex_lock(&m) == 0);
                    most_passes = std::max(most_passes, sections - before);
                    CHECK(c.pthread_mutex_unlock(&m) == 0);
                }
            });
        }
        waiters.join();
        stop = true;
        loop.get();
        // The one that holds it as the waiter comes is counted already; then one may pass each of those in front of it.
        CHECK(most_passes <= 5 + 1);
    }
}

HUB_TEST("a thread's loop of lock, sleep, unlock does not keep tasks out") {
    const test::patched now;
    std::mutex m;
    std::atomic<bool> stop{false};
    std::atomic<int> sections{0};
    std::thread loop{[&] {
        while (!stop.load()) {
            const std::lock_guard guard{m};
            sections.fetch_add(1);
            std::this_thread::sleep_for(300us);
        }
    }};
    while (sections.load() == 0) weft::sleep_for(200us);
    int most_passes = 0;
    for (int round = 0; round < 50; ++round) {
        const int before = sections.load();
        m.lock();
        most_passes = std::max(most_passes, sections.load() - before);
        m.unlock();
        weft::sleep_for(100us);
    }
    stop.store(true);
    loop.join();
    CHECK(most_passes <= 20 * test::patience());
}

HUB_TEST("tasks' loops of lock, sleep, unlock do not keep a thread out") {
    const test::patched now;
    std::mutex m;
    std::atomic<bool> stop{false};
    weft::group tasks;
    for (int i = 0; i < 2; ++i) {
        tasks.spawn([&] {
            while (!stop.load()) {
                const std::lock_guard guard{m};
                weft::sleep_for(300us);
            }
        });
    }
    std::atomic<int> got{0};
    std::thread plain{[&] {
        for (int round = 0; round < 10; ++round) {
            const std::lock_guard guard{m};
            got.fetch_add(1);
        }
    }};
    const auto end = weft::clock::now() + 10s;
    while (got.load() < 10 && weft::clock::now() < end) weft::sleep_for(1ms);
    CHECK(got.load() == 10);
    stop.store(true);
    tasks.join();
    plain.join();
}

HUB_TEST("who tries again and again lets the holder run") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        for (const test::mutex_kind& k : test::mutex_kinds) {
            mutex mine{k};
            auto holder = weft::spawn([&] {
                CHECK(c.pthread_mutex_lock(&mine.m) == 0);
                weft::yield();
                CHECK(c.pthread_mutex_unlock(&mine.m) == 0);
            });
            weft::yield();
            int tries = 0;
            while (c.pthread_mutex_trylock(&mine.m) == EBUSY && tries < 100'000) ++tries;
            CHECK(tries < 100'000);
            c.pthread_mutex_unlock(&mine.m);
            holder.get();
            holder = weft::spawn([&] {
                CHECK(c.pthread_mutex_lock(&mine.m) == 0);
                weft::yield();
                CHECK(c.pthread_mutex_unlock(&mine.m) == 0);
            });
            weft::yield();
            while (c.pthread_mutex_timedlock(&mine.m, &test::long_ago) == ETIMEDOUT && tries < 200'000) ++tries;
            CHECK(tries < 200'000);
            c.pthread_mutex_unlock(&mine.m);
            holder.get();
        }
    }
}

// Several hubs and plain threads.

namespace {

template <class Mutex>
void stress(int rounds) {
    const test::patched now;
    Mutex m;
    std::int64_t count = 0;
    bool inside = false;
    std::atomic<bool> broken{false};
    const auto sections = [&](unsigned seed, bool tasks) {
        for (int i = 0; i < rounds; ++i) {
            const std::lock_guard guard{m};
            if (inside) broken.store(true);
            inside = true;
            ++count;
            seed = seed * 1664525 + 1013904223;
            if (tasks && seed >> 29 == 0) weft::yield();
            if (tasks && seed >> 24 == 1) weft::sleep_for(50us);
            inside = false;
        }
    };
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 2; ++t) {
        threads.emplace_back([&, t] {
            weft::group g;
            for (unsigned i = 0; i < 4; ++i) g.spawn([&, i] { sections(t * 100 + i, true); });
            g.join();
        });
        threads.emplace_back([&, t] { sections(t + 1000, false); });
    }
    weft::group here;
    for (unsigned i = 0; i < 4; ++i) here.spawn([&, i] { sections(i + 7, true); });
    here.join();
    for (auto& t : threads) t.join();
    CHECK_FALSE(broken.load());
    CHECK(count == std::int64_t{rounds} * 14);
}

}  // namespace

HUB_TEST("tasks of several hubs and plain threads exclude each other, and none is forgotten") {
    stress<std::mutex>(2000);
    stress<std::recursive_mutex>(2000);
    stress<std::timed_mutex>(500);
}
