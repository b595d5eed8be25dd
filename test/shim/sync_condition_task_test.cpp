// Conditions among tasks and threads: order, the standard library's, a queue, before and after patching.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <thread>
#include <vector>

#include <weft/group.hpp>

#include "shim/lock_objects.hpp"
#include "shim/lockers.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::condition;
using test::mutex;

HUB_TEST("signals wake tasks and threads in the order in which they have come") {
    const test::patched now;
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    std::mutex m;
    std::vector<int> order;
    std::atomic<int> lined_up{0};
    const auto wait = [&](int number) {
        const std::lock_guard held{m};
        lined_up.fetch_add(1);
        pthread_cond_wait(&cond, m.native_handle());
        order.push_back(number);
    };
    std::vector<std::thread> threads;
    weft::group tasks;
    for (int i = 0; i < 6; ++i) {
        if (i % 2) threads.emplace_back(wait, i);
        else tasks.spawn(wait, i);
        while (lined_up.load() <= i) weft::sleep_for(200us);
        const std::lock_guard in_line{m};
    }
    for (std::size_t i = 0; i < 6; ++i) {
        CHECK(pthread_cond_signal(&cond) == 0);
        for (;;) {
            weft::sleep_for(200us);
            const std::lock_guard looks{m};
            if (order.size() > i) break;
        }
        const std::lock_guard looks{m};
        CHECK(order.size() == i + 1);
        CHECK(order.back() == static_cast<int>(i));
    }
    tasks.join();
    for (auto& t : threads) t.join();
}

HUB_TEST("who waits again and again for a time that has passed lets the others run") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        condition cond;
        mutex m;
        bool done = false;
        auto other = weft::spawn([&] { done = true; });
        CHECK(c.pthread_mutex_lock(&m.m) == 0);
        int tries = 0;
        while (!done && tries < 100'000) {
            CHECK(c.pthread_cond_timedwait(&cond.c, &m.m, &test::long_ago) == ETIMEDOUT);
            ++tries;
        }
        CHECK(done);
        CHECK(c.pthread_mutex_unlock(&m.m) == 0);
        other.get();
    }
}

// The standard library's.

HUB_TEST("std::condition_variable parks tasks, and wakes them from tasks and from threads") {
    const test::patched now;
    std::mutex m;
    std::condition_variable cond;
    int turn = 0;
    const auto play = [&](int me, int rounds) {
        for (int i = 0; i < rounds; ++i) {
            std::unique_lock held{m};
            cond.wait(held, [&] { return turn % 3 == me; });
            ++turn;
            cond.notify_all();
        }
    };
    auto first = weft::spawn([&] { play(0, 200); });
    auto second = weft::spawn([&] { play(1, 200); });
    std::thread third{[&] { play(2, 200); }};
    first.get();
    second.get();
    third.join();
    CHECK(turn == 600);
    std::unique_lock held{m};
    const auto start = weft::clock::now();
    CHECK(cond.wait_for(held, 30ms) == std::cv_status::timeout);
    CHECK(cond.wait_until(held, std::chrono::system_clock::now() + 30ms) == std::cv_status::timeout);
    CHECK_FALSE(cond.wait_for(held, 30ms, [] { return false; }));
    CHECK(weft::clock::now() - start >= 90ms);
    CHECK(held.owns_lock());
}

HUB_TEST("std::condition_variable_any waits with any lock of tasks") {
    const test::patched now;
    std::shared_mutex m;
    std::condition_variable_any cond;
    bool told = false;
    int woken = 0;
    weft::group tasks;
    for (int i = 0; i < 4; ++i) {
        tasks.spawn([&] {
            std::shared_lock held{m};
            cond.wait(held, [&] { return told; });
            ++woken;
        });
    }
    tasks.spawn([&] {
        std::unique_lock held{m};
        CHECK_FALSE(cond.wait_for(held, 5ms, [&] { return told; }));
        told = true;
        cond.notify_all();
    });
    tasks.join();
    CHECK(woken == 4);
}

// Every item once.

namespace {

class bounded_queue {
public:
    void put(int item) {
        std::unique_lock held{m_};
        room_.wait(held, [&] { return items_.size() < 4; });
        items_.push_back(item);
        some_.notify_one();
    }
    int take() {
        std::unique_lock held{m_};
        some_.wait(held, [&] { return !items_.empty(); });
        const int item = items_.front();
        items_.pop_front();
        room_.notify_one();
        return item;
    }

private:
    std::mutex m_;
    std::condition_variable room_, some_;
    std::deque<int> items_;
};

}  // namespace

