// Children that weft has made for a call.  Floor: shim.
#pragma once

#include <spawn.h>

#include <weft/monkey.hpp>

#include "core.hpp"
#include "gate.hpp"

namespace weft::shim {

/// Waits for it, whatever signal comes. @returns as waitpid()
pid_t reap(core& c, bool parks, pid_t child, int* status);

/// Whether calls that are weft's own everywhere park where they wait.
inline bool parks_children(const core& c) noexcept { return c.who == caller::ours || parks(monkey::area::process); }

/// /bin/sh, with what is to differ from this process. @returns 0 or an error number
int start_shell(const char* line, pid_t* child, const posix_spawn_file_actions_t* files,
                const posix_spawnattr_t* attributes) noexcept;

/// Before anything is begun. @throws blocking_in_hub  in a callback of the hub
void refuse_in_hub(const core& c, const char* call);

}  // namespace weft::shim
