/// @file weft/wait.hpp
/// Waiting for several things: tasks, events, results, permits.  Floor: sched.
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <iterator>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/deadline.hpp>
#include <weft/detail/watch_set.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

namespace weft {

/// What wait() and its kin wait for: a task (until it has ended), an event or a latch (until it is set, or open), an
/// async_result or a future (until it has an outcome), a semaphore (while it has a free permit; none is taken, so that another
/// may be faster), or a pointer to one of them.
template <class W>
concept waitable = requires(const task<typename W::result>& t, const W& w) { t == w; } ||
                   detail::watch_access::offers<W> ||
                   (std::is_pointer_v<W> && detail::watch_access::offers<std::remove_pointer_t<W>>);

namespace detail {

template <class W>
void watch_one(watch_set& set, const W& thing) {
    if constexpr (std::is_pointer_v<W>) {
        watch_access::add(set, *thing);
    } else if constexpr (watch_access::offers<W>) {
        watch_access::add(set, thing);
    } else {
        auto& block = task_access::block(thing);
        block.announce();
        set.add(block.joiners, [](const void* at) { return static_cast<const task_block*>(at)->has_ended(); },
                static_cast<const task_block*>(&block));
    }
}

}  // namespace detail

/// When to stop waiting for a range of things.
struct wait_options {
    deadline by{};
    std::size_t count = static_cast<std::size_t>(-1);  ///< when so many are ready
};

/// The things of a range as they become ready, for a range-for loop; made by iwait(). Taking the next one waits, and is
/// a cancellation point. Leaving the loop early leaves nothing behind.
///
/// Order:    in which they have become ready; those that are from the start first, as they stand in the range.
/// Threads:  the things may be of any; the object is its fiber's.
/// Lifetime: it holds copies of tasks' handles; what is given by pointer must outlive it.
template <waitable W>
class ready_range {
public:
    ready_range(std::vector<W> things, const wait_options& until)
        : things_{std::move(things)}, set_{things_.size()}, until_{until} {
        for (const W& each : things_) detail::watch_one(set_, each);
    }

    /// @returns null once the deadline has passed, or `count` or all have been returned
    const W* next() {
        if (given_ == until_.count) return nullptr;
        const std::size_t index = set_.next(until_.by);
        if (index == detail::watch_set::none) return nullptr;
        ++given_;
        return &things_[index];
    }

    class iterator {
    public:
        using value_type = W;
        using difference_type = std::ptrdiff_t;
        const W& operator*() const noexcept { return *at_; }
        const W* operator->() const noexcept { return at_; }
        iterator& operator++() {
            at_ = in_->next();
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(std::default_sentinel_t) const noexcept { return at_ == nullptr; }

    private:
        friend class ready_range;
        explicit iterator(ready_range& in) : in_{&in}, at_{in.next()} {}
        ready_range* in_;
        const W* at_;
    };
    iterator begin() { return iterator{*this}; }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    std::vector<W> things_;
    detail::watch_set set_;
    wait_options until_;
    std::size_t given_ = 0;
};

/// The same thing twice comes twice. gevent: gevent.iwait
template <std::ranges::input_range Range>
    requires waitable<std::ranges::range_value_t<Range>>
ready_range<std::ranges::range_value_t<Range>> iwait(const Range& things, const wait_options& until = {}) {
    return {{std::ranges::begin(things), std::ranges::end(things)}, until};
}

/// @returns those that were ready in time, in that order. gevent: gevent.wait
template <std::ranges::input_range Range>
    requires waitable<std::ranges::range_value_t<Range>>
std::vector<std::ranges::range_value_t<Range>> wait(const Range& things, const wait_options& until = {}) {
    std::vector<std::ranges::range_value_t<Range>> ready;
    for (const auto& each : iwait(things, until)) ready.push_back(each);
    return ready;
}

/// Waits for the first of several things of any kinds. @returns its number, from 0; empty if the deadline passed first
template <waitable... W>
std::optional<std::size_t> wait_any(deadline by, const W&... things) {
    detail::watch_set set{sizeof...(things)};
    (detail::watch_one(set, things), ...);
    const std::size_t index = set.next(by);
    return index == detail::watch_set::none ? std::nullopt : std::optional{index};
}

/// Waits for the end of every task of a range.
/// @returns true; false if the deadline passed first, with the others still running
/// gevent: gevent.joinall
template <std::ranges::input_range Range>
bool joinall(const Range& tasks, deadline by = deadline::never()) {
    bool all = true;
    for (const auto& t : tasks) all = t.join(by) && all;
    return all;
}

struct join_options {
    deadline by{};
    std::size_t count = static_cast<std::size_t>(-1);  ///< when so many have ended
    bool raise_error = false;  ///< rethrow the first error of a task, as soon as it has ended; killed ones have none
};

/// @returns the tasks that have ended in time, in the order in which they did
template <std::ranges::input_range Range>
std::vector<std::ranges::range_value_t<Range>> joinall(const Range& tasks, const join_options& how) {
    std::vector<std::ranges::range_value_t<Range>> ended;
    for (const auto& each : iwait(tasks, {how.by, how.count})) {
        if (how.raise_error && each.exception()) std::rethrow_exception(each.exception());
        ended.push_back(each);
    }
    return ended;
}

namespace detail {
template <class Range>
void kill_each(const Range& tasks, const auto& kill) {
    const auto me = this_task::id();
    bool myself = false;
    for (const auto& t : tasks) {
        if (t.id() == me) myself = true;
        else kill(t);
    }
    for (const auto& t : tasks)
        if (myself && t.id() == me) kill(t);
}
}  // namespace detail

/// Kills every task of a range before it waits for any, so that one that has not run yet never does; the caller, if it is
/// among them, last.
/// @returns whether all have ended by then. gevent: gevent.killall, which throws instead
template <std::ranges::input_range Range>
bool killall(const Range& tasks, deadline by = deadline::never()) {
    detail::kill_each(tasks, [](const auto& t) { (void)t.kill(deadline::past()); });
    return joinall(tasks, by);
}
/// With a reason, as task::kill(reason).
template <std::ranges::input_range Range>
bool killall(const Range& tasks, const std::exception_ptr& reason, deadline by = deadline::never()) {
    detail::kill_each(tasks, [&reason](const auto& t) { (void)t.kill(reason, deadline::past()); });
    return joinall(tasks, by);
}

}  // namespace weft
