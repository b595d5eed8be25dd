/// @file weft/detail/queue_calls.hpp
/// The calls of a queue_core, first those that wait for nothing.  Floor: kit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include <weft/deadline.hpp>
#include <weft/detail/queue_core.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft::detail {

template <class T, class Storage, bool Joinable>
bool queue_core<T, Storage, Joinable>::hand_over(T& item, std::uint64_t ticket) noexcept {
    while (!waiters_.empty()) {
        auto* const to = static_cast<taker*>(waiters_.first_item());
        if (to) {
            to->into->emplace(std::move(item));
            to->ticket = ticket;
        }
        waiters_.grant_first();
        if (to) return true;
    }
    return false;
}

template <class T, class Storage, bool Joinable>
inline queue_step queue_core<T, Storage, Joinable>::begin_put(T& item) {
    for (;;) {
        waiters_.lock();
        if (state_ != state::open) [[unlikely]] {
            waiters_.unlock();
            return queue_step::closed;
        }
        if (!waiters_.empty() && takers_wait_ && hand_over(item, came_)) {
            ++came_;
            waiters_.unlock();
            return queue_step::done;
        }
        if (inside() >= capacity_) return queue_step::must_wait;
        if (storage_.size() < storage_.room()) [[likely]] {
            storage_.push(std::move(item), came_++);
            waiters_.unlock();
            return queue_step::done;
        }
        grow();
    }
}

template <class T, class Storage, bool Joinable>
inline queue_step queue_core<T, Storage, Joinable>::begin_get(std::optional<T>& into) noexcept {
    waiters_.lock();
    if (inside() != 0) {
        returned<T>* spent = nullptr;
        if (front_is_returned()) [[unlikely]] {
            spent = returned_.take_first();
            into.emplace(std::move(spent->item));
        } else {
            storage_.pop(into);
        }
        if (!waiters_.empty() && inside() < capacity_) {
            storage_.push(std::move(*static_cast<putter*>(waiters_.first_item())->item), came_++);
            waiters_.grant_first();
        }
        waiters_.unlock();
        if (spent) [[unlikely]] delete spent;
        return queue_step::done;
    }
    if constexpr (is_channel) {
        if (!waiters_.empty() && !takers_wait_) {
            into.emplace(std::move(*static_cast<putter*>(waiters_.first_item())->item));
            ++came_;
            waiters_.grant_first();
            waiters_.unlock();
            return queue_step::done;
        }
    }
    if (state_ == state::open) return queue_step::must_wait;
    waiters_.unlock();
    return queue_step::closed;
}

template <class T, class Storage, bool Joinable>
[[gnu::noinline]] queue_step queue_core<T, Storage, Joinable>::wait_to_put(T& item, deadline by) {
    putter me{&item};
    takers_wait_ = false;
    const auto end = waiters_.wait(by, is_channel ? "a getter at a channel" : "room in a queue", this, &me);
    // Granted, the item is in: a kill waits for the next wait.
    if (is_granted(end)) return me.refused ? queue_step::closed : queue_step::done;
    leave(waiters_, end);
    return queue_step::must_wait;
}

template <class T, class Storage, bool Joinable>
[[gnu::noinline]] void queue_core<T, Storage, Joinable>::wait_to_get(std::optional<T>& into, deadline by) {
    taker me{&into};
    takers_wait_ = true;
    const auto end = waiters_.wait(by, is_channel ? "an item of a channel" : "an item of a queue", this, &me);
    if (!is_granted(end)) return leave(waiters_, end);
    // Without memory to leave it behind, the item is returned, and the kill waits for the next wait.
    if (end == wait_end::granted_killed && (!into || give_back(into, me.ticket))) exit_fiber();
}

template <class T, class Storage, bool Joinable>
bool queue_core<T, Storage, Joinable>::give_back(std::optional<T>& taken, std::uint64_t ticket) noexcept {
    std::unique_ptr<returned<T>> one{new (std::nothrow) returned<T>{std::move(*taken), ticket}};
    if (!one) return false;
    taken.reset();
    const locked here{waiters_};  // let go before the item is destroyed
    if (state_ == state::dropped) finish(1);
    else if (!takers_wait_ || !hand_over(one->item, ticket)) returned_.insert(*one.release(), Storage::before);
    return true;
}

template <class T, class Storage, bool Joinable>
[[gnu::noinline]] void queue_core<T, Storage, Joinable>::grow() {
    const std::size_t before = storage_.room();
    waiters_.unlock();
    Storage larger{before < 8 ? 16 : 2 * before};  // whichever is the smaller one in the end goes when the lock is free
    const locked here{waiters_};
    if (state_ != state::open || storage_.room() >= larger.room()) return;
    storage_.move_to(larger);
    storage_.swap(larger);
}

template <class T, class Storage, bool Joinable>
std::optional<T> queue_core<T, Storage, Joinable>::peek(deadline by) {
    for (;;) {
        waiters_.lock();
        if (inside() != 0) {
            const unlocker at_end{waiters_};
            return std::optional<T>{front_is_returned() ? returned_.first().item : storage_.front()};
        }
        if (state_ != state::open) {
            waiters_.unlock();
            return std::nullopt;
        }
        takers_wait_ = true;
        const auto end = waiters_.wait(by, "a look at an item of a queue", this);
        if (end == wait_end::granted) continue;
        if (end == wait_end::granted_killed) exit_fiber();
        else leave(waiters_, end);
        return std::nullopt;
    }
}

template <class T, class Storage, bool Joinable>
void queue_core<T, Storage, Joinable>::wake_all() noexcept {
    while (!waiters_.empty()) {
        if (!takers_wait_) static_cast<putter*>(waiters_.first_item())->refused = true;
        waiters_.grant_first();
    }
}

template <class T, class Storage, bool Joinable>
void queue_core<T, Storage, Joinable>::close() noexcept {
    const locked here{waiters_};
    if (state_ == state::open) state_ = state::draining;
    wake_all();
}

template <class T, class Storage, bool Joinable>
std::size_t queue_core<T, Storage, Joinable>::close_now() noexcept {
    Storage items{0};
    returned_chain<T> returned_items;
    const locked here{waiters_};  // let go before the items are destroyed
    const std::size_t count = inside();
    state_ = state::dropped;
    storage_.swap(items);
    returned_.swap(returned_items);
    wake_all();
    finish(count);
    return count;
}

template <class T, class Storage, bool Joinable>
bool queue_core<T, Storage, Joinable>::join(deadline by) {
    waiters_.lock();
    if (joins_.done == came_) {
        waiters_.unlock();
        return true;
    }
    joins_.joiners.lock();
    waiters_.unlock();
    const auto end = joins_.joiners.wait(by, "a queue's last task_done()", this);
    if (!is_granted(end)) leave(joins_.joiners, end);
    else if (end == wait_end::granted_killed) exit_fiber();
    return is_granted(end);
}

}  // namespace weft::detail
