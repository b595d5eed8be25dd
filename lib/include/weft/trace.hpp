/// @file weft/trace.hpp
/// Being told of each switch.  Floor: fiber.
#pragma once

#include <cstdint>
#include <functional>

#include <weft/detail/export.hpp>
#include <weft/fiber.hpp>

namespace weft {

/// How the target of a switch has been reached. Later versions may add kinds: ignore what you do not know.
enum class trace_event : std::uint8_t {
    switched,  ///< with a value: switch_to(), the end of a child, a turn of the scheduler
    thrown,    ///< with an exception: throw_into(), an error that ended a child, an unwinding
};

/// Called as tracer(event, origin, target).
using tracer = std::function<void(trace_event, const fiber& origin, const fiber& target)>;

/// Has `next` called for every switch of this thread from now on, or nobody if it is empty.
///
/// Order:    in the target, after the switch and before the target's own code goes on. A switch of a fiber to
///           itself counts. A switch by way of the hub is told as one from the hub; those into it are not told.
///           The tracer may switch; those switches are told, too.
/// Threads:  each has its own tracer, none at first.
/// Errors:   a tracer that throws is removed, and its exception is thrown in the target instead of what was
///           sent to it. In a task that was waiting in the scheduler it is reported like one that nobody has
///           observed (on_unhandled), and the wait goes on as it ended.
/// Cost:     while a tracer is set every switch takes the long way; otherwise none.
/// greenlet: settrace, whose events "switch" and "throw" these are
/// @returns the previous one, empty for none: greenlet's gettrace is the same with a second call
WEFT_API tracer set_trace(tracer next);

}  // namespace weft
