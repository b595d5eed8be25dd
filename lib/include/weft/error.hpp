/// @file weft/error.hpp
/// What weft throws.  Floor: base.
///
/// Three kinds that never mix: fiber_exit for cancellation, which is no std::exception so that
/// `catch (std::exception&)` lets it pass; classes derived from std::logic_error for wrong use that leaves
/// everything intact, whose text names the remedy; std::system_error and std::bad_alloc for resources that
/// the system refuses. A deadline that the caller passed in is never an exception: the call returns false.
#pragma once

#include <stdexcept>
#include <string>

#include <weft/detail/export.hpp>

namespace weft {

/// Thrown at a task's or fiber's wait when it is killed, or when its last handle is dropped. Let it pass:
/// the destructors on its way are the clean-up. A task that swallows it meets it again at its next wait.
/// greenlet: GreenletExit
class WEFT_API fiber_exit {};

/// A switch to a fiber that belongs to another OS thread. Use hub::post() to reach that thread.
class WEFT_API wrong_thread : public std::logic_error {
    using std::logic_error::logic_error;
};

/// A switch that would wake a fiber behind the scheduler's back: it is parked, ready, or the hub's own.
/// gevent: InvalidSwitchError
class WEFT_API invalid_switch : public std::logic_error {
    using std::logic_error::logic_error;
};

/// A message was asked for values of other types, or another number of them, than it holds.
class WEFT_API bad_message : public std::logic_error {
    using std::logic_error::logic_error;
};

/// A waiting call where nothing may wait: in a callback that the hub runs. Spawn a task there instead.
/// gevent: BlockingSwitchOutError
class WEFT_API blocking_in_hub : public std::logic_error {
    using std::logic_error::logic_error;
};

/// A lock taken twice by one task, or given back by a task that does not hold it; a permit too many.
class WEFT_API lock_misuse : public std::logic_error {
    using std::logic_error::logic_error;
};

/// Thrown into the main fiber when nothing can ever wake it; the text lists every parked task and what it
/// waits for. gevent: LoopExit
class WEFT_API deadlock : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// task::get() of a task that was killed. gevent returns the GreenletExit instance as the value instead; a
/// C++ task has a result type that cannot hold one.
class WEFT_API task_killed : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace weft
