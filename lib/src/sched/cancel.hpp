// What ends a wait before its time: a kill, or a timeout scope.  Floor: sched.
#pragma once

#include <weft/deadline.hpp>
#include <weft/detail/wait_list.hpp>

#include "fiber/thread.hpp"

namespace weft::detail {

/// The fiber was killed, and no shield keeps the kill away.
bool kill_pending(const record& rec) noexcept;

/// A kill or an expired scope ends the fiber's next wait that can be interrupted, or the one that it is in.
bool interrupted_now(const record& rec) noexcept;

/// The scope that ends the fiber's wait at this time has done so. @returns false if there is none
bool fire_scope(record& rec, clock::time_point time) noexcept;

/// Throws what interrupts the running fiber.
void throw_interruption();

/// An interposed call is about to answer an interruption. @returns whether a timeout scope is the reason, which from
/// now on owes its exception; else a kill is
WEFT_API bool answer_for_timeout() noexcept;

}  // namespace weft::detail
