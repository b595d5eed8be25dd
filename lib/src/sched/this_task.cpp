#include <weft/this_task.hpp>

#include <weft/fiber.hpp>

#include "sched/scheduler.hpp"

namespace weft::this_task {

void yield() {
    if (detail::scheduler::here().yield() == detail::wake::killed) detail::exit_fiber();
}

void sleep_until(deadline by) {
    if (by.is_past()) return yield();
    detail::parking w{"a sleep"};
    w.by = by;
    if (detail::scheduler::here().park(w) == detail::wake::killed) detail::exit_fiber();
}

std::uint64_t id() { return fiber::current().id(); }
std::string name() { return fiber::current().name(); }

}  // namespace weft::this_task
