/// @file weft/shim.hpp
/// The blocking calls of POSIX and Linux, by the same names, for tasks that ask for them.  Floor: shim.
///
/// Each behaves as the call of that name in section 2 or 3 of the manual, for results, errno, partial
/// transfers, time-outs (SO_RCVTIMEO, SO_SNDTIMEO), signals and O_NONBLOCK, with one exception: where
/// that would block the thread, it parks the fiber. No patching is needed, and no flag of a descriptor is ever
/// left changed. shim/README.md lists each call with its deviations.
///
/// Order:    fibers that wait on one descriptor for one direction are served first come, first served.
/// Threads:  any descriptor from any thread and any hub.
/// Lifetime: close() here ends every wait on the descriptor with EBADF; whoever closes it behind weft's back
///           (a raw system call) leaves waiters waiting, as the kernel does.
/// Cancel:   a kill throws fiber_exit out of what would return -1; nothing was transferred then. What had
///           transferred something returns its count, and the kill is met at the next wait.
/// Throws:   besides that, blocking_in_hub in a callback of the hub.
/// gevent:   gevent.socket, gevent.select, gevent.os
#pragma once

#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include <weft/detail/export.hpp>

namespace weft::shim {

// Time. The clock is that of the hub; a signal handler that runs ends a sleep with EINTR.
WEFT_API unsigned sleep(unsigned seconds);
WEFT_API int usleep(useconds_t microseconds);
WEFT_API int nanosleep(const timespec* span, timespec* left);
/// Clocks of CPU time block the thread.
WEFT_API int clock_nanosleep(clockid_t clock, int flags, const timespec* span, timespec* left);

// Connections.
WEFT_API int socket(int domain, int type, int protocol);
WEFT_API int accept(int fd, sockaddr* address, socklen_t* size);
WEFT_API int accept4(int fd, sockaddr* address, socklen_t* size, int flags);
WEFT_API int connect(int fd, const sockaddr* address, socklen_t size);

// Receiving.
WEFT_API ssize_t recv(int fd, void* data, size_t size, int flags);
WEFT_API ssize_t recvfrom(int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* from_size);
WEFT_API ssize_t recvmsg(int fd, msghdr* message, int flags);
WEFT_API int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* limit);
WEFT_API ssize_t read(int fd, void* data, size_t size);
WEFT_API ssize_t readv(int fd, const iovec* parts, int count);

// Sending: on a stream, everything or an error, as blocking calls do.
WEFT_API ssize_t send(int fd, const void* data, size_t size, int flags);
WEFT_API ssize_t sendto(int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t to_size);
WEFT_API ssize_t sendmsg(int fd, const msghdr* message, int flags);
WEFT_API int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags);
WEFT_API ssize_t write(int fd, const void* data, size_t size);
WEFT_API ssize_t writev(int fd, const iovec* parts, int count);

// Descriptors. Closing one, or putting another in its place, wakes whoever waits on it.
WEFT_API int close(int fd);
WEFT_API int dup2(int fd, int onto);
WEFT_API int dup3(int fd, int onto, int flags);

// Waiting for several.
WEFT_API int poll(pollfd* fds, nfds_t count, int timeout);
WEFT_API int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask);
WEFT_API int select(int count, fd_set* readable, fd_set* writable, fd_set* odd, timeval* timeout);
WEFT_API int pselect(int count, fd_set* readable, fd_set* writable, fd_set* odd, const timespec* timeout,
                     const sigset_t* mask);
WEFT_API int epoll_wait(int set, epoll_event* events, int room, int timeout);
WEFT_API int epoll_pwait(int set, epoll_event* events, int room, int timeout, const sigset_t* mask);
WEFT_API int epoll_pwait2(int set, epoll_event* events, int room, const timespec* timeout, const sigset_t* mask);

// Names. libc's own resolver on a pool thread, of which there are at most 16.
WEFT_API int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result);

}  // namespace weft::shim
