// Reading and writing regular files and block devices.  Floor: shim.
#pragma once

#include <optional>

#include "../core.hpp"

namespace weft::shim {

/// For an offset: wherever the file's own position is.
inline constexpr off_t at_position = -1;

struct file_range {
    const iovec* parts;
    int count;     // what the kernel takes, and more than no bytes in all
    off_t offset;  // or at_position
    int flags;     // preadv2's, without RWF_NOWAIT
};

/// The whole call: what the page cache holds by this thread, the rest by one of the pool, for which the caller parks.
/// @returns nothing if the descriptor is no such file, and way_of() says what it is
std::optional<ssize_t> read_file(int fd, const io::attempt& seen, const file_range& range, const char* call);
std::optional<ssize_t> write_file(int fd, const io::attempt& seen, const file_range& range, const char* call);

}  // namespace weft::shim
