/// @file weft/joinable_queue.hpp
/// A queue that can be waited for until all that was put in has been dealt with.  Floor: kit.
#pragma once

#include <cstddef>
#include <stdexcept>

#include <weft/deadline.hpp>
#include <weft/queue.hpp>

namespace weft {

template <class Queue>
class joinable;

/// A queue of any order, and a count of its items that are not yet done with: `joinable<lifo_queue<T>>`. Whoever has
/// taken an item says task_done() when it has dealt with it; join() waits until that has been said of every item. In
/// all else it is the Queue, whose header is the manual.
///
/// Order:     all who join() are woken at once.
/// Lifetime:  whoever returns from join() may destroy it, if nobody else still uses it.
/// Cancel:    join() is a cancellation point; it has nothing to hand on. An item that a killed getter gives back
///            is still to be done with.
/// gevent:    gevent.queue.JoinableQueue
template <class T, class Storage>
class joinable<basic_queue<T, Storage>> : public basic_queue<T, Storage, true> {
public:
    using basic_queue<T, Storage, true>::basic_queue;

    /// Says that one of the items that were taken has been dealt with. Any task may say it of any item.
    /// @throws std::logic_error  it has been said of all that were put in; nothing has changed
    void task_done() {
        if (!this->core_.task_done())
            throw std::logic_error("weft: task_done() more often than items were put into the queue; say it once for "
                                   "each item that get() gave you, and not when get() gave you nothing");
    }

    /// Waits until nothing is unfinished. close() changes nothing about that: what is inside is to be taken and dealt
    /// with. The items that close_now() destroys count as done; join() still waits for those that were taken before.
    /// @throws fiber_exit  the calling task was killed while it waited
    void join() { (void)join(deadline::never()); }
    /// @returns false if something is unfinished still at the deadline
    [[nodiscard]] bool join(deadline by) { return this->core_.join(by); }

    /// Items that have come in, and of which task_done() has not been said; stale after the next switch. An item whose
    /// put() waits for room has not come in.
    [[nodiscard]] std::size_t unfinished() const noexcept { return this->core_.unfinished(); }
};

template <class T>
using joinable_queue = joinable<queue<T>>;

}  // namespace weft
