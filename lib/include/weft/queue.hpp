/// @file weft/queue.hpp
/// A bounded queue between tasks and threads.  Floor: kit.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <weft/deadline.hpp>
#include <weft/detail/wait_list.hpp>
#include <weft/error.hpp>

namespace weft {

/// put() on a queue that is closed, or that is closed while put() waits; the item is destroyed. gevent: gevent.queue.ShutDown
class WEFT_API queue_closed : public std::runtime_error {
public:
    queue_closed() : std::runtime_error{"weft: put() on a closed queue"} {}
};

/// Items in order, at most `capacity` of them: put() waits for room, get() for an item.
///
/// Order:     first in, first out; waiting getters and putters are served in the order in which they came.
/// Threads:   any task of any hub and any plain OS thread may call anything at any time.
/// Lifetime:  must outlive its waiters; destroying it while somebody waits aborts.
/// Items:     of a type whose move does not throw; moved while a lock is held, so a move may not wait either.
/// Cancel:    put() and get() are cancellation points; a cancelled caller has neither put nor taken anything. A
///            kill that comes when an item is already on its way gives it to the next getter, in front.
/// gevent:    gevent.queue.Queue(maxsize), with close() for shutdown()
template <class T>
class queue {
public:
    /// @throws std::invalid_argument  a capacity of 0
    explicit queue(std::size_t capacity) : capacity_{capacity} {
        if (capacity == 0)
            throw std::invalid_argument("weft: a queue of capacity 0 could never take an item; use 1 or more");
    }
    queue(const queue&) = delete;
    queue& operator=(const queue&) = delete;

    /// Puts an item in, waiting for room.
    /// @throws queue_closed  it is closed, or was while this waited; nothing was put in
    /// @throws fiber_exit    the calling task was killed; nothing was put in
    void put(T item) { (void)put(std::move(item), deadline::never()); }
    /// @returns false if there was no room before the deadline; the item is destroyed
    bool put(T item, deadline by);

    /// Takes the oldest item, waiting for one. Empty once the queue is closed and drained.
    /// @throws fiber_exit  the calling task was killed; nothing was taken
    std::optional<T> get() { return get(deadline::never()); }
    /// Also empty if no item came before the deadline; closed() tells which.
    std::optional<T> get(deadline by);

    /// No more put(); what is inside can still be taken. Wakes everybody who waits. Idempotent.
    void close() noexcept;
    bool closed() const noexcept;

    /// Items inside; stale after the next switch.
    std::size_t size() const noexcept;
    std::size_t capacity() const noexcept { return capacity_; }

private:
    struct putter {
        T item;
        bool refused = false;
    };
    struct unlocker {
        detail::wait_list& list;
        ~unlocker() { list.unlock(); }
    };

    // With the lock held: the item goes to the longest waiting getter, or into items_ at that end.
    void hand_on(T&& item, bool to_front);

    const std::size_t capacity_;
    std::deque<T> items_;  // guarded by waiters_' lock, as closed_ is
    bool closed_ = false;
    // Getters (item: std::optional<T>*) wait only while items_ is empty, putters (putter*) only while it is
    // full: never both.
    mutable detail::wait_list waiters_;
};

template <class T>
void queue<T>::hand_on(T&& item, bool to_front) {
    if (items_.empty() && !waiters_.empty()) {
        static_cast<std::optional<T>*>(waiters_.first_item())->emplace(std::move(item));
        waiters_.grant_first();
    } else if (to_front) {
        items_.push_front(std::move(item));
    } else {
        items_.push_back(std::move(item));
    }
}

template <class T>
bool queue<T>::put(T item, deadline by) {
    static_assert(std::is_nothrow_move_constructible_v<T>, "an item moves while a lock is held: it must not throw");
    putter me{std::move(item)};
    waiters_.lock();
    if (closed_ || items_.size() < capacity_) {
        const unlocker at_end{waiters_};
        if (closed_) throw queue_closed{};
        hand_on(std::move(me.item), false);
        return true;
    }
    switch (waiters_.wait(by, "room in a queue", this, &me)) {
        case detail::wait_end::granted_killed:  // the item is in: the kill waits for the next wait
        case detail::wait_end::granted:
            if (me.refused) throw queue_closed{};
            return true;
        case detail::wait_end::timed_out: waiters_.unlock(); return false;
        case detail::wait_end::killed: waiters_.unlock(); detail::exit_fiber(); return false;
    }
    __builtin_unreachable();
}

template <class T>
std::optional<T> queue<T>::get(deadline by) {
    std::optional<T> taken;
    waiters_.lock();
    if (!items_.empty()) {
        const unlocker at_end{waiters_};
        taken.emplace(std::move(items_.front()));
        items_.pop_front();
        if (items_.size() + 1 == capacity_ && !waiters_.empty()) {
            items_.push_back(std::move(static_cast<putter*>(waiters_.first_item())->item));
            waiters_.grant_first();
        }
        return taken;
    }
    if (closed_) {
        waiters_.unlock();
        return taken;
    }
    switch (waiters_.wait(by, "an item of a queue", this, &taken)) {
        case detail::wait_end::granted: return taken;
        case detail::wait_end::granted_killed:
            if (taken) {
                waiters_.lock();
                const unlocker at_end{waiters_};
                hand_on(std::move(*taken), true);
            }
            detail::exit_fiber();
            return std::nullopt;
        case detail::wait_end::timed_out: waiters_.unlock(); return taken;
        case detail::wait_end::killed: waiters_.unlock(); detail::exit_fiber(); return taken;
    }
    __builtin_unreachable();
}

template <class T>
void queue<T>::close() noexcept {
    waiters_.lock();
    closed_ = true;
    while (!waiters_.empty()) {
        if (!items_.empty()) static_cast<putter*>(waiters_.first_item())->refused = true;
        waiters_.grant_first();
    }
    waiters_.unlock();
}

template <class T>
bool queue<T>::closed() const noexcept {
    waiters_.lock();
    const unlocker at_end{waiters_};
    return closed_;
}

template <class T>
std::size_t queue<T>::size() const noexcept {
    waiters_.lock();
    const unlocker at_end{waiters_};
    return items_.size();
}

}  // namespace weft
