// Sets of signals as the kernel has them, and what tells that one of them is there.  Floor: shim.
#pragma once

#include <cstdint>
#include <cstring>

#include "core.hpp"
#include "own_descriptor.hpp"

namespace weft::shim {

inline std::uint64_t bits_of(const sigset_t& set) noexcept {
    std::uint64_t bits;
    std::memcpy(&bits, &set, sizeof bits);
    return bits;
}

inline sigset_t set_of(std::uint64_t bits) noexcept {
    sigset_t set;
    ::sigemptyset(&set);
    std::memcpy(&set, &bits, sizeof bits);
    return set;
}

constexpr std::uint64_t bit_of(int number) noexcept { return std::uint64_t{1} << (number - 1); }

/// Readable for each thread while one of these signals, blocked, is there for it or for the process.
/// @returns as the system call
long new_signalfd(std::uint64_t bits) noexcept;

/// @returns ready if the descriptor is readable, and now and then if there is none
io::outcome wait_for_signal(const own_descriptor& signals, const io::manner& how);

}  // namespace weft::shim
