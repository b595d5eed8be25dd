// What stands below a stack.  Floor: context.
#pragma once

#include <cstddef>

#include <weft/stack.hpp>

#include "context/advice.hpp"

namespace weft::detail {

inline constexpr std::size_t page_size = 4096;
inline constexpr std::size_t guard_size = 64 * 1024;

/// What `wanted` comes to with this kernel and environment; never automatic.
/// @throws std::system_error  lightweight is asked for, and the kernel does not have it
stack_guard settle(stack_guard wanted);

/// Guards at most most_at_once stacks that lie `stride` bytes apart; the first one's guard begins at `first`.
advised install_guards(stack_guard kind, std::byte* first, std::size_t stride, std::size_t count) noexcept;

}  // namespace weft::detail
