// The frames of a thread that stands still, from outside.  Floor: shim.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::shim {

/// Where a thread stands.
struct standpoint {
    std::uintptr_t pc = 0;
    std::uintptr_t sp = 0;
    std::uintptr_t fp = 0;      // the frame pointer; 0: not known
    bool calls = false;         // pc is an address to return to, behind its call
};

/// Reads the stack as memory that may change or go: never faults, and from a thread that runs on gets nonsense.
/// @returns how many, innermost first, with `from.pc` as the first
std::size_t unwind(standpoint from, void** frames, std::size_t room) noexcept;

}  // namespace weft::shim
