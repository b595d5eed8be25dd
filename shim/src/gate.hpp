// Which areas are patched, and who wants to know of their calls.  Floor: shim.
#pragma once

#include <atomic>
#include <string_view>

#include <weft/monkey.hpp>

#include "io/readiness.hpp"

namespace weft::shim {

inline constexpr int areas = 9;

/// A gate is a byte of these bits, so that one load decides whether a call goes straight on to libc.
enum : std::uint8_t {
    is_patched = 1,
    is_told = 2,  // somebody counts calls or watches the thread
};
extern std::atomic<std::uint8_t> gates[areas];
/// The index of an area by its name; -1 for none.
int area_named(std::string_view name) noexcept;

inline std::uint8_t gate_of(monkey::area which) noexcept {
    return gates[static_cast<int>(which)].load(std::memory_order_relaxed);
}

/// Whether a call of this area, made here and now, is to park instead of blocking.
inline bool parks(monkey::area which) noexcept {
    return (gate_of(which) & is_patched) != 0 && detail::io::may_park();
}

/// Counts the forks that this process has gone through, as parent or child: a socket from before one may have
/// another process on it.
std::uint32_t forks() noexcept;

}  // namespace weft::shim
