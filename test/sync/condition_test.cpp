// What weft/condition.hpp promises.
#include <atomic>
#include <mutex>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <weft/condition.hpp>
#include <weft/error.hpp>
#include <weft/mutex.hpp>
#include <weft/recursive_mutex.hpp>
#include <weft/shared_mutex.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;

namespace {

/// Tasks that wait and then write their names.
struct room {
    weft::mutex lock;
    weft::condition changed;
    std::string woken;

    weft::task<bool> enter(char name, weft::deadline by = {}) {
        auto task = weft::spawn([this, name, by] {
            std::unique_lock guard{lock};
            const bool notified = changed.wait_until(guard, by);
            if (!guard.owns_lock() || !lock.locked() || lock.try_lock()) woken += '!';
            woken += notified ? name : '-';
            return notified;
        });
        test::settle();
        return task;
    }
    bool free() {
        if (!lock.try_lock()) return false;
        lock.unlock();
        return true;
    }
};

}  // namespace

TASK_TEST("notify() wakes as many as it says, those who have waited longest first, each with the lock held") {
    room r;
    std::vector<weft::task<bool>> tasks;
    for (const char name : {'a', 'b', 'c', 'd', 'e', 'f'}) tasks.push_back(r.enter(name));
    CHECK(r.free());
    r.changed.notify_one();
    CHECK(r.woken == "");  // notify() does not switch
    test::settle();
    CHECK(r.woken == "a");
    r.changed.notify(2);
    test::settle();
    CHECK(r.woken == "abc");
    r.changed.notify_all();
    for (auto& t : tasks) CHECK(t.get());
    CHECK(r.woken == "abcdef");
}

TASK_TEST("a notification that nobody waits for is not kept") {
    room r;
    r.changed.notify_all();
    auto late = r.enter('a', 1s);
    test::clock.advance(1s);
    CHECK_FALSE(late.get());
}

TASK_TEST("a wait that times out holds the lock again and takes no notification") {
    room r;
    auto late = r.enter('a', 1s);
    auto patient = r.enter('b');
    test::clock.advance(1s);
    test::settle();
    r.changed.notify_one();
    CHECK_FALSE(late.get());
    CHECK(patient.get());
    CHECK(r.woken == "-b");
}

TASK_TEST("who was notified before its deadline was notified, however long the lock then takes") {
    room r;
    auto waiter = r.enter('a', 1s);
    r.lock.lock();
    r.changed.notify_one();
    test::settle();
    test::clock.advance(1h);
    test::settle();
    r.lock.unlock();
    CHECK(waiter.get());
}

TASK_TEST("a deadline already past never parks and never releases the lock") {
    room r;
    std::unique_lock guard{r.lock};
    bool got_in = false;
    auto other = weft::spawn([&] {
        const std::lock_guard inside{r.lock};
        got_in = true;
    });
    test::settle();
    CHECK_FALSE(r.changed.wait_until(guard, weft::deadline::past()));
    CHECK_FALSE(r.changed.wait_for(guard, -1s));
    CHECK_FALSE(got_in);
    guard.unlock();
    other.get();
}

TASK_TEST("waiting for a predicate: it is asked with the lock held, and its last word is the answer") {
    room r;
    int value = 0;
    int asked = 0;
    auto waiter = weft::spawn([&] {
        std::unique_lock guard{r.lock};
        r.changed.wait(guard, [&] { return ++asked, value == 2; });
        return r.changed.wait_for(guard, 1s, [&] { return value == 3; });
    });
    test::settle();
    for (value = 1; value < 3; ++value) {
        r.changed.notify_all();
        test::settle();
    }
    CHECK(asked == 3);
    value = 2;
    test::clock.advance(1s);
    CHECK_FALSE(waiter.get());
    std::unique_lock guard{r.lock};
    CHECK(r.changed.wait_until(guard, weft::deadline::past(), [] { return true; }));
}

TASK_TEST("a killed waiter leaves with the lock held, and takes no notification") {
    room r;
    bool held = false;
    auto doomed = weft::spawn([&] {
        std::unique_lock guard{r.lock};
        try {
            r.changed.wait(guard);
        } catch (const weft::fiber_exit&) {
            held = guard.owns_lock() && r.lock.locked();
            throw;
        }
    });
    test::settle();
    auto other = r.enter('b');
    r.lock.lock();
    CHECK_FALSE(doomed.kill(weft::deadline::past()));
    test::settle();
    CHECK_FALSE(doomed.ready());  // the kill does not shorten the wait for the lock
    r.lock.unlock();
    doomed.join();
    CHECK(held);
    r.changed.notify_one();
    CHECK(other.get());
    CHECK(r.free());
}

TASK_TEST("a waiter that is killed when it has been notified hands the notification on") {
    room r;
    auto doomed = r.enter('a');
    auto next = r.enter('b');
    r.changed.notify_one();
    (void)doomed.kill();
    CHECK(next.get());
    CHECK(r.woken == "b");
    CHECK(r.free());
}

TASK_TEST("so does one that is killed while it waits for the lock") {
    room r;
    bool held = false;
    auto doomed = weft::spawn([&] {
        std::unique_lock guard{r.lock};
        try {
            r.changed.wait(guard);
        } catch (const weft::fiber_exit&) {
            held = guard.owns_lock() && r.lock.locked();
            throw;
        }
    });
    test::settle();
    auto next = r.enter('b');
    r.lock.lock();
    r.changed.notify_one();
    test::settle();  // doomed wants the lock now
    (void)doomed.kill(weft::deadline::past());
    test::settle();
    CHECK_FALSE(doomed.ready());
    r.lock.unlock();
    doomed.join();
    CHECK(held);
    CHECK(next.get());
    CHECK(r.free());
}

