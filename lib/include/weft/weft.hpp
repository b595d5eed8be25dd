/// @file weft/weft.hpp
/// Everything but the shim: weft/monkey.hpp and weft/shim.hpp are asked for by name.  Floor: kit.
#pragma once

#include <weft/barrier.hpp>
#include <weft/bounded_semaphore.hpp>
#include <weft/context_var.hpp>
#include <weft/deadline.hpp>
#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/generator.hpp>
#include <weft/hub.hpp>
#include <weft/latch.hpp>
#include <weft/local.hpp>
#include <weft/message.hpp>
#include <weft/mutex.hpp>
#include <weft/once.hpp>
#include <weft/queue.hpp>
#include <weft/semaphore.hpp>
#include <weft/stack.hpp>
#include <weft/stop_iteration.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>
#include <weft/timer.hpp>
#include <weft/trace.hpp>
#include <weft/watchdog.hpp>
#include <weft/yielder.hpp>
