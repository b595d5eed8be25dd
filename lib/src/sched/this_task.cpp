#include <weft/this_task.hpp>

#include <algorithm>

#include <weft/fiber.hpp>
#include <weft/spawn_later.hpp>

#include "sched/cancel.hpp"
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

void idle() {
    if (detail::scheduler::here().idle() == detail::wake::killed) detail::exit_fiber();
}

bool interrupted() noexcept {
    const detail::thread* const t = detail::this_thread_if_any();
    return t && (t->unwinding || detail::interrupted_now(*t->current));
}

std::uint64_t id() { return fiber::current().id(); }
std::string name() { return fiber::current().name(); }

}  // namespace weft::this_task

void weft::detail::sleep_unstarted(deadline at) {
    end_block& block = *this_thread().current->block;
    block.state.store(phase::pending, std::memory_order_relaxed);
    // In the order of the times also where they have passed.
    if (at.when() != clock::time_point::min())
        this_task::sleep_until(deadline::at(std::max(at.when(), now() + clock::duration{1})));
    block.state.store(phase::started, std::memory_order_relaxed);
}
