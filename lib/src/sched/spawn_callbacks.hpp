// Who is told of each task that is spawned.  Floor: sched.
#pragma once

#include <weft/detail/task_block.hpp>

namespace weft::detail {

bool spawn_is_watched() noexcept;
void tell_of_spawn(task_block& block) noexcept;

}  // namespace weft::detail
