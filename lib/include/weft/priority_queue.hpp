/// @file weft/priority_queue.hpp
/// A queue that gives out the smallest item first.  Floor: kit.
#pragma once

#include <functional>

#include <weft/detail/queue_heap.hpp>
#include <weft/queue.hpp>

namespace weft {

/// A weft::queue in all else, whose header is the manual.
///
/// Order:     the smallest first, as in gevent, where std::priority_queue gives out its greatest. More exactly: of
///            what is inside, an item before which no other goes by Compare. Among equals that is the one that came
///            first, or with ties::any whichever is cheapest, which saves eight bytes an item. The item of a put() that
///            waits for room has no part in this until another is taken, and an item that a getter waits for goes to
///            it at once.
/// Items:     Compare is default-constructible and calls nothing that waits; one that throws ends the process.
/// gevent:    gevent.queue.PriorityQueue
template <class T, class Compare = std::less<T>, ties Equals = ties::first_come>
using priority_queue = basic_queue<T, detail::heap<T, Compare, Equals>>;

}  // namespace weft
