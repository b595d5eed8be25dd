// Files for the shim's tests.
#pragma once

#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shim/differential.hpp"

namespace test {

// libc's are variadic.
inline int open_by(const calls& c, const char* path, int flags, mode_t mode = 0) {
    return c.named ? weft::shim::open(path, flags, mode) : ::open(path, flags, mode);
}
inline int lock_by(const calls& c, int fd, int command, struct flock& region) {
    return c.named ? weft::shim::fcntl(fd, command, &region) : ::fcntl(fd, command, &region);
}

/// A folder on a disk, if the machine has one: what is there can be dropped from the page cache. WEFT_TEST_DISK in the
/// environment names another, for other file systems.
inline const char* disk_folder() {
    const char* const named = std::getenv("WEFT_TEST_DISK");
    return named ? named : "/var/tmp";
}

/// Drops the file from the page cache.
inline void make_cold(int fd, const calls& c = plain_calls()) {
    c.fdatasync(fd);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);  // no reading ahead: the pages next to a cached one stay cold
}

/// Whether a page of it is to be fetched: in memory, and where the kernel cannot tell, none is.
inline bool is_cold(int fd, off_t offset) {
    char byte;
    iovec part{&byte, 1};
    return ::preadv2(fd, &part, 1, offset, RWF_NOWAIT) < 0 && errno == EAGAIN;
}

/// Whether the file system says that a write there would wait, as some do of each that takes new room.
inline bool write_would_wait(int fd, off_t offset) {
    iovec part{const_cast<char*>("abc"), 3};
    return ::pwritev2(fd, &part, 1, offset, RWF_NOWAIT) < 0 && errno == EAGAIN;
}

/// Runs the body beside a 1 ms ticker. A stall of the machine looks like a blocked thread, but not five times.
template <class Body>
bool leaves_the_thread_free(Body body) {
    for (int tries = 0; tries < 5; ++tries) {
        beside_ticker ticks;
        body();
        if (ticks.stop() < std::chrono::milliseconds{20} * patience()) return true;
    }
    return false;
}

}  // namespace test
