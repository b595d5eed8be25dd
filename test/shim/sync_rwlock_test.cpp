// pthread's rwlocks, and the standard library's over them.
#include <array>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <vector>

#include <weft/event.hpp>
#include <weft/group.hpp>
#include <weft/timeout.hpp>

#include "shim/lockers.hpp"
#include "support/forked.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::journal;

namespace {

constexpr long a_while = 60;  // ms

void init(pthread_rwlock_t* at, int preference, int shared) {
    pthread_rwlockattr_t attributes;
    REQUIRE(pthread_rwlockattr_init(&attributes) == 0);
    REQUIRE(pthread_rwlockattr_setkind_np(&attributes, preference) == 0);
    REQUIRE(pthread_rwlockattr_setpshared(&attributes, shared) == 0);
    REQUIRE(pthread_rwlock_init(at, &attributes) == 0);
    pthread_rwlockattr_destroy(&attributes);
}

struct rwlock {
    explicit rwlock(int preference = PTHREAD_RWLOCK_PREFER_READER_NP, int shared = PTHREAD_PROCESS_PRIVATE) {
        init(&l, preference, shared);
    }
    ~rwlock() { pthread_rwlock_destroy(&l); }
    rwlock(const rwlock&) = delete;
    rwlock& operator=(const rwlock&) = delete;
    pthread_rwlock_t l;
};

/// Every call once; what is taken is given back.
void all_calls(const calls& c, journal& out, pthread_rwlock_t* l, bool blocking) {
    const auto after = [&](int result) {
        if (result == 0) out("given back", [&] { return c.pthread_rwlock_unlock(l); });
    };
    after(out("tryrdlock", [&] { return c.pthread_rwlock_tryrdlock(l); }));
    after(out("trywrlock", [&] { return c.pthread_rwlock_trywrlock(l); }));
    if (blocking) {
        after(out("rdlock", [&] { return c.pthread_rwlock_rdlock(l); }));
        after(out("wrlock", [&] { return c.pthread_rwlock_wrlock(l); }));
    }
    const auto timed = [&](const char* what, const timespec& until) {
        after(out(std::string{"timedrdlock"} + what, [&] { return c.pthread_rwlock_timedrdlock(l, &until); }));
        after(out(std::string{"timedwrlock"} + what, [&] { return c.pthread_rwlock_timedwrlock(l, &until); }));
    };
    timed(", long ago", test::long_ago);
    timed(", before all time", test::before_all_time);
    timed(", at the dawn of time", test::dawn);
    timed(", too many nanoseconds", test::too_many);
    timed(", too few nanoseconds", test::too_few);
    const timespec until = test::in_ms(CLOCK_REALTIME, a_while);
    after(out("timedrdlock", [&] { return c.pthread_rwlock_timedrdlock(l, &until); }));
    const timespec later = test::in_ms(CLOCK_REALTIME, a_while);
    after(out("timedwrlock", [&] { return c.pthread_rwlock_timedwrlock(l, &later); }));
    for (const clockid_t clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, test::no_clock}) {
        const clockid_t real = clock == test::no_clock ? CLOCK_REALTIME : clock;
        const timespec one = test::in_ms(real, a_while);
        after(out("clockrdlock", [&] { return c.pthread_rwlock_clockrdlock(l, clock, &one); }));
        const timespec two = test::in_ms(real, a_while);
        after(out("clockwrlock", [&] { return c.pthread_rwlock_clockwrlock(l, clock, &two); }));
    }
    after(out("clockrdlock, too many nanoseconds by no clock",
              [&] { return c.pthread_rwlock_clockrdlock(l, test::no_clock, &test::too_many); }));
}

void of_nobody(const calls& c, journal& out, int preference) {
    rwlock lock{preference};
    all_calls(c, out, &lock.l, true);
}

void read_by_caller(const calls& c, journal& out, int preference) {
    rwlock lock{preference};
    out("rdlock", [&] { return c.pthread_rwlock_rdlock(&lock.l); });
    out("rdlock again", [&] { return c.pthread_rwlock_rdlock(&lock.l); });
    all_calls(c, out, &lock.l, false);
    out("unlock", [&] { return c.pthread_rwlock_unlock(&lock.l); });
    out("unlock", [&] { return c.pthread_rwlock_unlock(&lock.l); });
    out("it is free", [&] { return c.pthread_rwlock_trywrlock(&lock.l); });
}

void written_by_caller(const calls& c, journal& out, int preference) {
    rwlock lock{preference};
    out("wrlock", [&] { return c.pthread_rwlock_wrlock(&lock.l); });
    all_calls(c, out, &lock.l, true);
    out("unlock", [&] { return c.pthread_rwlock_unlock(&lock.l); });
    out("it is free", [&] { return c.pthread_rwlock_trywrlock(&lock.l); });
}

