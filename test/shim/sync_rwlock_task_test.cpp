// Rwlocks among tasks and threads: in turn, the standard library's, under stress, before and after patching.
#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <thread>
#include <vector>

#include <weft/event.hpp>
#include <weft/group.hpp>

#include "shim/lock_objects.hpp"
#include "shim/lockers.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::mutex;
using test::rwlock;

HUB_TEST("a task that reads may read again while another waits to write") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        rwlock lock;
        bool written = false;
        CHECK(c.pthread_rwlock_rdlock(&lock.l) == 0);
        auto writer = weft::spawn([&] {
            CHECK(c.pthread_rwlock_wrlock(&lock.l) == 0);
            written = true;
            CHECK(c.pthread_rwlock_unlock(&lock.l) == 0);
        });
        weft::sleep_for(1ms);
        // The writer is passed, told and tries in vain: from now on nobody new may read.
        auto passes = weft::spawn([&] {
            CHECK(c.pthread_rwlock_rdlock(&lock.l) == 0);
            CHECK(c.pthread_rwlock_unlock(&lock.l) == 0);
        });
        CHECK(passes.join(5s));
        weft::sleep_for(1ms);
        auto behind = weft::spawn([&] {
            CHECK(c.pthread_rwlock_rdlock(&lock.l) == 0);
            CHECK(written);
            CHECK(c.pthread_rwlock_unlock(&lock.l) == 0);
        });
        weft::sleep_for(1ms);
        CHECK_FALSE(behind.ready());
        CHECK(c.pthread_rwlock_rdlock(&lock.l) == 0);
        CHECK(c.pthread_rwlock_unlock(&lock.l) == 0);
        CHECK_FALSE(written);
        CHECK(c.pthread_rwlock_unlock(&lock.l) == 0);
        CHECK(writer.join(5s));
        CHECK(behind.join(5s));
    }
}

HUB_TEST("readers behind a writer that gives up read at once") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        rwlock lock;
        CHECK(c.pthread_rwlock_rdlock(&lock.l) == 0);
        auto writer = weft::spawn([&] {
            const timespec until = test::in_ms(CLOCK_REALTIME, 500);
            CHECK(c.pthread_rwlock_timedwrlock(&lock.l, &until) == ETIMEDOUT);
        });
        weft::sleep_for(1ms);
        weft::spawn([&] {
            CHECK(c.pthread_rwlock_rdlock(&lock.l) == 0);
            CHECK(c.pthread_rwlock_unlock(&lock.l) == 0);
        }).get();
        weft::sleep_for(1ms);
        weft::group behind;
        int read = 0;
        for (int i = 0; i < 3; ++i) {
            behind.spawn([&] {
                CHECK(c.pthread_rwlock_rdlock(&lock.l) == 0);
                ++read;
                CHECK(c.pthread_rwlock_unlock(&lock.l) == 0);
            });
        }
        weft::yield();
        CHECK(read == 0);
        CHECK(behind.join(5s));
        CHECK(read == 3);
        CHECK(writer.join(5s));
        CHECK(c.pthread_rwlock_unlock(&lock.l) == 0);
    }
}

HUB_TEST("tasks behind a thread that waits to write read when it gives up") {
    const test::patched now;
    rwlock lock{PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP};
    CHECK(pthread_rwlock_rdlock(&lock.l) == 0);
    std::atomic<bool> tries{false};
    std::thread writer{[&] {
        const timespec until = test::in_ms(CLOCK_REALTIME, 60);
        tries.store(true);
        CHECK(pthread_rwlock_timedwrlock(&lock.l, &until) == ETIMEDOUT);
    }};
    while (!tries.load()) weft::sleep_for(1ms);
    weft::sleep_for(10ms);
    auto reader = weft::spawn([&] {
        CHECK(pthread_rwlock_rdlock(&lock.l) == 0);
        CHECK(pthread_rwlock_unlock(&lock.l) == 0);
    });
    CHECK(reader.join(5s));
    writer.join();
    CHECK(pthread_rwlock_unlock(&lock.l) == 0);
}

