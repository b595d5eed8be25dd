// What becomes of weft in a forked child.  Floor: hub.
#pragma once

namespace weft::detail {

/// From the first call on, a fork() leaves the child with the forking fiber alone, a hub of its own, and pools
/// without threads.
void watch_forks();

}  // namespace weft::detail
