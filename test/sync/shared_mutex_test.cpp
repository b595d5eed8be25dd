// What weft/shared_mutex.hpp promises.
#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include <weft/error.hpp>
#include <weft/shared_mutex.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;

namespace {

/// Tasks that write into `order` when they get in, and stay for a second.
struct visitors {
    weft::shared_mutex lock;
    std::string order;
    std::vector<weft::task<void>> tasks;

    void reader(char name) {
        tasks.push_back(weft::spawn([this, name] {
            const std::shared_lock guard{lock};
            order += name;
            weft::sleep_for(1s);
        }));
        test::settle();
    }
    void writer(char name) {
        tasks.push_back(weft::spawn([this, name] {
            const std::unique_lock guard{lock};
            order += name;
            weft::sleep_for(1s);
        }));
        test::settle();
    }
    void pass(weft::clock::duration time) {
        test::clock.advance(time);
        test::settle();
    }
};

}  // namespace

TASK_TEST("readers share it, a writer has it alone") {
    visitors v;
    v.reader('a');
    v.reader('b');
    CHECK(v.order == "ab");
    CHECK_FALSE(v.lock.try_lock());
    CHECK(v.lock.try_lock_shared());
    v.lock.unlock_shared();
    v.writer('W');
    CHECK(v.order == "ab");
    v.pass(1s);
    CHECK(v.order == "abW");
    CHECK_FALSE(v.lock.try_lock_shared());
    v.pass(1s);
    weft::joinall(v.tasks);
    CHECK(v.lock.try_lock());
    v.lock.unlock();
}

TASK_TEST("first come, first served: a waiting writer stops new readers, who come in together after it") {
    visitors v;
    v.reader('a');
    v.writer('V');
    v.reader('b');
    v.reader('c');
    v.writer('W');
    v.reader('d');
    CHECK(v.order == "a");
    CHECK_FALSE(v.lock.try_lock_shared());
    v.pass(1s);
    CHECK(v.order == "aV");
    v.pass(1s);
    CHECK(v.order == "aVbc");
    v.pass(1s);
    CHECK(v.order == "aVbcW");
    v.pass(1s);
    CHECK(v.order == "aVbcWd");
    v.pass(1s);
    weft::joinall(v.tasks);
}

TASK_TEST("a writer that gives up waiting lets the readers behind it in, at its deadline or killed") {
    for (const bool killed : {false, true}) {
        visitors v;
        v.lock.lock_shared();
        auto writer = weft::spawn([&] { return v.lock.try_lock_for(2s); });
        test::settle();
        v.reader('a');
        CHECK(v.order == "");
        if (killed) (void)writer.kill();
        else v.pass(2s);
        test::settle();
        CHECK(v.order == "a");
        if (!killed) CHECK_FALSE(writer.get());
        v.pass(1s);
        weft::joinall(v.tasks);
        v.lock.unlock_shared();
        CHECK(v.lock.try_lock());
        v.lock.unlock();
    }
}

TASK_TEST("a reader that gives up waiting has no share") {
    weft::shared_mutex lock;
    lock.lock();
    auto late = weft::spawn([&] { return lock.try_lock_shared_for(1s); });
    auto doomed = weft::spawn([&] { lock.lock_shared(); });
    test::settle();
    test::clock.advance(1s);
    CHECK_FALSE(late.get());
    doomed.kill();
    lock.unlock();
    CHECK_THROWS_AS(lock.unlock_shared(), weft::lock_misuse);
    CHECK(lock.try_lock_until(weft::deadline::past()));
    lock.unlock();
}

TASK_TEST("who is killed with the lock on its way hands it to the next, reader or writer") {
    for (const bool writes : {false, true}) {
        weft::shared_mutex lock;
        lock.lock();
        auto doomed = weft::spawn([&] { writes ? lock.lock() : lock.lock_shared(); });
        bool inside = false;
        auto next = weft::spawn([&] {
            const std::lock_guard guard{lock};
            inside = true;
        });
        test::settle();
        lock.unlock();
        doomed.kill();
        next.get();
        CHECK(inside);
        CHECK(lock.try_lock());
        lock.unlock();
    }
}

TASK_TEST("wrong unlocks and locks that would wait for themselves are refused, and nothing changes") {
    weft::shared_mutex lock;
    CHECK_THROWS_AS(lock.unlock(), weft::lock_misuse);
    CHECK_THROWS_AS(lock.unlock_shared(), weft::lock_misuse);
    lock.lock_shared();
    CHECK_THROWS_AS(lock.unlock(), weft::lock_misuse);
    weft::spawn([&] { lock.unlock_shared(); }).get();  // shares have no owners
    lock.lock();
    CHECK_THROWS_AS(lock.lock(), weft::lock_misuse);
    CHECK_THROWS_AS(lock.lock_shared(), weft::lock_misuse);
    CHECK_THROWS_AS(lock.unlock_shared(), weft::lock_misuse);
    weft::spawn([&] { CHECK_THROWS_AS(lock.unlock(), weft::lock_misuse); }).get();
    CHECK_FALSE(lock.try_lock_shared());
    lock.unlock();
    CHECK(lock.try_lock());
    lock.unlock();
}

