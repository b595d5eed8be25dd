/// @file weft/testing.hpp
/// For tests of code that runs on weft: time by hand, and what is left behind.  Floor: sched.
#pragma once

#include <chrono>
#include <cstddef>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>

namespace weft::testing {

/// While one exists, this thread's hub runs on a clock that only advance() moves, and makes no system call of
/// its own; descriptors are not looked at. Posts from other threads still arrive. If nothing can ever run
/// again, main gets weft::deadlock, also when somebody waits for a time that nobody is left to advance to.
///
/// Threads:  the making thread's only; in its main fiber or a task.
/// Throws:   std::logic_error if this thread's hub waits for descriptors already, or has a manual clock.
class WEFT_API manual_clock {
public:
    manual_clock();
    ~manual_clock();
    manual_clock(const manual_clock&) = delete;
    manual_clock& operator=(const manual_clock&) = delete;

    /// Moves time on and makes ready whoever slept until then; does not switch.
    void advance(clock::duration by);
};

/// Runs every ready task until all are parked, without waiting for anything.
/// @throws std::logic_error  a task yields for ever
WEFT_API void settle();

/// What this thread holds at the moment.
struct census {
    std::size_t tasks;     ///< spawned and not ended
    std::size_t fibers;    ///< not dead, tasks included, main and the hub's not
    std::size_t stacks;    ///< in use, the hub's included
    std::size_t waits;     ///< in progress for a descriptor or a pool's job
};
WEFT_API census count();

/// "ret" or "boost": how a switch ends here (WEFT_SWITCH in the environment chooses).
WEFT_API const char* switch_kind() noexcept;

}  // namespace weft::testing
