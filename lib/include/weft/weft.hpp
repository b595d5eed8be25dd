/// @file weft/weft.hpp
/// Everything but the shim: weft/monkey.hpp and weft/shim.hpp are asked for by name.  Floor: kit.
#pragma once

#include <weft/async_result.hpp>
#include <weft/channel.hpp>
#include <weft/context_var.hpp>
#include <weft/deadline.hpp>
#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/future.hpp>
#include <weft/generator.hpp>
#include <weft/group.hpp>
#include <weft/hub.hpp>
#include <weft/joinable_queue.hpp>
#include <weft/lifo_queue.hpp>
#include <weft/local.hpp>
#include <weft/message.hpp>
#include <weft/mutex.hpp>
#include <weft/offload.hpp>
#include <weft/pool.hpp>
#include <weft/priority_queue.hpp>
#include <weft/queue.hpp>
#include <weft/semaphore.hpp>
#include <weft/stack.hpp>
#include <weft/stop_iteration.hpp>
#include <weft/task.hpp>
#include <weft/task_hooks.hpp>
#include <weft/this_task.hpp>
#include <weft/thread_pool.hpp>
#include <weft/timeout.hpp>
#include <weft/trace.hpp>
#include <weft/wait.hpp>
#include <weft/yielder.hpp>