TASK_TEST("a share: a deadline already past never parks, and the timed forms work as std::shared_lock wants them") {
    weft::shared_mutex lock;
    lock.lock();
    weft::spawn([&] {
        bool other_ran = false;
        auto other = weft::spawn([&] { other_ran = true; });
        CHECK_FALSE(lock.try_lock_shared_until(weft::deadline::past()));
        CHECK_FALSE(lock.try_lock_until(weft::deadline::past()));
        std::shared_lock guard{lock, std::defer_lock};
        CHECK_FALSE(guard.try_lock_until(weft::now() - 1s));
        CHECK_FALSE(guard.try_lock_for(-1s));
        CHECK_FALSE(other_ran);
        other.join();
    }).get();
    lock.unlock();
    const std::shared_lock timed{lock, 1s};
    CHECK(timed.owns_lock());
}

TASK_TEST("randomly timed-out and killed readers and writers leave a shared mutex free") {
    std::mt19937 random{11};
    weft::shared_mutex lock;
    int readers = 0, writers = 0, wrong = 0;
    std::vector<weft::task<void>> tasks;
    for (int step = 0; step < 3000; ++step) {
        switch (random() % 4) {
            case 0:
                tasks.push_back(weft::spawn([&, span = std::chrono::seconds{random() % 6}] {
                    if (!lock.try_lock_shared_for(span)) return;
                    const std::shared_lock guard{lock, std::adopt_lock};
                    ++readers;
                    wrong += writers;
                    try {
                        weft::sleep_for(span);
                    } catch (...) {
                        --readers;
                        throw;
                    }
                    --readers;
                }));
                break;
            case 1:
                tasks.push_back(weft::spawn([&, span = std::chrono::seconds{random() % 6}] {
                    if (!lock.try_lock_for(span)) return;
                    const std::lock_guard guard{lock, std::adopt_lock};
                    wrong += writers++ + readers;
                    try {
                        weft::sleep_for(span);
                    } catch (...) {
                        --writers;
                        throw;
                    }
                    --writers;
                }));
                break;
            case 2: test::clock.advance(1s); break;
            case 3:
                if (!tasks.empty()) (void)tasks[random() % tasks.size()].kill(weft::deadline::past());
                break;
        }
        if (random() % 3 == 0) test::settle();
    }
    for (int i = 0; i < 20; ++i) {
        test::clock.advance(1h);
        test::settle();
    }
    for (auto& t : tasks) t.join();
    CHECK(wrong == 0);
    CHECK(lock.try_lock());
    lock.unlock();
}

HUB_TEST("stress: readers and writers of several hubs and plain threads never meet") {
    constexpr int hubs = 3, tasks = 3;
    const int rounds = test::under_tsan || test::under_asan ? 60 : 200;
    weft::shared_mutex lock;
    long first = 0, second = 0;
    std::atomic<long> torn{0}, written{0};
    const auto work = [&](unsigned seed) {
        std::mt19937 random{seed};
        for (int i = 0; i < rounds; ++i) {
            if (random() % 3 == 0) {
                if (!lock.try_lock_for(std::chrono::microseconds{random() % 2000})) continue;
                const std::lock_guard guard{lock, std::adopt_lock};
                ++first;
                if (random() % 5 == 0) weft::yield();
                ++second;
                ++written;
            } else {
                const std::shared_lock guard{lock};
                const long seen = first;
                if (random() % 5 == 0) weft::yield();
                if (seen != second) ++torn;
            }
        }
    };
    std::vector<std::thread> threads;
    for (unsigned h = 0; h < hubs; ++h)
        threads.emplace_back([&, h] {
            std::vector<weft::task<void>> mine;
            for (unsigned t = 0; t < tasks; ++t) mine.push_back(weft::spawn(work, 10 * h + t));
            work(100 + h);
            for (int i = 0; i < 10; ++i) {
                const std::size_t victim = static_cast<std::size_t>(i) % mine.size();
                (void)mine[victim].kill();
                mine[victim] = weft::spawn(work, 1000u + static_cast<unsigned>(i));
                weft::yield();
            }
            weft::joinall(mine);
        });
    for (auto& t : threads) t.join();
    CHECK(torn == 0);
    CHECK(first == second);
    CHECK(lock.try_lock());
    lock.unlock();
}
