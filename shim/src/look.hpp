// What has no try of its own is looked at first.  Floor: shim.
#pragma once

#include <cerrno>

#include <fcntl.h>

#include "core.hpp"

namespace weft::shim {

// The descriptor says that it has no RWF_NOWAIT. EINVAL is about the size: eventfd and its kin refuse a small one.
inline bool no_such_try() noexcept { return errno == EOPNOTSUPP || errno == ENOSYS; }

// Opened the other way round only: poll() would never say ready, the call itself says EBADF.
inline bool wrong_way(int fd, int unwanted) noexcept {
    const int flags = original().fcntl(fd, F_GETFL, nullptr);
    return flags < 0 || (flags & O_ACCMODE) == unwanted;
}

/// Whether it is ready or not: these refuse what is less than they take, and what they do not do at all.
bool refuses(int fd, short event, size_t size) noexcept;

// For what has no try of its own: looks, and calls only if that will not wait. What poll() tells of a non-blocking call is too
// little: it may take a part where there is no room for the rest.
template <class Call>
ssize_t look_then(int fd, const io::attempt& seen, short event, int unwanted, size_t size, Call call) {
    if (ready_now(fd, event) || wrong_way(fd, unwanted) || !blocks(fd, seen) || refuses(fd, event, size)) return call();
    errno = EAGAIN;
    return -1;
}

}  // namespace weft::shim
