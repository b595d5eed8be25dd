/// @file weft/shim/fd.hpp
/// weft::shim: reading, writing, and the life of a descriptor. What holds for all is in weft/shim.hpp.  Floor: shim.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <weft/detail/export.hpp>

namespace weft::shim {

// As recv and send.
WEFT_API ssize_t read(int fd, void* data, size_t size);
WEFT_API ssize_t readv(int fd, const iovec* parts, int count);
WEFT_API ssize_t write(int fd, const void* data, size_t size);
WEFT_API ssize_t writev(int fd, const iovec* parts, int count);

// Opening a FIFO waits for its other end, on a thread of its own; a kill ends that, with nothing left open.
WEFT_API int open(const char* path, int flags, mode_t mode = 0);
WEFT_API int openat(int folder, const char* path, int flags, mode_t mode = 0);
WEFT_API int creat(const char* path, mode_t mode);

// F_SETLKW and F_OFD_SETLKW wait as flock does; every other command is libc's.
WEFT_API int fcntl(int fd, int command, void* argument = nullptr);

// Descriptors. Closing one, or putting another in its place, wakes whoever waits on it.
WEFT_API int close(int fd);
WEFT_API int dup2(int fd, int onto);
WEFT_API int dup3(int fd, int onto, int flags);

}  // namespace weft::shim