HUB_TEST("a stream of readers that never ends does not keep a writer out") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        rwlock lock;
        bool stop = false;
        std::int64_t reads = 0;
        weft::group readers;
        for (int i = 0; i < 4; ++i) {
            readers.spawn([&, i] {
                c.usleep(static_cast<useconds_t>(50 * i));
                while (!stop) {
                    CHECK(c.pthread_rwlock_rdlock(&lock.l) == 0);
                    ++reads;
                    c.usleep(200);
                    CHECK(c.pthread_rwlock_unlock(&lock.l) == 0);
                }
            });
        }
        weft::sleep_for(1ms);
        std::int64_t most_passes = 0;
        for (int round = 0; round < 20; ++round) {
            const std::int64_t before = reads;
            CHECK(c.pthread_rwlock_wrlock(&lock.l) == 0);
            most_passes = std::max(most_passes, reads - before);
            c.usleep(50);
            CHECK(c.pthread_rwlock_unlock(&lock.l) == 0);
            c.usleep(300);
        }
        stop = true;
        readers.join();
        CHECK(most_passes <= 8);
    }
}

HUB_TEST("who tries an rwlock again and again lets the holder run") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        rwlock lock;
        const std::array<int (*)(const calls&, pthread_rwlock_t*), 4> tries{
            [](const calls& with, pthread_rwlock_t* l) { return with.pthread_rwlock_tryrdlock(l); },
            [](const calls& with, pthread_rwlock_t* l) { return with.pthread_rwlock_trywrlock(l); },
            [](const calls& with, pthread_rwlock_t* l) { return with.pthread_rwlock_timedrdlock(l, &test::long_ago); },
            [](const calls& with, pthread_rwlock_t* l) { return with.pthread_rwlock_timedwrlock(l, &test::long_ago); }};
        for (const auto once : tries) {
            auto holder = weft::spawn([&] {
                CHECK(c.pthread_rwlock_wrlock(&lock.l) == 0);
                weft::yield();
                CHECK(c.pthread_rwlock_unlock(&lock.l) == 0);
            });
            weft::yield();
            int count = 0;
            while (once(c, &lock.l) != 0 && count < 100'000) ++count;
            CHECK(count < 100'000);
            CHECK(c.pthread_rwlock_unlock(&lock.l) == 0);
            holder.get();
        }
    }
}

// The standard library's.

namespace {

template <class Shared>
void check_shares() {
    const test::patched now;
    Shared m;
    int readers = 0, most_readers = 0, sections = 0;
    bool writes = false, broken = false;
    weft::group tasks;
    for (int i = 0; i < 8; ++i) {
        tasks.spawn([&, i] {
            for (int round = 0; round < 20; ++round) {
                if ((round + i) % 4 == 0) {
                    const std::unique_lock held{m};
                    broken = broken || readers > 0 || writes;
                    writes = true;
                    weft::yield();
                    writes = false;
                } else {
                    const std::shared_lock held{m};
                    broken = broken || writes;
                    most_readers = std::max(most_readers, ++readers);
                    weft::sleep_for(50us);
                    --readers;
                }
                ++sections;
            }
        });
    }
    tasks.join();
    CHECK_FALSE(broken);
    CHECK(most_readers > 1);
    CHECK(sections == 160);
}

}  // namespace

HUB_TEST("the standard's shared mutexes held across a switch let readers in together and writers alone") {
    check_shares<std::shared_mutex>();
    check_shares<std::shared_timed_mutex>();
}

HUB_TEST("a shared timed mutex gives up in time while another task writes") {
    const test::patched now;
    std::shared_timed_mutex m;
    const std::unique_lock held{m};
    weft::spawn([&] {
        const auto start = weft::clock::now();
        CHECK_FALSE(m.try_lock_for(20ms));
        CHECK_FALSE(m.try_lock_shared_for(20ms));
        CHECK_FALSE(m.try_lock_shared_until(std::chrono::system_clock::now() + 20ms));
        CHECK(weft::clock::now() - start >= 60ms);
    }).get();
}

// Several hubs and plain threads.

