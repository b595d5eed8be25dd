/// @file weft/this_task.hpp
/// What the running task does to itself: yield and sleep.  Floor: sched.
#pragma once

#include <cstdint>
#include <string>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>

namespace weft {

/// Every call here works in any fiber: a task, a thread's main fiber, an explicit one. In a callback of the hub
/// it throws blocking_in_hub.
namespace this_task {

/// Lets every task that is ready now run first. Descriptors and timers are looked at when a millisecond has
/// passed since the last look, so a loop of yields does not starve them.
/// @throws fiber_exit  the task was killed
/// gevent: gevent.sleep(0)
WEFT_API void yield();

/// Parks until `by`; other tasks run. A deadline already past yields. Wakes at or after it, never before; tasks
/// with equal deadlines wake in the order in which they went to sleep. How late is the kernel's affair, as in
/// clock_nanosleep(), also for sleeps below a millisecond (some 50 us, prctl(2) PR_SET_TIMERSLACK); before Linux 5.11
/// the hub waits for whole milliseconds, rounded up.
/// @throws fiber_exit  the task was killed
WEFT_API void sleep_until(deadline by);

/// @throws std::invalid_argument  a negative duration
/// gevent: gevent.sleep
template <class Rep, class Period>
void sleep_for(std::chrono::duration<Rep, Period> span) {
    sleep_until(deadline::after(span));
}

/// Parks until this thread has nothing else to do: no task is ready, and a look at descriptors, timers and posts has made
/// none so. All that are idle wake then, in the order in which they came.
/// @throws fiber_exit  the task was killed
/// gevent: gevent.idle
WEFT_API void idle();

/// A kill has come, or a timeout scope has expired, that the next wait will throw (no wait inside a weft::shield does): for
/// long computations, which nothing else tells.
WEFT_API bool interrupted() noexcept;

/// As task::id() and task::name() of the running task; "main" in a thread's main fiber.
WEFT_API std::uint64_t id();
WEFT_API std::string name();

}  // namespace this_task

using this_task::sleep_for;
using this_task::sleep_until;
using this_task::yield;

}  // namespace weft
