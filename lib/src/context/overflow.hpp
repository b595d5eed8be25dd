// Who has run into the guard of its stack.  Floor: context.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace weft::detail {

struct overflow_report {
    bool task = false;
    std::uint64_t id = 0;
    std::array<char, 64> name{};  // ends in a null character; empty if it has none
    std::size_t stack_size = 0;
    std::size_t wanted = 0;  // bytes of stack, as far down as the fault
};

/// Whether `address` lies in the guard of the stack that this thread runs on, and whose that is. Called in a
/// handler of SIGSEGV; defined by the fiber floor.
bool describe_overflow(const void* address, overflow_report& report) noexcept;

/// Installs the handler of the process, once.
/// @throws std::system_error  sigaction is refused
void catch_overflows();

}  // namespace weft::detail
