// The full fence.  Floor: base.
#pragma once

namespace weft::detail {

/// Who stores before one and loads after it, and who does the same with the two words exchanged: one of them sees the
/// other's store. std::atomic_thread_fence does not compile under ThreadSanitizer.
inline void full_fence() noexcept { __sync_synchronize(); }

}  // namespace weft::detail
