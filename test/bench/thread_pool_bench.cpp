// What it costs to have a function called on another thread, and to wait for it.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include <weft/weft.hpp>

#include "bench.hpp"

namespace {

using bench::cpu_ns;

constexpr long in_flight = 100;
constexpr long round_trips = 10'000;

// CPU ns per operation of `once`, which does `operations` of them, after one call that is not measured.
template <class F>
double measure(long times, long operations, F once) {
    once();
    const double start = cpu_ns();
    for (long i = 0; i < times; ++i) {
        once();
    }
    return (cpu_ns() - start) / static_cast<double>(times * operations);
}

void check(long ran, long wanted) {
    if (ran != wanted) {
        throw std::logic_error{"a job has not run, or ran twice"};
    }
}

/// The least that a hand-over takes: one thread, one slot, a mutex and a condition variable for each side.
class bare_thread {
public:
    ~bare_thread() {
        {
            const std::lock_guard guard{lock_};
            stop_ = true;
        }
        asked_.notify_one();
        thread_.join();
    }

    void call(void (*function)(void*), void* argument) {
        std::unique_lock guard{lock_};
        function_ = function;
        argument_ = argument;
        asked_.notify_one();
        done_.wait(guard, [this] { return !function_; });
    }

private:
    void serve() {
        std::unique_lock guard{lock_};
        for (;;) {
            asked_.wait(guard, [this] { return function_ || stop_; });
            if (stop_) {
                return;
            }
            function_(argument_);
            function_ = nullptr;
            done_.notify_one();
        }
    }

    std::mutex lock_;
    std::condition_variable asked_, done_;
    void (*function_)(void*) = nullptr;
    void* argument_ = nullptr;
    bool stop_ = false;
    std::thread thread_{[this] { serve(); }};
};

/// The least pool: a vector of functions under a mutex, a counter of those done.
class bare_pool {
public:
    ~bare_pool() {
        {
            const std::lock_guard guard{lock_};
            stop_ = true;
        }
        asked_.notify_one();
        thread_.join();
    }

    void spawn(std::function<void()> job) {
        {
            const std::lock_guard guard{lock_};
            jobs_.push_back(std::move(job));
            ++unfinished_;
        }
        asked_.notify_one();
    }

    void join() {
        std::unique_lock guard{lock_};
        done_.wait(guard, [this] { return unfinished_ == 0; });
    }

private:
    void serve() {
        std::unique_lock guard{lock_};
        std::vector<std::function<void()>> taken;
        for (;;) {
            asked_.wait(guard, [this] { return !jobs_.empty() || stop_; });
            if (stop_) {
                return;
            }
            taken.swap(jobs_);
            guard.unlock();
            for (auto& job : taken) {
                job();
            }
            guard.lock();
            unfinished_ -= static_cast<long>(taken.size());
            taken.clear();
            if (unfinished_ == 0) {
                done_.notify_all();
            }
        }
    }

    std::mutex lock_;
    std::condition_variable asked_, done_;
    std::vector<std::function<void()>> jobs_;
    long unfinished_ = 0;
    bool stop_ = false;
    std::thread thread_{[this] { serve(); }};
};

double bare_round_trip() {
    static bare_thread other;
    long ran = 0;
    const double ns = measure(round_trips, 1, [&] {
        other.call([](void* count) { ++*static_cast<long*>(count); }, &ran);
    });
    check(ran, round_trips + 1);
    return ns;
}

double offload_round_trip() {
    long ran = 0;
    const double ns = measure(round_trips, 1, [&] { weft::offload([&] { ++ran; }); });
    check(ran, round_trips + 1);
    return ns;
}

weft::thread_pool& pool_of_one() {
    static weft::thread_pool pool{1};
    return pool;
}

double apply_round_trip() {
    long ran = 0;
    const double ns = measure(round_trips, 1, [&] { pool_of_one().apply([&] { ++ran; }); });
    check(ran, round_trips + 1);
    return ns;
}

double bare_many() {
    static bare_pool other;
    long ran = 0;
    const double ns = measure(100, in_flight, [&] {
        for (long i = 0; i < in_flight; ++i) {
            other.spawn([&ran] { ++ran; });
        }
        other.join();
    });
    check(ran, 101 * in_flight);
    return ns;
}

double spawn_many() {
    long ran = 0;
    std::vector<weft::future<void>> outcomes;
    const double ns = measure(100, in_flight, [&] {
        for (long i = 0; i < in_flight; ++i) {
            outcomes.push_back(pool_of_one().spawn([&ran] { ++ran; }));
        }
        for (const auto& each : outcomes) {
            each.get();
        }
        outcomes.clear();
    });
    check(ran, 101 * in_flight);
    return ns;
}

double offload_many() {
    weft::set_offload_limit(1);
    long ran = 0;
    std::vector<weft::task<void>> tasks;
    const double ns = measure(100, in_flight, [&] {
        for (long i = 0; i < in_flight; ++i) {
            tasks.push_back(weft::spawn([&ran] { weft::offload([&ran] { ++ran; }); }));
        }
        weft::joinall(tasks);
        tasks.clear();
    });
    check(ran, 101 * in_flight);
    return ns;
}

}  // namespace

int main(int argc, char** argv) {
    bench::table table;
    table.add("mutex and condition variable, one by one", bare_round_trip, true);
    table.add("offload, one by one", offload_round_trip);
    table.add("thread_pool::apply, one by one", apply_round_trip);
    table.add("mutex and condition variable, 100 at once", bare_many, true);
    table.add("thread_pool::spawn, get, 100 at once", spawn_many);
    table.add("spawn, offload, joinall, 100 at once", offload_many);
    return table.run(argc, argv, "round trip");
}
