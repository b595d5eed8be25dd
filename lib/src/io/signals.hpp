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

/// Parks with every node linked that has to be; a signal may end it by the rule.
wake park(const manner& how, const void* on, bool for_descriptors);
outcome outcome_of(wake cause) noexcept;

/// A signal handler may be running on top of what it has interrupted, whose locks are not to be had and in whose place
/// nobody else may run. Its own signal is blocked meanwhile: without any blocked, none runs (but one with SA_NODEFER).
bool perhaps_in_handler() noexcept;

}  // namespace weft::detail::io
