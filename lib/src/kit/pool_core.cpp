#include <weft/detail/pool_core.hpp>

#include <stdexcept>

#include <weft/timeout.hpp>

#include "sched/scheduler.hpp"

namespace weft::detail {

pool_core::pool_core(std::size_t size) : group_core{on_error::goes_on}, room_{size} {
    if (size == 0) throw std::invalid_argument("weft: a pool of size 0 could never run a task; use 1 or more");
}

void pool_core::take_room_here() {
    room_.acquire();
    if (!give_permit_to_caller()) give_room();
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
    kill_others(nullptr);
    const bool inside = has_caller();
    const bool ended = !inside && join(by);
    reopen();
    return ended;
}

bool pool_core::wait_available(deadline by) {
    if (!room_.try_acquire_until(by)) return false;
    room_.release();
    return true;
}

void pool_core::leave() {
    if (std::uncaught_exceptions() > in_flight_) {
        kill_others(nullptr);
        return join_all_the_same();
    }
    try {
        (void)join(deadline::never());
    } catch (...) {
        kill_others(nullptr);
        join_all_the_same();
        throw;
    }
}

}  // namespace weft::detail
