/// @file weft/queue.hpp
/// A queue between tasks and threads, bounded or not.  Floor: kit.
#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <utility>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>
#include <weft/detail/queue_core.hpp>
#include <weft/detail/queue_iterator.hpp>

namespace weft {

/// put() on a queue or channel that is closed, or that is closed while put() waits. The item has not been touched.
/// gevent: gevent.queue.ShutDown
class WEFT_API queue_closed : public std::runtime_error {
public:
    queue_closed() : std::runtime_error{"weft: put() on a closed queue or channel"} {}
};

/// Says that a queue has no capacity: `weft::queue<int> q{weft::unbounded}`. It takes what memory its items need.
struct unbounded_t {};
inline constexpr unbounded_t unbounded{};

/// Items in order, at most `capacity` of them: put() waits for room, get() for an item. The order is the only thing
/// that queue, lifo_queue and priority_queue do not share; joinable<> adds join() to any of them.
///
///     weft::queue<job> jobs{128};
///     auto worker = weft::spawn([&] { for (job& each : jobs) run(each); });
///     jobs.put(job{1});
///     jobs.close();    // the worker ends when it has run what is inside
///     worker.join();
///
/// Order:     of a queue: first in, first out. Waiting getters, and waiting putters, are served in the order in which
///            they came, and nobody overtakes them. An item that a getter waits for is its own from the put() on.
/// Threads:   any task of any hub and any plain OS thread may call anything at any time. What finds room or an item
///            waits for nothing, and may be called in a callback of the hub.
/// Lifetime:  must outlive its waiters; destroying it while somebody waits aborts. Whoever has got the last item may
///            destroy it at once.
/// Items:     of a type whose move and destructor do not throw. Moves, what comparing a priority_queue needs, and
///            the destruction of what has been moved from happen while a lock is held: they may not wait, nor use the
///            queue. Items are destroyed while it is not held.
/// Cancel:    get(), peek() and put() are cancellation points where they wait. A cancelled caller has neither put nor
///            taken anything. A kill that comes when an item is already on its way gives the item to the next getter,
///            or back to the place that it had: a queue's front, even if that makes one more than the capacity. Where
///            the kill comes when put()'s item is in already, put() returns, and the next wait meets the kill.
/// gevent:    gevent.queue.Queue(maxsize)
template <class T, class Storage, bool Joinable = false>
class basic_queue {
public:
    using value_type = T;
    using iterator = detail::queue_iterator<detail::queue_core<T, Storage, Joinable>>;

    /// The memory for all items is taken now.
    /// @throws std::invalid_argument  a capacity of 0: a rendezvous is a weft::channel
    explicit basic_queue(std::size_t capacity) : core_{checked(capacity), capacity} {}
    explicit basic_queue(unbounded_t) : core_{core::no_limit, 0} {}
    basic_queue(const basic_queue&) = delete;
    basic_queue& operator=(const basic_queue&) = delete;

    /// Puts an item in, waiting for room. The item has been moved from only if it is in.
    /// @throws queue_closed    it is closed, or was while this waited
    /// @throws fiber_exit      the calling task was killed while it waited
    /// @throws std::bad_alloc  an unbounded queue cannot grow
    void put(T&& item) { (void)put(std::move(item), deadline::never()); }
    void put(const T& item) requires std::copy_constructible<T> { put(T(item)); }
    /// @returns false if there was no room before the deadline; the item has not been touched
    bool put(T&& item, deadline by) { return is_in(core_.put(item, by)); }
    bool put(const T& item, deadline by) requires std::copy_constructible<T> { return put(T(item), by); }
    /// Never waits, and is no cancellation point.
    [[nodiscard]] bool try_put(T&& item) { return is_in(core_.put_now(item)); }
    [[nodiscard]] bool try_put(const T& item) requires std::copy_constructible<T> { return try_put(T(item)); }

    /// Takes the item whose turn it is, waiting for one. Empty once the queue is closed and drained.
    /// @throws fiber_exit  the calling task was killed while it waited
    std::optional<T> get() { return get(deadline::never()); }
    /// Also empty if no item came before the deadline; closed() tells which.
    std::optional<T> get(deadline by) {
        std::optional<T> item;
        core_.get(item, by);
        return item;
    }
    /// Never waits, and is no cancellation point.
    std::optional<T> try_get() noexcept {
        std::optional<T> item;
        core_.get_now(item);
        return item;
    }

    /// A copy of the item that the next get() would take, made while the lock is held: copying may throw, but not
    /// wait. Waits and ends as get() does, but takes no turn: an item that goes to a waiting get() is not seen.
    [[nodiscard]] std::optional<T> peek() requires std::copy_constructible<T> { return core_.peek(deadline::never()); }
    [[nodiscard]] std::optional<T> peek(deadline by) requires std::copy_constructible<T> { return core_.peek(by); }

    /// No more put(); what is inside can still be taken. Wakes everybody who waits to put or get: putters with
    /// queue_closed, getters with nothing. Idempotent. gevent: shutdown()
    void close() noexcept { core_.close(); }
    /// As close(), and destroys what is inside, before it returns. What was on its way to a getter that is then killed
    /// is destroyed with that getter's get(). gevent: shutdown(immediate=True)
    /// @returns how many items were inside
    std::size_t close_now() noexcept { return core_.close_now(); }
    [[nodiscard]] bool closed() const noexcept { return core_.closed(); }

    /// Takes item after item until the queue is closed and drained: `for (auto& item : q)`. An item lives until the
    /// next is taken. Several may do so at once; each item goes to one of them. gevent: iteration until StopIteration
    [[nodiscard]] iterator begin() { return iterator{core_}; }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    /// Items inside, without those that wait to be put; stale after the next switch, as the next two.
    [[nodiscard]] std::size_t size() const noexcept { return core_.size(); }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    /// Whether put() would wait; an unbounded queue never is.
    [[nodiscard]] bool full() const noexcept { return size() >= capacity(); }
    /// SIZE_MAX of an unbounded queue.
    [[nodiscard]] std::size_t capacity() const noexcept { return core_.capacity(); }

protected:
    using core = detail::queue_core<T, Storage, Joinable>;

    // What only looks takes the lock, too.
    mutable core core_;

private:
    static std::size_t checked(std::size_t capacity) {
        if (capacity == 0)
            throw std::invalid_argument("weft: a queue of capacity 0 could never take an item; use 1 or more, "
                                        "weft::unbounded, or a weft::channel, whose put() waits for a get()");
        return capacity;
    }
    static bool is_in(detail::queue_step step) {
        if (step == detail::queue_step::closed) throw queue_closed{};
        return step == detail::queue_step::done;
    }
};

template <class T>
using queue = basic_queue<T, detail::fifo<T>>;

}  // namespace weft