HUB_TEST("a bounded queue between tasks of several hubs and plain threads delivers every item once") {
    const test::patched now;
    constexpr int each = 1500, sides = 6;  // of either side: two plain threads, two tasks here, two of another hub
    bounded_queue q;
    std::vector<std::atomic<int>> seen(each * sides);
    const auto produce = [&](int who) {
        for (int i = 0; i < each; ++i) q.put(who * each + i);
    };
    const auto consume = [&] {
        for (int i = 0; i < each; ++i) seen[static_cast<std::size_t>(q.take())].fetch_add(1);
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&, i] { produce(i); });
        threads.emplace_back(consume);
    }
    threads.emplace_back([&] {
        weft::group g;
        for (int i = 2; i < 4; ++i) {
            g.spawn([&, i] { produce(i); });
            g.spawn(consume);
        }
        g.join();
    });
    weft::group here;
    for (int i = 4; i < 6; ++i) {
        here.spawn([&, i] { produce(i); });
        here.spawn(consume);
    }
    here.join();
    for (auto& t : threads) t.join();
    bool each_once = true;
    for (const auto& count : seen) each_once = each_once && count.load() == 1;
    CHECK(each_once);
}

// Before and after patching.

HUB_TEST("who has waited since before patching is woken by signals after it, as are tasks beside him") {
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    std::atomic<int> waiting{0}, woken{0};
    int told = 0;
    const auto wait = [&] {
        pthread_mutex_lock(&m);
        waiting.fetch_add(1);
        while (told == 0) pthread_cond_wait(&cond, &m);
        --told;
        pthread_mutex_unlock(&m);
        woken.fetch_add(1);
    };
    std::thread native{wait};
    while (waiting.load() != 1) weft::sleep_for(200us);
    weft::sleep_for(2ms);
    const test::patched now;
    auto task = weft::spawn(wait);
    weft::sleep_for(1ms);
    CHECK(waiting.load() == 2);
    for (int i = 0; i < 2; ++i) {
        pthread_mutex_lock(&m);
        ++told;
        CHECK(pthread_cond_signal(&cond) == 0);
        pthread_mutex_unlock(&m);
        const auto end = weft::clock::now() + 5s;
        while (woken.load() != i + 1 && weft::clock::now() < end) weft::sleep_for(200us);
        CHECK(woken.load() == i + 1);
    }
    task.get();
    native.join();
    std::atomic<int> more{0};
    std::thread other{[&] {
        pthread_mutex_lock(&m);
        more.fetch_add(1);
        pthread_cond_wait(&cond, &m);
        pthread_mutex_unlock(&m);
        more.fetch_add(1);
    }};
    while (more.load() != 1) weft::sleep_for(200us);
    while (more.load() != 2) {
        pthread_mutex_lock(&m);
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&m);
        weft::sleep_for(200us);
    }
    other.join();
}

HUB_TEST("tasks that wait when everything is unpatched are woken") {
    std::mutex m;
    std::condition_variable cond;
    std::optional<test::patched> now;
    now.emplace();
    int told = 0, woken = 0;
    weft::group tasks;
    for (int i = 0; i < 4; ++i) {
        tasks.spawn([&] {
            std::unique_lock held{m};
            cond.wait(held, [&] { return told > 0; });
            --told;
            ++woken;
        });
    }
    weft::sleep_for(1ms);
    now.reset();
    std::thread{[&] {
        const std::lock_guard held{m};
        told = 1;
        cond.notify_one();
    }}.join();
    weft::sleep_for(2ms);
    CHECK(woken == 1);
    {
        const std::lock_guard held{m};
        told = 3;
        cond.notify_all();
    }
    tasks.join();
    CHECK(woken == 4);
}

HUB_TEST("a thread that waits after unpatching leaves its mutex to the task in line") {
    std::mutex m;
    std::condition_variable cond;
    std::optional<test::patched> now;
    now.emplace();
    bool told = false;
    std::atomic<int> step{0};
    std::thread plain{[&] {
        std::unique_lock held{m};
        step.store(1);
        while (step.load() != 2) std::this_thread::sleep_for(200us);
        cond.wait(held, [&] { return told; });
    }};
    while (step.load() != 1) weft::sleep_for(200us);
    auto task = weft::spawn([&] {
        std::unique_lock held{m};
        cond.wait_for(held, 1ms);
        told = true;
        cond.notify_one();
    });
    weft::sleep_for(1ms);
    now.reset();
    step.store(2);
    CHECK(task.join(5s));
    plain.join();
}
