// Queues and channels against a model, step for step: no item is lost, none comes twice, each comes at its turn.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <weft/channel.hpp>
#include <weft/error.hpp>
#include <weft/lifo_queue.hpp>
#include <weft/priority_queue.hpp>
#include <weft/queue.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;

namespace {

enum class order { fifo, lifo, priority };

/// The same, in the plainest way, for callers who tell when a call begins and how it ended.
class model {
public:
    model(order o, std::size_t room) : order_{o}, capacity_{room} {}

    struct item {
        int value;
        int ticket;
    };
    /// What a call must answer at once; nothing if it has to wait.
    enum class answer { wait, yes, closed };

    answer begin_put(int who, int value) {
        if (closed_) return answer::closed;
        if (!getters_.empty()) {
            on_its_way_[getters_.front()] = {value, came_++};
            getters_.pop_front();
            return answer::yes;
        }
        if (inside_.size() < capacity_) {
            inside_.push_back({value, came_++});
            return answer::yes;
        }
        putters_.push_back({who, value});
        return answer::wait;
    }
    answer begin_get(int who) {
        if (!inside_.empty()) {
            on_its_way_[who] = take_next();
            if (!putters_.empty() && inside_.size() < capacity_) inside_.push_back(admit());
            return answer::yes;
        }
        if (!putters_.empty()) {
            on_its_way_[who] = admit();
            return answer::yes;
        }
        if (closed_) return answer::closed;
        getters_.push_back(who);
        return answer::wait;
    }
    bool has_put(int who) const {
        return std::none_of(putters_.begin(), putters_.end(), [who](const waiting& w) { return w.who == who; });
    }
    bool was_refused(int who) const { return std::find(refused_.begin(), refused_.end(), who) != refused_.end(); }
    std::optional<int> has_got(int who) {
        const auto found = on_its_way_.find(who);
        if (found == on_its_way_.end()) return std::nullopt;
        const int value = found->second.value;
        on_its_way_.erase(found);
        return value;
    }
    /// The call of `who` has ended with nothing done, or with a kill.
    void end_without(int who) {
        std::erase_if(putters_, [who](const waiting& w) { return w.who == who; });
        std::erase(getters_, who);
        const auto found = on_its_way_.find(who);
        if (found == on_its_way_.end()) return;
        const item back = found->second;
        on_its_way_.erase(found);
        ++given_back;
        if (getters_.empty()) {
            inside_.push_back(back);
        } else {
            on_its_way_[getters_.front()] = back;
            getters_.pop_front();
        }
    }
    void close() {
        closed_ = true;
        for (const waiting& w : putters_) refused_.push_back(w.who);
        putters_.clear();
        getters_.clear();
    }
    std::size_t size() const { return inside_.size(); }

    int given_back = 0;

private:
    struct waiting {
        int who;
        int value;
    };

    bool goes_before(const item& one, const item& other) const {
        if (order_ == order::lifo) return one.ticket > other.ticket;
        const auto rank = [this](const item& i) { return order_ == order::priority ? i.value % 4 : 0; };
        return rank(one) != rank(other) ? rank(one) < rank(other) : one.ticket < other.ticket;
    }
    item take_next() {
        const auto next = std::min_element(inside_.begin(), inside_.end(),
                                           [this](const item& a, const item& b) { return goes_before(a, b); });
        const item taken = *next;
        inside_.erase(next);
        return taken;
    }
    item admit() {
        const int value = putters_.front().value;
        putters_.pop_front();
        return {value, came_++};
    }

    const order order_;
    const std::size_t capacity_;
    std::vector<item> inside_;
    std::deque<waiting> putters_;
    std::deque<int> getters_;
    std::map<int, item> on_its_way_;
    std::vector<int> refused_;
    int came_ = 0;
    bool closed_ = false;
};

struct by_last_digits {
    bool operator()(int a, int b) const { return a % 4 < b % 4; }
};

/// A queue and its model, each call made to both.
template <class Queue>
class pair {
public:
    pair(Queue& q, model& m) : queue_{q}, model_{m} {}

