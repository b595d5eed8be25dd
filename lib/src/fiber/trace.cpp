#include "fiber/trace.hpp"

#include <utility>

namespace weft {
namespace detail {

tracer set_tracer(thread& t, tracer next) {
    tracer previous;
    if (t.trace) previous = std::move(t.trace->call);
    // Kept while it is set: a switch may be under way whose origin is noted.
    if (!t.trace && next) t.trace = std::make_unique<tracing>();
    if (t.trace) t.trace->call = std::move(next);
    if (t.trace && t.trace->call) t.slow |= thread::traced;
    else t.slow &= static_cast<std::uint8_t>(~thread::traced);
    return previous;
}

void thread::note_origin() noexcept { trace->origin = handle<end_block>::share(current->block); }

void trace_arrival(thread& t, bool thrown_at) {
    handle<end_block> origin = std::move(t.trace->origin);
    if (!origin || t.current->is_hub) return;
    const fiber from = fiber_of(std::move(origin)), to = fiber::current();
    const tracer call = t.trace->call;  // it may replace itself
    try {
        call(thrown_at ? trace_event::thrown : trace_event::switched, from, to);
    } catch (...) {
        if (t.trace) set_tracer(t, nullptr);
        throw;
    }
}

}  // namespace detail

tracer set_trace(tracer next) { return detail::set_tracer(detail::this_thread(), std::move(next)); }

}  // namespace weft
