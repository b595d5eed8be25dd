// The pipeline as plain blocking code: an OS thread a stage, and a queue of mutex and condition variables.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "pipeline.hpp"

namespace compare {
namespace {

template <class T>
class bounded_queue {
public:
    void put(T item) {
        std::unique_lock lock{mutex_};
        not_full_.wait(lock, [&] { return items_.size() < capacity; });
        items_.push_back(std::move(item));
        not_empty_.notify_one();
    }

    // Nothing once the queue is closed and empty.
    std::optional<T> get() {
        std::unique_lock lock{mutex_};
        not_empty_.wait(lock, [&] { return closed_ || !items_.empty(); });
        if (items_.empty()) return std::nullopt;
        std::optional<T> item{std::move(items_.front())};
        items_.pop_front();
        not_full_.notify_one();
        return item;
    }

    void close() {
        const std::lock_guard lock{mutex_};
        closed_ = true;
        not_empty_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable not_empty_, not_full_;
    std::deque<T> items_;
    bool closed_ = false;
};

}  // namespace

outcome run_threads() {
    bounded_queue<std::string> lines;
    bounded_queue<record> records, results;

    std::vector<std::jthread> stages;
    stages.emplace_back([&] {
        for (int item = 0; item < item_count; ++item) {
            lines.put(make_line(item));
            if (waits_after(item)) std::this_thread::sleep_for(wait_time);
        }
        lines.close();
    });
    stages.emplace_back([&] {
        while (auto line = lines.get()) records.put(parse(*line));
        records.close();
    });
    stages.emplace_back([&] {
        while (auto each = records.get()) results.put(transform(std::move(*each)));
        results.close();
    });

    demo::checksum sum;
    while (auto result = results.get()) {
        fold(*result, sum);
        if (waits_after(result->id)) std::this_thread::sleep_for(wait_time);
    }
    return {sum.value(), 0};
}

}  // namespace compare