    void put(int who, int value, weft::deadline by) {
        const auto expected = model_.begin_put(who, value);
        const auto start = weft::now();
        try {
            const bool done = queue_.put(int{value}, by);
            CHECK(done == model_.has_put(who));
            CHECK(!model_.was_refused(who));
            if (!done) CHECK(by.when() <= weft::now());
            if (expected != model::answer::wait)
                CHECK((expected == model::answer::yes && done && start == weft::now()));
            if (!done) model_.end_without(who);
        } catch (const weft::queue_closed&) {
            CHECK((expected == model::answer::closed || model_.was_refused(who)));
        } catch (const weft::fiber_exit&) {
            CHECK(expected == model::answer::wait);
            CHECK_FALSE(model_.has_put(who));
            model_.end_without(who);
            throw;
        }
    }
    void get(int who, weft::deadline by) {
        const auto expected = model_.begin_get(who);
        try {
            const std::optional<int> got = queue_.get(by);
            CHECK(got == model_.has_got(who));
            if (expected == model::answer::yes) CHECK(got);
            if (expected == model::answer::closed) CHECK_FALSE(got);
            if (!got && !queue_.closed()) CHECK(by.when() <= weft::now());
            if (!got) model_.end_without(who);
        } catch (const weft::fiber_exit&) {
            CHECK(expected == model::answer::wait);
            model_.end_without(who);
            throw;
        }
    }

private:
    Queue& queue_;
    model& model_;
};

struct totals {
    int served = 0;
    int given_back = 0;
};

template <class Queue>
totals run(unsigned seed, Queue& q, order o, std::size_t capacity) {
    std::mt19937 random{seed};
    model expected{o, capacity};
    pair<Queue> both{q, expected};
    int next_value = 0, next_who = 0, served = 0;
    const auto live = [&] {
        const int who = next_who++;
        for (;;) {
            const unsigned choice = random();
            const auto some_time = std::chrono::seconds{choice / 8 % 4 + 1};
            const weft::deadline by = choice % 8 == 0   ? weft::deadline::past()
                                      : choice % 8 <= 3 ? weft::deadline::after(some_time)
                                                        : weft::deadline::never();
            if (choice / 64 % 2 == 0) both.put(who, next_value++, by);
            else both.get(who, by);
            ++served;
            if (choice / 128 % 4 == 0 || q.closed()) weft::yield();
        }
    };
    std::vector<weft::task<void>> tasks(6);
    for (int step = 0; step < 400; ++step) {
        auto& one = tasks[random() % tasks.size()];
        if (one && random() % 3 == 0) (void)one.kill(weft::deadline::past());
        if (!one || one.ready()) one = weft::spawn(live);
        if (random() % 4 == 0) test::clock.advance(1s);
        const unsigned turns = random() % 3;
        for (unsigned i = 0; i < turns; ++i) weft::yield();
        if constexpr (requires { q.size(); }) CHECK(q.size() == expected.size());
    }
    q.close();
    expected.close();
    for (auto& one : tasks)
        if (one) (void)one.kill(weft::deadline::past());
    for (auto& one : tasks)
        if (one) (void)one.join();
    const int nobody = next_who;
    while (const auto left = q.get()) {
        CHECK(expected.begin_get(nobody) == model::answer::yes);
        CHECK(left == expected.has_got(nobody));
    }
    CHECK(expected.size() == 0);
    return {served, expected.given_back};
}

template <class Queue, class... Args>
void check_many(order o, std::size_t capacity, Args... args) {
    totals all;
    for (unsigned seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        Queue q{args...};
        const totals one = run(seed, q, o, capacity);
        all.served += one.served;
        all.given_back += one.given_back;
    }
    CHECK(all.served > 1000);
    CHECK(all.given_back > 10);  // kills have come at the bad moment
}

}  // namespace

TASK_TEST("random puts, gets, kills and deadlines: a queue does what its model does") {
    for (const std::size_t capacity : {1u, 2u, 5u}) check_many<weft::queue<int>>(order::fifo, capacity, capacity);
}

TASK_TEST("random puts, gets, kills and deadlines: an unbounded queue does what its model does") {
    check_many<weft::queue<int>>(order::fifo, SIZE_MAX, weft::unbounded);
}

TASK_TEST("random puts, gets, kills and deadlines: a lifo_queue does what its model does") {
    check_many<weft::lifo_queue<int>>(order::lifo, 3, std::size_t{3});
    check_many<weft::lifo_queue<int>>(order::lifo, SIZE_MAX, weft::unbounded);
}

TASK_TEST("random puts, gets, kills and deadlines: a priority_queue does what its model does") {
    check_many<weft::priority_queue<int, by_last_digits>>(order::priority, 3, std::size_t{3});
    check_many<weft::priority_queue<int, by_last_digits>>(order::priority, SIZE_MAX, weft::unbounded);
}

TASK_TEST("random puts, gets, kills and deadlines: a channel does what its model does") {
    check_many<weft::channel<int>>(order::fifo, 0);
}
