// Compiled with -D_FORTIFY_SOURCE=2: each of these calls goes out under its __..._chk name.
#include "shim/fortified_body.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace test {

// __read_chk
ssize_t checked_read(int fd, std::size_t size) {
    char room[64];
    return ::read(fd, room, size);
}
// __recv_chk
ssize_t checked_recv(int fd, std::size_t size, int flags) {
    char room[64];
    return ::recv(fd, room, size, flags);
}
// __recvfrom_chk
ssize_t checked_recvfrom(int fd, std::size_t size) {
    char room[64];
    return ::recvfrom(fd, room, size, 0, nullptr, nullptr);
}
// __poll_chk
int checked_poll(int fd, unsigned long count, int timeout) {
    struct pollfd looks[2] = {{fd, POLLIN, 0}, {-1, 0, 0}};
    return ::poll(looks, count, timeout);
}
// __ppoll_chk
int checked_ppoll(int fd, unsigned long count, const struct timespec* timeout) {
    struct pollfd looks[2] = {{fd, POLLIN, 0}, {-1, 0, 0}};
    return ::ppoll(looks, count, timeout, nullptr);
}

// __pread64_chk
ssize_t checked_pread(int fd, std::size_t size, long offset) {
    char room[64];
    return ::pread(fd, room, size, offset);
}
// __open64_2, __openat64_2
int checked_open(const char* path, int flags) { return ::open(path, flags); }
int checked_openat(int folder, const char* path, int flags) { return ::openat(folder, path, flags); }

}  // namespace test
