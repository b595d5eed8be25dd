/// @file weft/detail/imap.hpp
/// One function for many items, in the tasks of a pool.  Floor: kit.
#pragma once

#include <cstddef>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <weft/detail/pool_core.hpp>
#include <weft/queue.hpp>
#include <weft/semaphore.hpp>
#include <weft/task.hpp>

namespace weft::detail {

/// Kills what has not ended when it goes.
template <class T>
struct kill_at_end {
    std::vector<task<T>> tasks;
    ~kill_at_end() {
        for (const auto& each : tasks)
            if (!each.ready()) (void)each.kill(deadline::past());
    }
};

template <class F, class... Ranges>
auto map_in(pool_core& core, F function, Ranges&&... ranges) {
    const room_lent lent{core};
    using result = std::invoke_result_t<F&, std::ranges::range_value_t<Ranges>&...>;
    // Shared: tasks that are killed for another's error unwind after this has returned.
    const auto shared = std::make_shared<F>(std::move(function));
    kill_at_end<result> all;
    [&](auto... at) {
        for (; ((at != std::ranges::end(ranges)) && ...); (++at, ...))
            all.tasks.push_back(spawn_with_room(
                core, deadline::never(), [shared](auto&&... items) -> result { return std::invoke(*shared, items...); },
                std::ranges::range_value_t<Ranges>(*at)...));
    }(std::ranges::begin(ranges)...);
    if constexpr (std::is_void_v<result>) {
        for (const auto& each : all.tasks) each.get();
    } else {
        std::vector<std::decay_t<result>> results;
        results.reserve(all.tasks.size());
        for (const auto& each : all.tasks) results.push_back(task_access::take(each));
        return results;
    }
}

/// What the range and the task that feeds it share.
template <class R, bool InOrder>
struct imap_state {
    imap_state(pool_core& of, std::size_t most)
        : room{&of}, untaken{most == 0 ? static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()) / 2 : most} {}

    void add(const task<R>& started, const std::shared_ptr<imap_state>& self) {
        if constexpr (InOrder) {
            arrived.put(started);
        } else {
            running.emplace(started.id(), started);
            (void)started.rawlink([self](const task<R>& ended) {
                self->running.erase(ended.id());
                self->arrived.put(ended);
                self->close_if_done();
            });
        }
    }
    void close_if_done() noexcept {
        if (all_started && running.empty()) arrived.close();
    }

    pool_core* const room;
    semaphore untaken;  // results that may still be computed ahead
    queue<task<R>> arrived{unbounded};
    std::unordered_map<std::uint64_t, task<R>> running;  // those that come in no order
    bool all_started = false;
};

}  // namespace weft::detail

namespace weft {

/// Results as they are asked for; made by pool::imap() and pool::imap_unordered(). Its fiber's alone.
template <class R, bool InOrder>
class result_range {
public:
    result_range(std::shared_ptr<detail::imap_state<R, InOrder>> state, task<void> feeder)
        : state_{std::move(state)}, feeder_{std::move(feeder)} {}
    result_range(result_range&&) noexcept = default;
    result_range& operator=(result_range&&) = delete;
    ~result_range() {
        if (!state_) return;
        detail::end_of_feeder(feeder_);
        for (const auto& [id, each] : state_->running) (void)each.kill(deadline::past());
        if (now_) (void)now_.kill(deadline::past());
        while (const auto left = state_->arrived.try_get()) (void)left->kill(deadline::past());
    }

    /// @returns the next result; empty behind the last one
    /// @throws anything  that the item, or the iteration over the items, has thrown
    /// @throws fiber_exit, timed_out  the caller was interrupted; the result comes at the next call
    std::optional<R> next() {
        const detail::room_lent lent{*state_->room};
        if (!now_) {
            std::optional<task<R>> arrived = state_->arrived.get();
            if (!arrived) {
                feeder_.get();
                return std::nullopt;
            }
            now_ = std::move(*arrived);
        }
        now_.join();
        const task<R> ended = std::exchange(now_, {});
        state_->untaken.release();
        return detail::task_access::take(ended);
    }

    class iterator {
    public:
        using value_type = R;
        using difference_type = std::ptrdiff_t;
        const R& operator*() const noexcept { return *now_; }
        iterator& operator++() {
            now_ = in_->next();
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(std::default_sentinel_t) const noexcept { return !now_; }

    private:
        friend class result_range;
        explicit iterator(result_range& in) : in_{&in}, now_{in.next()} {}
        result_range* in_;
        std::optional<R> now_;
    };
    iterator begin() { return iterator{*this}; }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    std::shared_ptr<detail::imap_state<R, InOrder>> state_;
    task<void> feeder_;
    task<R> now_;  // its result is next
};

namespace detail {

template <bool InOrder, class F, class Range>
auto make_imap(pool_core& core, F function, Range items, std::size_t most) {
    using item = std::ranges::range_value_t<Range>;
    using result = std::decay_t<std::invoke_result_t<F&, item&>>;
    static_assert(!std::is_void_v<result>, "imap() gives results: use map() for a function that has none");
    const auto state = std::make_shared<imap_state<result, InOrder>>(core, most);
    task<void> feeder = weft::spawn([state, f = std::make_shared<F>(std::move(function)), items = std::move(items)]() mutable {
        struct at_end {
            imap_state<result, InOrder>& s;
            ~at_end() {
                s.all_started = true;
                if (InOrder) s.arrived.close();
                else s.close_if_done();
            }
        } const closes{*state};
        for (auto&& each : items) {
            state->untaken.acquire();
            const auto call = [f](item&& one) -> result { return std::invoke(*f, one); };
            state->add(spawn_with_room(*state->room, deadline::never(), call, item(each)), state);
        }
    });
    return result_range<result, InOrder>{state, std::move(feeder)};
}

}  // namespace detail
}  // namespace weft
