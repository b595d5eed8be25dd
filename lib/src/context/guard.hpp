// What stands below a stack.  Floor: context.
#pragma once

#include <cstddef>

#include <weft/stack.hpp>

namespace weft::detail {

inline constexpr std::size_t page_size = 4096;
inline constexpr std::size_t guard_size = 64 * 1024;

/// What `wanted` comes to with this kernel and environment; never automatic.
/// @throws std::system_error  lightweight is asked for, and the kernel does not have it
stack_guard settle(stack_guard wanted);

struct guarded {
    std::size_t count;  // stacks whose guard stands, from the first on
    int error;          // why not all, or 0
};
/// Guards `count` stacks that lie `stride` bytes apart; the first one's guard begins at `first`.
guarded install_guards(stack_guard kind, std::byte* first, std::size_t stride, std::size_t count) noexcept;

/// Commits the page at `first` and those that follow it `stride` bytes apart, as a touch would, at less cost; or
/// does nothing.
void commit_pages(std::byte* first, std::size_t stride, std::size_t count) noexcept;

}  // namespace weft::detail
