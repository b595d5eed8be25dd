/// @file weft/detail/queue_core.hpp
/// What queues and channels have in common: who waits, who is served, and where an item goes.  Floor: kit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

#include <weft/deadline.hpp>
#include <weft/detail/queue_storage.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft::detail {

inline bool is_granted(wait_end end) noexcept { return end == wait_end::granted || end == wait_end::granted_killed; }

/// After a wait that was not granted: gives up the lock, and lets a kill take its course.
inline void leave(wait_list& list, wait_end end) {
    list.unlock();
    if (end == wait_end::killed) exit_fiber();
}

enum class queue_step : std::uint8_t { done, closed, must_wait };

/// Those who join() a queue, and how many items have been done with. Guarded by the queue's lock but for the waiting
/// itself; taken after that lock, never before it.
struct queue_joins {
    std::uint64_t done = 0;
    wait_list joiners;
};
struct no_joins {};

/// Everything is guarded by the lock of `waiters_`. Whoever finds what it looks for takes the lock once and calls
/// nothing out of line; whoever does not, waits in `waiters_`, and is served by the other side: an item goes straight
/// to the getter that waits, and a waiting putter's straight into the place that came free.
template <class T, class Storage, bool Joinable>
class queue_core {
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                  "an item moves while a lock is held: neither that nor destroying it may throw");

public:
    using value_type = T;
    static constexpr std::size_t no_limit = SIZE_MAX;

    /// @param room  of the storage at the start; as much as the capacity unless that is no_limit
    constexpr queue_core(std::size_t capacity, std::size_t room) : capacity_{capacity}, storage_{room} {}

    queue_step put_now(T& item) {
        const queue_step step = begin_put(item);
        if (step == queue_step::must_wait) waiters_.unlock();
        return step;
    }
    /// @returns must_wait if the deadline came first; the item has then not been touched
    queue_step put(T& item, deadline by) {
        const queue_step step = begin_put(item);
        return step == queue_step::must_wait ? wait_to_put(item, by) : step;
    }

    /// Leaves `into`, which is empty, so if there is nothing.
    void get_now(std::optional<T>& into) noexcept {
        if (begin_get(into) == queue_step::must_wait) waiters_.unlock();
    }
    void get(std::optional<T>& into, deadline by) {
        if (begin_get(into) == queue_step::must_wait) wait_to_get(into, by);
    }
    std::optional<T> peek(deadline by);

    void close() noexcept;
    std::size_t close_now() noexcept;
    bool closed() noexcept {
        const locked here{waiters_};
        return state_ != state::open;
    }
    std::size_t size() noexcept {
        const locked here{waiters_};
        return inside();
    }
    std::size_t capacity() const noexcept { return capacity_; }

    /// @returns false, and does nothing, if as many were done with as have come
    bool task_done() noexcept {
        const locked here{waiters_};
        if (joins_.done == came_) return false;
        finish(1);
        return true;
    }
    std::size_t unfinished() noexcept {
        const locked here{waiters_};
        return static_cast<std::size_t>(came_ - joins_.done);
    }
    bool join(deadline by);

private:
    enum class state : std::uint8_t { open, draining, dropped };
    static constexpr bool is_channel = std::is_same_v<Storage, nowhere<T>>;

    struct putter {
        T* item;
        bool refused = false;
    };
    struct taker {  // a waiting peek has none
        std::optional<T>* into;
        std::uint64_t ticket = 0;
    };
    struct unlocker {
        wait_list& list;
        ~unlocker() { list.unlock(); }
    };
    struct locked : unlocker {
        explicit locked(wait_list& free) noexcept : unlocker{free} { free.lock(); }
    };

    // Done and closed have given up the lock, must_wait holds it.
    queue_step begin_put(T& item);
    queue_step begin_get(std::optional<T>& into) noexcept;
    queue_step wait_to_put(T& item, deadline by);
    void wait_to_get(std::optional<T>& into, deadline by);
    bool give_back(std::optional<T>& taken, std::uint64_t ticket) noexcept;
    void grow();

    // The rest is called with the lock held.

    std::size_t inside() const noexcept { return storage_.size() + returned_.size(); }
    bool front_is_returned() const noexcept {
        return returned_.size() != 0 && (storage_.size() == 0 || !storage_.front_before(returned_.first()));
    }
    // To the longest waiting getter, waking whoever only peeks before it. @returns false if there was no getter
    bool hand_over(T& item, std::uint64_t ticket) noexcept;
    void wake_all() noexcept;
    void finish(std::size_t count) noexcept {
        if constexpr (Joinable) {
            joins_.done += count;
            if (joins_.done != came_) return;
            const locked here{joins_.joiners};
            joins_.joiners.grant_all();
        }
    }

    const std::size_t capacity_;
    Storage storage_;
    returned_chain<T> returned_;  // its items may be more than there is room for
    std::uint64_t came_ = 0;      // items that have ever come in, and the next one's ticket
    state state_ = state::open;
    // Getters wait only while nothing is inside and no putter waits, putters only while there is no room and no getter
    // waits: all that wait are of one kind.
    bool takers_wait_ = false;
    [[no_unique_address]] std::conditional_t<Joinable, queue_joins, no_joins> joins_;
    wait_list waiters_;  // the last member: its destructor waits until the lock is free
};

}  // namespace weft::detail

#include <weft/detail/queue_calls.hpp>
