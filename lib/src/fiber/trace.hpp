// The tracer of a thread.  Floor: fiber.
#pragma once

#include <weft/trace.hpp>

#include "fiber/thread.hpp"

namespace weft::detail {

struct tracing {
    tracer call;
    handle<end_block> origin;  // whom the switch under way has left; null outside of one
};

/// @returns the previous one; null for none
tracer set_tracer(thread& t, tracer next);

/// Calls it for the switch that has just arrived; one that throws is removed first.
void trace_arrival(thread& t, bool thrown_at);

}  // namespace weft::detail