TASK_TEST("a task that is to die does not wait, and keeps the lock") {
    room r;
    bool held = false;
    auto doomed = weft::spawn([&] {
        std::unique_lock guard{r.lock};
        try {
            weft::sleep_for(1h);
        } catch (const weft::fiber_exit&) {
        }
        try {
            r.changed.wait(guard);
        } catch (const weft::fiber_exit&) {
            held = guard.owns_lock();
            throw;
        }
    });
    test::settle();
    (void)doomed.kill();
    CHECK(held);
    CHECK(r.free());
}

TASK_TEST("if the lock cannot be released, nobody has waited") {
    room r;
    std::unique_lock not_held{r.lock, std::defer_lock};
    CHECK_THROWS_AS(r.changed.wait(not_held), std::system_error);
    auto waiter = r.enter('a');
    r.changed.notify_one();
    CHECK(waiter.get());
}

TASK_TEST("a notification in the very unlock() is not lost, and goes on if that unlock() fails") {
    struct nosy_lock {
        weft::condition& changed;
        bool fails;
        void lock() {}
        void unlock() {
            changed.notify_one();
            weft::yield();
            if (fails) throw 7;
        }
    };
    weft::condition changed;
    nosy_lock good{changed, false};
    CHECK(changed.wait_for(good, 1s));

    weft::mutex lock;
    weft::task<bool> next;
    struct late_lock {
        weft::condition& changed;
        weft::task<bool>& next;
        weft::mutex& lock_;
        void lock() {}
        void unlock() {
            next = weft::spawn([this] {
                std::unique_lock guard{lock_};
                return changed.wait_for(guard, 1s);
            });
            test::settle();
            changed.notify_one();
            throw 7;
        }
    } bad{changed, next, lock};
    CHECK_THROWS_AS(changed.wait(bad), int);
    CHECK(next.get());
}

TASK_TEST("it works with a recursive mutex, of which it releases one level, and with a shared one") {
    weft::condition changed;
    weft::recursive_mutex lock;
    lock.lock();
    lock.lock();
    CHECK_FALSE(changed.wait_until(lock, weft::now() + 0s));
    auto barred = weft::spawn([&] { return lock.try_lock(); });
    CHECK_FALSE(barred.get());
    lock.unlock();
    auto opener = weft::spawn([&] {
        const std::lock_guard guard{lock};
        changed.notify_one();
    });
    CHECK(changed.wait_for(lock, 1s));
    CHECK(lock.depth() == 1);
    lock.unlock();
    opener.get();

    weft::shared_mutex shared;
    std::unique_lock writer{shared};
    auto notifier = weft::spawn([&] {
        const std::lock_guard guard{shared};
        changed.notify_one();
    });
    CHECK(changed.wait_for(writer, 1s));
    notifier.get();
}

HUB_TEST("a plain thread with a std::mutex waits for a task and is notified") {
    std::mutex lock;
    weft::condition changed;
    int turn = 0;
    std::thread other{[&] {
        for (int i = 0; i < 200; ++i) {
            std::unique_lock guard{lock};
            changed.wait(guard, [&] { return turn % 2 == 1; });
            ++turn;
            changed.notify_one();
        }
    }};
    for (int i = 0; i < 200; ++i) {
        std::unique_lock guard{lock};
        ++turn;
        changed.notify_one();
        changed.wait(guard, [&] { return turn % 2 == 0; });
    }
    other.join();
    CHECK(turn == 400);
}

HUB_TEST("stress: with kills and time-outs, in several hubs and plain threads, each ticket finds its taker") {
    constexpr int hubs = 3, tasks = 4;
    const int tickets_each = test::under_tsan || test::under_asan ? 100 : 400;
    weft::mutex lock;
    weft::condition more;
    int tickets = 0, given = 0, taken = 0;
    bool closed = false;
    const auto take = [&](unsigned seed) {
        std::mt19937 random{seed};
        for (;;) {
            std::unique_lock guard{lock};
            while (tickets == 0) {
                if (closed) return;
                if (random() % 3 == 0) (void)more.wait_for(guard, std::chrono::microseconds{random() % 500});
                else more.wait(guard);
            }
            --tickets;
            ++taken;
        }
    };
    std::vector<std::thread> threads;
    std::atomic<int> givers{hubs};
    for (unsigned h = 0; h < hubs; ++h)
        threads.emplace_back([&, h] {
            std::mt19937 random{h};
            std::vector<weft::task<void>> mine;
            for (unsigned t = 0; t < tasks; ++t) mine.push_back(weft::spawn(take, 10 * h + t));
            for (int i = 0; i < tickets_each; ++i) {
                {
                    const std::lock_guard guard{lock};
                    ++tickets;
                    ++given;
                    more.notify_one();
                }
                if (random() % 4 == 0) weft::yield();
                if (random() % 8 == 0) {
                    const std::size_t victim = random() % mine.size();
                    (void)mine[victim].kill();
                    mine[victim] = weft::spawn(take, 1000 + static_cast<unsigned>(i));
                }
            }
            if (--givers == 0) {
                const std::lock_guard guard{lock};
                closed = true;
                more.notify_all();
            }
            weft::joinall(mine);
        });
    threads.emplace_back(take, 99u);
    for (auto& t : threads) t.join();
    CHECK(given == hubs * tickets_each);
    CHECK(taken == given);
    CHECK_FALSE(lock.locked());
}
