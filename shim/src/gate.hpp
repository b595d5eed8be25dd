// Which areas are patched.  Floor: shim.
#pragma once

#include <atomic>
#include <string_view>

#include <weft/monkey.hpp>

#include "io/readiness.hpp"

namespace weft::shim {

inline constexpr int areas = 9;
extern std::atomic<bool> patched[areas];
/// The index of an area by its name; -1 for none.
int area_named(std::string_view name) noexcept;

/// Whether a call of this area, made here and now, is to park instead of blocking.
inline bool parks(monkey::area which) noexcept {
    return patched[static_cast<int>(which)].load(std::memory_order_relaxed) && detail::io::may_park();
}

/// Counts the forks that this process has gone through, as parent or child: a socket from before one may have
/// another process on it.
std::uint32_t forks() noexcept;

}  // namespace weft::shim
