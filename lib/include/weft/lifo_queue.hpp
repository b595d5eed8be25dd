/// @file weft/lifo_queue.hpp
/// A queue that gives out the latest item first.  Floor: kit.
#pragma once

#include <weft/detail/queue_storage.hpp>
#include <weft/queue.hpp>

namespace weft {

/// A weft::queue in all else, whose header is the manual.
///
/// Order:     last in, first out, of what is inside: the item of a put() that waits for room comes in when another is
///            taken. An item that a killed getter gives back lies below those that came since.
/// gevent:    gevent.queue.LifoQueue
template <class T>
using lifo_queue = basic_queue<T, detail::lifo<T>>;

}  // namespace weft
