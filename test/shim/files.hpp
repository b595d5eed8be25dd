// Files for the shim's tests.
#pragma once

#include <cerrno>

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

namespace test {

/// A folder on a disk, if the machine has one: what is there can be dropped from the page cache.
inline const char* disk_folder() { return "/var/tmp"; }

/// Drops the file from the page cache.
inline void make_cold(int fd) {
    ::fdatasync(fd);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);  // no reading ahead: the pages next to a cached one stay cold
}

/// Whether a page of it is to be fetched: in memory, and where the kernel cannot tell, none is.
inline bool is_cold(int fd, off_t offset) {
    char byte;
    iovec part{&byte, 1};
    return ::preadv2(fd, &part, 1, offset, RWF_NOWAIT) < 0 && errno == EAGAIN;
}

}  // namespace test
