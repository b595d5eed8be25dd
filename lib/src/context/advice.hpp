// madvise() of many ranges.  Floor: context.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include <sys/uio.h>

namespace weft::detail {

inline constexpr long guard_install = 102;  // MADV_GUARD_INSTALL, Linux 6.13
inline constexpr long populate_write = 23;  // MADV_POPULATE_WRITE, Linux 5.14

inline constexpr std::size_t most_at_once = 32;

/// Ranges of the same size, `stride` bytes apart.
class strided_ranges {
public:
    /// @param count  at most most_at_once
    strided_ranges(std::byte* first, std::size_t size, std::size_t stride, std::size_t count) noexcept
        : count_{count} {
        for (std::size_t i = 0; i < count; ++i) ranges_[i] = {first + i * stride, size};
    }
    operator std::span<const iovec>() const noexcept { return {ranges_.data(), count_}; }

private:
    std::array<iovec, most_at_once> ranges_;
    std::size_t count_;
};

struct advised {
    std::size_t count;  // ranges done, from the first on
    int error;          // why not all, or 0
};
/// One system call for at most most_at_once ranges where the kernel lets a process advise itself so (Linux
/// 6.15), else one for each.
advised advise(std::span<const iovec> ranges, long advice) noexcept;

}  // namespace weft::detail
