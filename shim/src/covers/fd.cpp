#include <weft/shim/fd.hpp>

#include "../cover.hpp"

namespace weft::shim {

WEFT_COVER(ssize_t, read, (int fd, void* data, size_t size), fd, data, size)
WEFT_COVER(ssize_t, readv, (int fd, const iovec* parts, int count), fd, parts, count)
WEFT_COVER(ssize_t, write, (int fd, const void* data, size_t size), fd, data, size)
WEFT_COVER(ssize_t, writev, (int fd, const iovec* parts, int count), fd, parts, count)
WEFT_COVER(int, open, (const char* path, int flags, mode_t mode), path, flags, mode)
WEFT_COVER(int, openat, (int folder, const char* path, int flags, mode_t mode), folder, path, flags, mode)
WEFT_COVER(int, creat, (const char* path, mode_t mode), path, mode)
WEFT_COVER(int, fcntl, (int fd, int command, void* argument), fd, command, argument)
WEFT_COVER(int, close, (int fd), fd)
WEFT_COVER(int, dup2, (int fd, int onto), fd, onto)
WEFT_COVER(int, dup3, (int fd, int onto, int flags), fd, onto, flags)

}  // namespace weft::shim
