// Locks and permits under everything at once: nobody is kept out, and nothing is lost.
#include <atomic>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include <weft/mutex.hpp>
#include <weft/semaphore.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;

HUB_TEST("a thread that locks and unlocks without a pause does not keep another one out") {
    weft::mutex lock;
    std::atomic<bool> stop{false};
    std::thread hog{[&] {
        while (!stop.load(std::memory_order_relaxed)) {
            const std::lock_guard guard{lock};
        }
    }};
    const int times = test::under_tsan ? 20 : 100;
    for (int i = 0; i < times; ++i) {
        lock.lock();
        weft::yield();
        lock.unlock();
        weft::sleep_for(10us);
    }
    stop = true;
    hog.join();
    CHECK_FALSE(lock.locked());
}

HUB_TEST("stress: kills, time-outs, several hubs and plain threads leave every lock free and every permit in place") {
    constexpr int hubs = 3, tasks = 4, permits = 2;
    const int rounds = test::under_tsan || test::under_asan ? 150 : 600;
    weft::mutex lock;
    weft::semaphore gate{permits};
    long guarded = 0;
    std::atomic<long> entered{0};
    std::atomic<int> holders{0}, too_many{0};
    const auto work = [&](unsigned seed) {
        std::mt19937 random{seed};
        for (int i = 0; i < rounds; ++i) {
            if (random() % 2) {
                std::unique_lock guard{lock, std::defer_lock};
                if (random() % 4 == 0) {
                    if (!guard.try_lock_for(std::chrono::microseconds{random() % 300})) continue;
                } else {
                    guard.lock();
                }
                const long seen = guarded;
                if (random() % 8 == 0) weft::yield();
                guarded = seen + 1;
                ++entered;
            } else {
                if (!gate.try_acquire_until(std::chrono::microseconds{random() % 2000})) continue;
                struct giver {
                    weft::semaphore& gate;
                    std::atomic<int>& holders;
                    ~giver() {
                        --holders;
                        gate.release();
                    }
                } guard{gate, holders};
                if (++holders > permits) ++too_many;
                if (random() % 8 == 0) weft::sleep_for(std::chrono::microseconds{random() % 50});
            }
        }
    };
    std::vector<std::thread> threads;
    for (unsigned h = 0; h < hubs; ++h)
        threads.emplace_back([&, h] {
            std::mt19937 random{h};
            std::vector<weft::task<void>> mine;
            for (unsigned t = 0; t < tasks; ++t) mine.push_back(weft::spawn(work, 10 * h + t));
            work(100 + h);  // as a thread without tasks would, with main fiber and hub
            for (int i = 0; i < rounds; ++i) {
                const std::size_t victim = random() % mine.size();
                if (random() % 16 == 0) {
                    (void)mine[victim].kill();
                    mine[victim] = weft::spawn(work, 1000 + h + static_cast<unsigned>(i));
                }
                weft::yield();
            }
            weft::joinall(mine);
        });
    for (auto& t : threads) t.join();
    CHECK(guarded == entered);
    CHECK(too_many == 0);
    CHECK(holders == 0);
    CHECK_FALSE(lock.locked());
    CHECK(gate.available() == permits);
}
