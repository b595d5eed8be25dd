/// @file weft/channel.hpp
/// A rendezvous: an item passes from one task or thread to another, and nothing lies between.  Floor: kit.
#pragma once

#include <concepts>
#include <iterator>
#include <optional>
#include <utility>

#include <weft/deadline.hpp>
#include <weft/detail/queue_core.hpp>
#include <weft/detail/queue_iterator.hpp>
#include <weft/queue.hpp>

namespace weft {

/// put() waits until a getter takes its item, get() until a putter brings one. A getter that waits has taken the item
/// when put() returns, even if it has not run since.
///
/// Order:     waiting putters, and waiting getters, are served in the order in which they came.
/// Threads:   any task of any hub and any plain OS thread may call anything at any time. What finds its partner waiting
///            waits for nothing, and may be called in a callback of the hub.
/// Lifetime:  must outlive its waiters; destroying it while somebody waits aborts. Whoever has got the last item may
///            destroy it at once.
/// Items:     as a queue's: moves may neither throw nor wait.
/// Cancel:    put() and get() are cancellation points where they wait. A cancelled caller has neither put nor taken
///            anything. A kill that comes when an item is already on its way gives the item to the next getter; if
///            none waits, it stays in the channel, since its put() has returned, for whoever comes.
/// gevent:    gevent.queue.Channel; Go's unbuffered channel
template <class T>
class channel {
public:
    using value_type = T;
    using iterator = detail::queue_iterator<detail::queue_core<T, detail::nowhere<T>, false>>;

    constexpr channel() noexcept : core_{0, 0} {}
    channel(const channel&) = delete;
    channel& operator=(const channel&) = delete;

    /// Waits until somebody takes the item, which has been moved from only then.
    /// @throws queue_closed  it is closed, or was while this waited
    /// @throws fiber_exit    the calling task was killed while it waited
    void put(T&& item) { (void)put(std::move(item), deadline::never()); }
    void put(const T& item) requires std::copy_constructible<T> { put(T(item)); }
    /// @returns false if nobody has taken the item before the deadline; it has not been touched
    bool put(T&& item, deadline by) { return taken(core_.put(item, by)); }
    bool put(const T& item, deadline by) requires std::copy_constructible<T> { return put(T(item), by); }
    /// Gives the item to a getter that waits. Never waits, and is no cancellation point.
    [[nodiscard]] bool try_put(T&& item) { return taken(core_.put_now(item)); }
    [[nodiscard]] bool try_put(const T& item) requires std::copy_constructible<T> { return try_put(T(item)); }

    /// Takes the item of the longest waiting putter, or waits for one. Empty once the channel is closed.
    /// @throws fiber_exit  the calling task was killed while it waited
    std::optional<T> get() { return get(deadline::never()); }
    /// Also empty if no item came before the deadline; closed() tells which.
    std::optional<T> get(deadline by) {
        std::optional<T> item;
        core_.get(item, by);
        return item;
    }
    /// Takes the item of a putter that waits. Never waits, and is no cancellation point.
    std::optional<T> try_get() noexcept {
        std::optional<T> item;
        core_.get_now(item);
        return item;
    }

    /// No more put(). Wakes everybody who waits: putters with queue_closed, getters with nothing. Idempotent.
    void close() noexcept { core_.close(); }
    [[nodiscard]] bool closed() const noexcept { return core_.closed(); }

    /// Takes item after item until the channel is closed: `for (auto& item : c)`. As a queue's.
    [[nodiscard]] iterator begin() { return iterator{core_}; }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

private:
    static bool taken(detail::queue_step step) {
        if (step == detail::queue_step::closed) throw queue_closed{};
        return step == detail::queue_step::done;
    }

    mutable detail::queue_core<T, detail::nowhere<T>, false> core_;
};

/// Go's buffered channel is nothing else than a bounded queue, and this nothing else than its name: put() waits
/// only for room, and close() lets what is inside be drained.
template <class T>
using buffered_channel = queue<T>;

}  // namespace weft