HUB_TEST("tasks of several hubs and plain threads read together and write alone, and none is forgotten") {
    const test::patched now;
    rwlock lock;
    std::atomic<int> readers{0};
    std::atomic<bool> broken{false};
    std::int64_t written = 0;
    std::atomic<std::int64_t> writes{0};
    constexpr int rounds = 1500;
    const auto sections = [&](unsigned seed, bool tasks) {
        for (int i = 0; i < rounds; ++i) {
            seed = seed * 1664525 + 1013904223;
            const unsigned draw = seed >> 27;
            if (draw % 8 == 0) {
                pthread_rwlock_wrlock(&lock.l);
                if (readers.load() != 0) broken.store(true);
                ++written;
                writes.fetch_add(1);
                if (tasks && draw % 3 == 0) weft::yield();
                if (readers.load() != 0) broken.store(true);
            } else {
                pthread_rwlock_rdlock(&lock.l);
                readers.fetch_add(1);
                if (tasks && draw % 5 == 0) weft::yield();
                if (draw % 7 == 0) {
                    pthread_rwlock_rdlock(&lock.l);
                    if (tasks && draw % 2 == 0) weft::yield();
                    pthread_rwlock_unlock(&lock.l);
                }
                readers.fetch_sub(1);
            }
            pthread_rwlock_unlock(&lock.l);
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
    CHECK(written == writes.load());
    CHECK(pthread_rwlock_trywrlock(&lock.l) == 0);
    CHECK(pthread_rwlock_unlock(&lock.l) == 0);
}

// Before and after patching.

HUB_TEST("an rwlock that was taken before patching is its holder's afterwards") {
    for (const bool writes : {true, false}) {
        rwlock of_main, of_task;
        std::optional<test::patched> now;
        weft::event patch, done;
        const auto take = [&](rwlock& lock) {
            CHECK((writes ? pthread_rwlock_wrlock(&lock.l) : pthread_rwlock_rdlock(&lock.l)) == 0);
        };
        take(of_main);
        auto task = weft::spawn([&] {
            take(of_task);
            patch.wait();
            CHECK(pthread_rwlock_rdlock(&of_task.l) == (writes ? EDEADLK : 0));
            if (!writes) CHECK(pthread_rwlock_unlock(&of_task.l) == 0);
            done.wait();
            CHECK(pthread_rwlock_unlock(&of_task.l) == 0);
        });
        weft::yield();
        now.emplace();
        patch.set();
        CHECK(pthread_rwlock_rdlock(&of_main.l) == (writes ? EDEADLK : 0));
        if (!writes) CHECK(pthread_rwlock_unlock(&of_main.l) == 0);
        auto waiter = weft::spawn([&] {
            for (rwlock* lock : {&of_main, &of_task}) {
                CHECK(pthread_rwlock_wrlock(&lock->l) == 0);
                CHECK(pthread_rwlock_unlock(&lock->l) == 0);
            }
        });
        weft::sleep_for(1ms);
        CHECK_FALSE(waiter.ready());
        CHECK(pthread_rwlock_unlock(&of_main.l) == 0);
        weft::sleep_for(1ms);
        CHECK_FALSE(waiter.ready());
        done.set();
        CHECK(waiter.join(5s));
        task.get();
    }
}

HUB_TEST("tasks that stand in an rwlock's line when everything is unpatched are served") {
    rwlock lock;
    std::optional<test::patched> now;
    now.emplace();
    CHECK(pthread_rwlock_wrlock(&lock.l) == 0);
    int got = 0;
    weft::group tasks;
    for (int i = 0; i < 6; ++i) {
        tasks.spawn([&, i] {
            CHECK((i % 3 == 0 ? pthread_rwlock_wrlock(&lock.l) : pthread_rwlock_rdlock(&lock.l)) == 0);
            ++got;
            weft::yield();
            CHECK(pthread_rwlock_unlock(&lock.l) == 0);
        });
    }
    weft::sleep_for(1ms);
    now.reset();
    CHECK(got == 0);
    CHECK(pthread_rwlock_unlock(&lock.l) == 0);
    tasks.join();
    CHECK(got == 6);
}
