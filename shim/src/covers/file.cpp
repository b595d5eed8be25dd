#include <weft/shim/file.hpp>

#include "../cover.hpp"

namespace weft::shim {

WEFT_COVER(ssize_t, pread, (int fd, void* data, size_t size, off_t offset), fd, data, size, offset)
WEFT_COVER(ssize_t, preadv, (int fd, const iovec* parts, int count, off_t offset), fd, parts, count, offset)
WEFT_COVER(ssize_t, preadv2, (int fd, const iovec* parts, int count, off_t offset, int flags), fd, parts, count, offset, flags)
WEFT_COVER(ssize_t, pwrite, (int fd, const void* data, size_t size, off_t offset), fd, data, size, offset)
WEFT_COVER(ssize_t, pwritev, (int fd, const iovec* parts, int count, off_t offset), fd, parts, count, offset)
WEFT_COVER(ssize_t, pwritev2, (int fd, const iovec* parts, int count, off_t offset, int flags), fd, parts, count, offset, flags)
WEFT_COVER(int, fsync, (int fd), fd)
WEFT_COVER(int, fdatasync, (int fd), fd)
WEFT_COVER(int, syncfs, (int fd), fd)
WEFT_COVER(int, sync_file_range, (int fd, off64_t offset, off64_t size, unsigned flags), fd, offset, size, flags)
WEFT_COVER(ssize_t, copy_file_range, (int in, off64_t* in_at, int out, off64_t* out_at, size_t size, unsigned flags), in, in_at, out, out_at, size, flags)
WEFT_COVER(ssize_t, sendfile, (int out, int in, off_t* offset, size_t size), out, in, offset, size)
WEFT_COVER(ssize_t, splice, (int in, off64_t* in_at, int out, off64_t* out_at, size_t size, unsigned flags), in, in_at, out, out_at, size, flags)
WEFT_COVER(ssize_t, tee, (int in, int out, size_t size, unsigned flags), in, out, size, flags)
WEFT_COVER(ssize_t, vmsplice, (int fd, const iovec* parts, size_t count, unsigned flags), fd, parts, count, flags)
WEFT_COVER(int, flock, (int fd, int operation), fd, operation)
WEFT_COVER(int, lockf, (int fd, int command, off_t size), fd, command, size)
WEFT_COVER(int, aio_suspend, (const aiocb* const* requests, int count, const timespec* timeout), requests, count, timeout)

}  // namespace weft::shim
