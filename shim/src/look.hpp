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

// For what has no try of its own: looks, and calls only if that will not wait.
template <class Call>
ssize_t look_then(int fd, short event, int unwanted, Call call) {
    pollfd look{fd, event, 0};
    if (original().poll(&look, 1, 0) != 0 || wrong_way(fd, unwanted)) return call();
    errno = EAGAIN;
    return -1;
}

}  // namespace weft::shim
