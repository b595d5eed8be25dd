/// @file weft/testing.hpp
/// For tests of code that runs on weft: time by hand, and what is left behind.  Floor: sched.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>

namespace weft::testing {

/// How the time of a manual_clock passes besides advance().
enum class time_passes {
    by_hand,    ///< not at all
    when_idle,  ///< to the next deadline whenever no task is ready: whole days of sleeping take no time
};

/// While one exists, this thread's hub runs on a clock that only advance() moves, and makes no system call of
/// its own; descriptors are not looked at. Posts from other threads still arrive. If nothing can ever run
/// again, main gets weft::deadlock, also when somebody waits for a time that nobody is left to advance to.
///
/// Threads:  the making thread's only; in its main fiber or a task.
/// Throws:   std::logic_error if this thread's hub waits for descriptors already, or has a manual clock.
class WEFT_API manual_clock {
public:
    explicit manual_clock(time_passes how = time_passes::by_hand);
    ~manual_clock();
    manual_clock(const manual_clock&) = delete;
    manual_clock& operator=(const manual_clock&) = delete;

    /// Moves time on and makes ready whoever slept until then; does not switch.
    void advance(clock::duration by);
};

/// While one exists, each task of this thread that becomes ready enters the ready queue at a place drawn from `seed`, not
/// at its end: one seed, one order. What a header promises of order does not hold meanwhile; everything else does.
class WEFT_API seeded_order {
public:
    explicit seeded_order(std::uint64_t seed);
    ~seeded_order();
    seeded_order(const seeded_order&) = delete;
    seeded_order& operator=(const seeded_order&) = delete;

private:
    std::uint64_t before_;
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