void of_another(const calls& c, journal& out, int preference, bool writes) {
    rwlock lock{preference};
    const auto take = [&] { writes ? c.pthread_rwlock_wrlock(&lock.l) : c.pthread_rwlock_rdlock(&lock.l); };
    const auto give = [&] { c.pthread_rwlock_unlock(&lock.l); };
    {
        test::other_holder holder{c, take, give};
        all_calls(c, out, &lock.l, false);
    }
    {
        test::other_holder holder{c, take, give, a_while * 1ms};
        out("wrlock of what is given back", [&] { return c.pthread_rwlock_wrlock(&lock.l); });
    }
    out("unlock", [&] { return c.pthread_rwlock_unlock(&lock.l); });
    {
        test::other_holder holder{c, take, give, a_while * 1ms};
        out("rdlock", [&] { return c.pthread_rwlock_rdlock(&lock.l); });
        out("unlock", [&] { return c.pthread_rwlock_unlock(&lock.l); });
    }
    const timespec far = test::in_ms(CLOCK_REALTIME, 5000);
    {
        test::other_holder holder{c, take, give, a_while * 1ms};
        out("timedwrlock of what is given back", [&] { return c.pthread_rwlock_timedwrlock(&lock.l, &far); });
    }
    out("unlock", [&] { return c.pthread_rwlock_unlock(&lock.l); });
}

}  // namespace

// A body for each, so that none takes long.
#define WEFT_PREFERRING(preference, name)                                                                          \
    DIFFERENTIAL("an rwlock that is free: " name) { of_nobody(c, out, preference); }                                \
    DIFFERENTIAL("an rwlock that the caller reads: " name) { read_by_caller(c, out, preference); }                  \
    DIFFERENTIAL("an rwlock that the caller writes: " name) { written_by_caller(c, out, preference); }              \
    DIFFERENTIAL("an rwlock that another reads: " name) { of_another(c, out, preference, false); }                  \
    DIFFERENTIAL("an rwlock that another writes: " name) { of_another(c, out, preference, true); }
WEFT_PREFERRING(PTHREAD_RWLOCK_PREFER_READER_NP, "readers first")
WEFT_PREFERRING(PTHREAD_RWLOCK_PREFER_WRITER_NP, "writers first, if nobody reads again")
WEFT_PREFERRING(PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP, "writers first")

DIFFERENTIAL("more readers than an rwlock can count") {
    rwlock lock;
    out("rdlock", [&] { return c.pthread_rwlock_rdlock(&lock.l); });
    const unsigned before = lock.l.__data.__readers;
    lock.l.__data.__readers = ~0u << 3;
    out("tryrdlock", [&] { return c.pthread_rwlock_tryrdlock(&lock.l); });
    lock.l.__data.__readers = ~0u << 3;
    out("rdlock", [&] { return c.pthread_rwlock_rdlock(&lock.l); });
    lock.l.__data.__readers = before;
    out("unlock", [&] { return c.pthread_rwlock_unlock(&lock.l); });
}

DIFFERENTIAL("an rwlock that another process writes for a while") {
    test::between_processes<pthread_rwlock_t> l;
    init(&*l, PTHREAD_RWLOCK_PREFER_READER_NP, PTHREAD_PROCESS_SHARED);
    test::between_processes<std::atomic<bool>> taken;
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        ::pthread_rwlock_wrlock(&*l);
        taken->store(true);
        ::usleep(a_while * 1000);
        ::pthread_rwlock_unlock(&*l);
        ::_exit(0);
    }
    while (!taken->load()) c.usleep(200);
    out("tryrdlock", [&] { return c.pthread_rwlock_tryrdlock(&*l); });
    out("rdlock", [&] { return c.pthread_rwlock_rdlock(&*l); });
    out("unlock", [&] { return c.pthread_rwlock_unlock(&*l); });
    out("wrlock", [&] { return c.pthread_rwlock_wrlock(&*l); });
    out("unlock", [&] { return c.pthread_rwlock_unlock(&*l); });
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) c.usleep(500);
    out.value("the child's end", status);
}

// Order.

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
            const timespec until = test::in_ms(CLOCK_REALTIME, 20);
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

// Kills, ends.

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
    const test::leaks_on_purpose leaks;
    rwlock lock;
    CHECK(pthread_rwlock_wrlock(&lock.l) == 0);
    std::atomic<int> got{0};
    std::thread{[&] {
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
