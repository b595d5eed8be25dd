/// @file weft/shim/file.hpp
/// weft::shim: files. What holds for all is in weft/shim.hpp.  Floor: shim.
///
/// What the page cache holds is read by the calling thread, up to 1 MiB at a time; whatever may wait for a disk is done
/// by one of at most 16 pool threads, while the task is parked. What waits without a bound (locks) has a thread of its
/// own for as long as it waits.
///
/// Cancel:   a kill never ends fsync and its kin, a lock, or a transfer that a pool thread has: it is met at the next wait.
/// Lifetime: a descriptor that is closed before a pool thread has come to the call ends it with EBADF.
#pragma once

#include <aio.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <weft/detail/export.hpp>

namespace weft::shim {

// At a place in the file. RWF_NOWAIT answers EAGAIN and never parks.
WEFT_API ssize_t pread(int fd, void* data, size_t size, off_t offset);
WEFT_API ssize_t preadv(int fd, const iovec* parts, int count, off_t offset);
WEFT_API ssize_t preadv2(int fd, const iovec* parts, int count, off_t offset, int flags);
WEFT_API ssize_t pwrite(int fd, const void* data, size_t size, off_t offset);
WEFT_API ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset);
WEFT_API ssize_t pwritev2(int fd, const iovec* parts, int count, off_t offset, int flags);

// To the disk.
WEFT_API int fsync(int fd);
WEFT_API int fdatasync(int fd);
WEFT_API int syncfs(int fd);
WEFT_API int sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags);
WEFT_API ssize_t copy_file_range(int in, off64_t* in_at, int out, off64_t* out_at, size_t size, unsigned flags);

// From one descriptor to another. To a socket, sendfile copies once, by send(), which the kernel's own would not.
WEFT_API ssize_t sendfile(int out, int in, off_t* offset, size_t size);
WEFT_API ssize_t splice(int in, off64_t* in_at, int out, off64_t* out_at, size_t size, unsigned flags);
WEFT_API ssize_t tee(int in, int out, size_t size, unsigned flags);
WEFT_API ssize_t vmsplice(int fd, const iovec* parts, size_t count, unsigned flags);

// Locks. The kernel hands them out; a signal handler ends a wait with EINTR as it ends libc's, a kill does not.
WEFT_API int flock(int fd, int operation);
WEFT_API int lockf(int fd, int command, off_t size);

// For asynchronous requests (aio_read and its kin, which are libc's); a kill ends this wait.
WEFT_API int aio_suspend(const aiocb* const* requests, int count, const timespec* timeout);

}  // namespace weft::shim
