// Who is told of each task that is spawned.  Floor: sched.
#pragma once

#include <atomic>

#include <weft/detail/task_block.hpp>

namespace weft::detail {

extern std::atomic<bool> spawn_callbacks_exist;
inline bool spawn_is_watched() noexcept { return spawn_callbacks_exist.load(std::memory_order_relaxed); }
void tell_of_spawn(task_block& block) noexcept;

}  // namespace weft::detail
