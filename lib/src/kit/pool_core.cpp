#include <weft/detail/pool_core.hpp>

#include <stdexcept>

#include <weft/error.hpp>
#include <weft/timeout.hpp>

#include "sched/scheduler.hpp"

namespace weft::detail {

pool_core::pool_core(std::size_t size) : group_core{on_error::goes_on}, room_{size} {
    if (size == 0) throw std::invalid_argument("weft: a pool of size 0 could never run a task; use 1 or more");
}

void pool_core::take_room_here() {
    // Without room, where nobody can be interrupted and nothing comes any more: at the thread's end.
    if (room_.try_acquire_until(deadline::never()) && !give_permit_to_caller()) give_room();
}

bool pool_core::lend_room() noexcept {
    const bool had = take_permit_of_caller();
    if (had) give_room();
    return had;
}

// Whatever interrupts the caller comes at its next wait.
void pool_core::take_back_room() noexcept {
    const shield whole;
    try {
        take_room_here();
    } catch (...) {
        // The thread is ending, and nobody asks for room any more.
    }
}

bool pool_core::kill(deadline by) {
    if (this_thread().current->is_hub && by.when() != clock::time_point::min())
        throw blocking_in_hub("weft: kill() of a pool would wait in a callback of the hub; use kill(deadline::past()) there");
    struct opener {
        pool_core& core;
        ~opener() { core.reopen(); }
    } const serves_on{*this};
    kill_others(nullptr);
    return !has_caller() && join(by);
}

void end_of_feeder(const task<void>& feeder) noexcept {
    const shield whole;
    try {
        if (this_thread().current->is_hub) (void)feeder.kill(deadline::past());
        else (void)feeder.kill();
    } catch (...) {
        // The thread is ending, and the feeder with it.
    }
}

bool pool_core::wait_available(deadline by) {
    if (!room_.try_acquire_until(by)) return false;
    room_.release();
    return true;
}

}  // namespace weft::detail
