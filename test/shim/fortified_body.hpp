// Calls with a size that the compiler does not know, into room whose size it does.
#pragma once

#include <cstddef>

#include <sys/types.h>

struct timespec;

namespace test {

ssize_t checked_read(int fd, std::size_t size);
ssize_t checked_recv(int fd, std::size_t size, int flags);
ssize_t checked_recvfrom(int fd, std::size_t size);
int checked_poll(int fd, unsigned long count, int timeout);
ssize_t checked_pread(int fd, std::size_t size, long offset);
int checked_open(const char* path, int flags);
int checked_openat(int folder, const char* path, int flags);
int checked_ppoll(int fd, unsigned long count, const timespec* timeout);

}  // namespace test
