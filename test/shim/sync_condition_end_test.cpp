// Conditions in kills, cancelled threads, ends of threads and forks.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <weft/group.hpp>
#include <weft/timeout.hpp>

#include "shim/lock_objects.hpp"
#include "shim/lockers.hpp"
#include "support/forked.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::condition;
using test::mutex;

HUB_TEST("a kill or a timeout does not end the wait for a condition, and is thrown behind it with the mutex held") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        condition cond;
        mutex m{PTHREAD_MUTEX_ERRORCHECK};
        bool told = false, further = false, late = false;
        int unlocked = -1;
        auto killed = weft::spawn([&] {
            CHECK(c.pthread_mutex_lock(&m.m) == 0);
            while (!told) CHECK(c.pthread_cond_wait(&cond.c, &m.m) == 0);
            struct give_back {
                const calls& c;
                mutex& m;
                int& unlocked;
                ~give_back() { unlocked = c.pthread_mutex_unlock(&m.m); }
            } at_end{c, m, unlocked};
            weft::sleep_for(1h);
            further = true;
        });
        auto timed = weft::spawn([&] {
            CHECK(c.pthread_mutex_lock(&m.m) == 0);
            try {
                const weft::timeout limit{1ms};
                while (!told) CHECK(c.pthread_cond_wait(&cond.c, &m.m) == 0);
                CHECK(c.pthread_mutex_unlock(&m.m) == 0);
                weft::sleep_for(1h);
            } catch (const weft::timed_out&) {
                late = true;
            }
        });
        weft::yield();
        killed.kill(weft::deadline::past());
        weft::sleep_for(5ms);
        CHECK_FALSE(killed.ready());
        CHECK_FALSE(timed.ready());
        CHECK(c.pthread_mutex_lock(&m.m) == 0);
        told = true;
        CHECK(c.pthread_cond_broadcast(&cond.c) == 0);
        CHECK(c.pthread_mutex_unlock(&m.m) == 0);
        CHECK(killed.join(5s));
        CHECK(timed.join(5s));
        CHECK(unlocked == 0);
        CHECK_FALSE(further);
        CHECK(late);
    }
}

namespace {

struct cancelled_wait {
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    pthread_mutex_t m = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
    std::atomic<bool> waits{false};
    int unlocked = -1;  // what the cleanup handler has got

    static void clean_up(void* p) {
        auto& me = *static_cast<cancelled_wait*>(p);
        me.unlocked = pthread_mutex_unlock(&me.m);
    }
    static void* run(void* p) {
        auto& me = *static_cast<cancelled_wait*>(p);
        pthread_mutex_lock(&me.m);
        pthread_cleanup_push(clean_up, p);
        me.waits.store(true);
        for (;;) pthread_cond_wait(&me.cond, &me.m);
        pthread_cleanup_pop(0);
        return nullptr;
    }
};

}  // namespace

HUB_TEST("a thread that is cancelled in a wait runs its handlers with the mutex held") {
    const test::patched now;
    cancelled_wait w;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, cancelled_wait::run, &w) == 0);
    while (!w.waits.load()) weft::sleep_for(200us);
    CHECK(pthread_mutex_lock(&w.m) == 0);
    CHECK(pthread_cancel(thread) == 0);
    weft::sleep_for(5ms);
    CHECK(w.unlocked == -1);
    CHECK(pthread_mutex_unlock(&w.m) == 0);
    void* result = nullptr;
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED);
    CHECK(w.unlocked == 0);
    CHECK(pthread_mutex_trylock(&w.m) == 0);
    CHECK(pthread_mutex_unlock(&w.m) == 0);
}

HUB_TEST("the signal for a thread that is cancelled as it comes goes to the next") {
    const test::patched now;
    for (int round = 0; round < 200; ++round) {
        cancelled_wait w;
        pthread_t thread;
        REQUIRE(pthread_create(&thread, nullptr, cancelled_wait::run, &w) == 0);
        while (!w.waits.load()) weft::sleep_for(100us);
        bool woken = false;
        auto task = weft::spawn([&] {
            pthread_mutex_lock(&w.m);
            pthread_cond_wait(&w.cond, &w.m);
            woken = true;
            pthread_mutex_unlock(&w.m);
        });
        weft::sleep_for(50us);
        pthread_cond_signal(&w.cond);  // the thread's, which stands first
        pthread_cancel(thread);
        void* result = nullptr;
        pthread_join(thread, &result);
        // It may have taken the signal, and waited again, before it was cancelled.
        if (!task.join(weft::deadline::after(2ms))) pthread_cond_signal(&w.cond);
        CHECK(task.join(5s));
        CHECK(woken);
    }
}

// Ends.

HUB_TEST("a thread that ends with tasks in a condition's line leaves nobody in it") {
    const test::patched now;
    std::mutex m;
    std::condition_variable cond;
    bool told = false;
    int left = 0;
    std::thread{[&] {
        const test::leaks_on_purpose leaks;
        weft::spawn([&] {
            std::unique_lock held{m};
            cond.wait(held);
            ++left;
        });
        weft::spawn([&] {
            std::unique_lock held{m};
            cond.wait(held, [&] { return told; });  // for ever
        });
        weft::yield();
    }}.join();
    CHECK(left == 1);
    auto task = weft::spawn([&] {
        std::unique_lock held{m};
        cond.wait(held, [&] { return told; });
    });
    weft::yield();
    {
        const std::lock_guard held{m};
        told = true;
    }
    cond.notify_one();
    CHECK(task.join(5s));
}

HUB_TEST("a forked child of a process whose tasks wait for conditions can wait for them") {
    const test::patched now;
    std::mutex m;
    std::condition_variable cond;
    bool told = false;
    weft::group tasks;
    for (int i = 0; i < 3; ++i) {
        tasks.spawn([&] {
            std::unique_lock held{m};
            cond.wait(held, [&] { return told; });
        });
    }
    weft::yield();
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        bool mine = false;
        auto task = weft::spawn([&] {
            std::unique_lock held{m};
            cond.wait(held, [&] { return mine; });
        });
        weft::yield();
        {
            const std::lock_guard held{m};
            mine = true;
            cond.notify_one();
        }
        ::_exit(task.join(5s) ? 7 : 1);
    }
    CHECK(test::exited_with(test::end_of(child), 7));
    {
        const std::lock_guard held{m};
        told = true;
    }
    cond.notify_all();
    tasks.join();
}
