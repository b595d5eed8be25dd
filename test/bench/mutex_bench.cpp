// What a lock costs that nobody else wants, and what passes through one that two sides want all the time.
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <semaphore>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>

#include <weft/weft.hpp>

#include "bench.hpp"

namespace {

constexpr long pairs = 200'000;

// CPU ns of `lock` and `unlock` with an increment in between.
template <class Lock, class Unlock>
double alone(Lock lock, Unlock unlock) {
    long sum = 0;
    const double start = bench::cpu_ns();
    for (long i = 0; i < pairs; ++i) {
        lock();
        asm volatile("" : "+r"(sum));
        ++sum;
        unlock();
    }
    return (bench::cpu_ns() - start) / pairs;
}

template <class Mutex>
double alone() {
    Mutex lock;
    return alone([&] { lock.lock(); }, [&] { lock.unlock(); });
}

template <class Mutex>
double alone_shared() {
    Mutex lock;
    return alone([&] { lock.lock_shared(); }, [&] { lock.unlock_shared(); });
}

// What is guarded: three words of a line of their own.
struct guarded {
    alignas(64) std::array<long, 3> words{};
};

// A fixed time in which two sides pass through short sections, one in `yields_every` of which yields inside.
template <class Lock, class Unlock, class Yield>
class contest {
public:
    contest(long yields_every, Lock lock, Unlock unlock, Yield yield)
        : yields_every_{yields_every}, lock_{lock}, unlock_{unlock}, yield_{yield} {}

    // Runs in both sides; the first one that looks at the clock and finds the time over ends it for both.
    void side() {
        ++ready_;
        while (ready_ < 2) yield_();
        const auto end = std::chrono::steady_clock::now() + span;
        long passed = 0;
        while (!over_.load(std::memory_order_relaxed)) {
            for (int i = 0; i < 64; ++i) {
                lock_();
                for (long& word : data_.words) ++word;
                if (yields_every_ && ++passed % yields_every_ == 0) yield_();
                unlock_();
            }
            if (std::chrono::steady_clock::now() >= end) over_ = true;
        }
    }

    // Wall ns per section.
    template <class Run>
    double measure(Run run) {
        const double start = bench::wall_ns();
        run();
        const double ns = bench::wall_ns() - start;
        if (data_.words[0] != data_.words[2]) throw std::logic_error{"two were inside at once"};
        return ns / static_cast<double>(data_.words[0]);
    }

    double by_threads() {
        return measure([this] {
            std::thread other{[this] { side(); }};
            side();
            other.join();
        });
    }
    // One task in each of two hubs.
    double by_two_hubs() {
        return measure([this] {
            std::thread other{[this] { weft::spawn([this] { side(); }).join(); }};
            weft::spawn([this] { side(); }).join();
            other.join();
        });
    }
    double by_one_hub() {
        return measure([this] {
            auto a = weft::spawn([this] { side(); });
            auto b = weft::spawn([this] { side(); });
            a.join();
            b.join();
        });
    }

private:
    static constexpr std::chrono::milliseconds span{50};

    const long yields_every_;
    Lock lock_;
    Unlock unlock_;
    Yield yield_;
    guarded data_;
    std::atomic<int> ready_{0};
    std::atomic<bool> over_{false};
};

template <class Mutex>
auto contest_of(Mutex& lock, long yields_every) {
    constexpr bool of_weft = !std::is_same_v<Mutex, std::mutex>;
    const auto yield = [] {
        if constexpr (of_weft) weft::yield();
        else std::this_thread::yield();
    };
    return contest{yields_every, [&lock] { lock.lock(); }, [&lock] { lock.unlock(); }, yield};
}

// Semaphores of one permit, as locks.
struct permit {
    weft::semaphore gate{1};
    void lock() { gate.acquire(); }
    void unlock() { gate.release(); }
};
struct std_permit {
    std::binary_semaphore gate{1};
    void lock() { gate.acquire(); }
    void unlock() { gate.release(); }
};

void add_contested(bench::table& table, long every) {
    const std::string how = every ? ", yields 1 in " + std::to_string(every) : "";
    table.add_parallel("std::mutex, 2 threads" + how, [every] {
        std::mutex lock;
        return contest_of(lock, every).by_threads();
    }, true);
    table.add_parallel("mutex, 2 hubs" + how, [every] {
        weft::mutex lock;
        return contest_of(lock, every).by_two_hubs();
    });
    table.add_parallel("mutex, 2 tasks of a hub" + how, [every] {
        weft::mutex lock;
        return contest_of(lock, every).by_one_hub();
    });
    table.add_parallel("semaphore{1}, 2 hubs" + how, [every] {
        permit lock;
        return contest_of(lock, every).by_two_hubs();
    });
    table.add_parallel("semaphore{1}, 2 tasks of a hub" + how, [every] {
        permit lock;
        return contest_of(lock, every).by_one_hub();
    });
}

}  // namespace

int main(int argc, char** argv) {
    bench::table table;
    table.add("std::mutex", alone<std::mutex>, true);
    table.add("mutex", alone<weft::mutex>);
    table.add("std::binary_semaphore", alone<std_permit>);
    table.add("semaphore", alone<permit>);
    table.add("std::recursive_mutex", alone<std::recursive_mutex>);
    table.add("recursive_mutex", alone<weft::recursive_mutex>);
    table.add("std::shared_mutex, to write", alone<std::shared_mutex>);
    table.add("shared_mutex, to write", alone<weft::shared_mutex>);
    table.add("std::shared_mutex, to read", alone_shared<std::shared_mutex>);
    table.add("shared_mutex, to read", alone_shared<weft::shared_mutex>);
    add_contested(table, 0);
    add_contested(table, 64);
    return table.run(argc, argv, "section");
}
