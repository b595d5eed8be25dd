// What it costs to pass an item from one task to another.
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

#if WEFT_BENCH_BOOST_FIBER
#include <boost/fiber/buffered_channel.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/unbuffered_channel.hpp>
#endif

#include <weft/weft.hpp>

#include "bench.hpp"

namespace {

using bench::cpu_ns;

constexpr long items = 200'000;

/// CPU ns for each of the `count` items 0, 1, ... that `run` passes on; it returns their sum.
template <class Run>
double measure(long count, Run run) {
    const double start = cpu_ns();
    const long sum = run(count);
    const double ns = (cpu_ns() - start) / static_cast<double>(count);
    if (sum != count * (count - 1) / 2) throw std::logic_error{"an item was lost"};
    return ns;
}

/// The textbook's, for threads.
class thread_queue {
public:
    explicit thread_queue(std::size_t capacity) : capacity_{capacity} {}

    void put(long item) {
        std::unique_lock lock{mutex_};
        room_.wait(lock, [&] { return items_.size() < capacity_; });
        items_.push_back(item);
        lock.unlock();
        item_.notify_one();
    }
    long get() {
        std::unique_lock lock{mutex_};
        item_.wait(lock, [&] { return !items_.empty(); });
        const long item = items_.front();
        items_.pop_front();
        lock.unlock();
        room_.notify_one();
        return item;
    }

private:
    const std::size_t capacity_;
    std::mutex mutex_;
    std::condition_variable room_, item_;
    std::deque<long> items_;
};

double threads(std::size_t capacity, long count) {
    return measure(count, [&](long n) {
        thread_queue q{capacity};
        std::thread producer{[&] {
            for (long i = 0; i < n; ++i) q.put(i);
        }};
        long sum = 0;
        for (long i = 0; i < n; ++i) sum += q.get();
        producer.join();
        return sum;
    });
}

#if WEFT_BENCH_BOOST_FIBER
template <class Channel, class... Args>
double boost_fibers(Args... args) {
    return measure(items, [&](long n) {
        Channel c{args...};
        boost::fibers::fiber producer{[&] {
            for (long i = 0; i < n; ++i) c.push(i);
            c.close();
        }};
        long sum = 0;
        boost::fibers::fiber consumer{[&] {
            for (long item = 0; c.pop(item) == boost::fibers::channel_op_status::success;) sum += item;
        }};
        producer.join();
        consumer.join();
        return sum;
    });
}
#endif

template <class Queue>
long pass(Queue& q, long n) {
    auto producer = weft::spawn([&q, n] {
        for (long i = 0; i < n; ++i) q.put(i);
        q.close();
    });
    auto consumer = weft::spawn([&q] {
        long sum = 0;
        while (const auto item = q.get()) sum += *item;
        return sum;
    });
    producer.get();
    return consumer.get();
}

template <class Queue, class... Args>
double tasks(Args... args) {
    return measure(items, [&](long n) {
        Queue q{args...};
        return pass(q, n);
    });
}

/// Nobody waits: one task puts and gets.
template <class Queue>
double alone() {
    return measure(items, [](long n) {
        Queue q{128};
        long sum = 0;
        for (long i = 0; i < n; ++i) {
            q.put(i);
            sum += *q.get();
        }
        return sum;
    });
}

double unbounded_filled_then_drained() {
    return measure(items, [](long n) {
        weft::queue<long> q{weft::unbounded};
        for (long i = 0; i < n; ++i) q.put(i);
        long sum = 0;
        while (const auto item = q.try_get()) sum += *item;
        return sum;
    });
}

/// What parking alone costs: two tasks that wake each other and carry nothing. CPU ns per wait.
double park_and_unpark() {
    const double start = cpu_ns();
    weft::semaphore mine{0}, yours{0};
    auto other = weft::spawn([&] {
        for (long i = 0; i < items; i += 2) {
            mine.release();
            yours.acquire();
        }
    });
    for (long i = 0; i < items; i += 2) {
        mine.acquire();
        yours.release();
    }
    other.get();
    return (cpu_ns() - start) / static_cast<double>(items);
}

double yields() {
    const double start = cpu_ns();
    const auto turn = [] {
        for (long i = 0; i < items; i += 2) weft::yield();
    };
    auto one = weft::spawn(turn), other = weft::spawn(turn);
    one.get();
    other.get();
    return (cpu_ns() - start) / static_cast<double>(items);
}

}  // namespace

int main(int argc, char** argv) {
    bench::table table;
    table.add("std::mutex and condition_variable, 128", [] { return threads(128, items); }, true);
    table.add("std::mutex and condition_variable, 1", [] { return threads(1, items / 10); });
#if WEFT_BENCH_BOOST_FIBER
    using boost::fibers::buffered_channel;
    using boost::fibers::unbuffered_channel;
    table.add("boost::fibers::buffered_channel, 128", [] { return boost_fibers<buffered_channel<long>>(128u); }, true);
    table.add("boost::fibers::buffered_channel, 2 (holds 1)", [] { return boost_fibers<buffered_channel<long>>(2u); });
    table.add("boost::fibers::unbuffered_channel", [] { return boost_fibers<unbuffered_channel<long>>(); });
#endif
    table.add("queue, 128", [] { return tasks<weft::queue<long>>(std::size_t{128}); });
    table.add("queue, 1", [] { return tasks<weft::queue<long>>(std::size_t{1}); });
    table.add("channel", [] { return tasks<weft::channel<long>>(); });
    table.add("lifo_queue, 128", [] { return tasks<weft::lifo_queue<long>>(std::size_t{128}); });
    table.add("priority_queue, 128", [] { return tasks<weft::priority_queue<long>>(std::size_t{128}); });
    table.add("joinable_queue, 128", [] { return tasks<weft::joinable_queue<long>>(std::size_t{128}); });
    table.add("queue, put and get in one task", alone<weft::queue<long>>);
    table.add("queue, unbounded, filled, then drained", unbounded_filled_then_drained);
    table.add("a wait of two tasks with two semaphores", park_and_unpark);
    table.add("yield, 2 tasks", yields);
    return table.run(argc, argv, "item");
}
