// Waits that a signal handler interrupts.  Floor: io.
#pragma once

#include "io/readiness.hpp"
#include "sched/scheduler.hpp"

namespace weft::detail::io {

/// In scheduler::signalable() while its fiber is parked, longest wait first.
struct signal_node : list_node {
    signal_node(parking& w, signal_rule r) noexcept : pause{w}, rule{r} {}
    parking& pause;
    signal_rule rule;
};

}  // namespace weft::detail::io
