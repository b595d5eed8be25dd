/// @file weft/task_hooks.hpp
/// Functions of the program's that are told of tasks: each one's start, and errors that nobody asked for.  Floor: sched.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <string>

#include <weft/detail/export.hpp>
#include <weft/fiber.hpp>

namespace weft {

/// Called for an error that ended a task and that nobody asked for before its last handle went, in the
/// context of whoever dropped it. The default prints one line to standard error. May not throw or wait.
/// @returns the previous hook
using unhandled_hook = void (*)(std::uint64_t id, const std::string& name, const std::exception_ptr& error);
WEFT_API unhandled_hook on_unhandled(unhandled_hook hook) noexcept;

/// Has `function` called with each task that is spawned from now on, on any thread, in the fiber that spawns, before the
/// task first runs; in the order in which they were added. What it throws is reported as unhandled, and the spawn goes on.
/// @returns what remove_spawn_callback() takes
/// gevent: Greenlet.add_spawn_callback
WEFT_API std::uint64_t add_spawn_callback(std::function<void(const fiber&)> function);
/// Calls in progress on other threads go on. @returns whether it was there
WEFT_API bool remove_spawn_callback(std::uint64_t id);

}  // namespace weft
