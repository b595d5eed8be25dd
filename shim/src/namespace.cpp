// weft::shim: the same calls for whoever asks for them by name. A first one makes the thread's hub.
#include <weft/shim.hpp>

#include "core.hpp"

namespace weft::shim {
#define WEFT_COVER(result, name, parameters, ...)                    \
    result name parameters {                                          \
        if (io::in_native_scope()) return original().name(__VA_ARGS__);            \
        return core{caller::ours}.name(__VA_ARGS__);                  \
    }

WEFT_COVER(unsigned, sleep, (unsigned seconds), seconds)
WEFT_COVER(int, usleep, (useconds_t microseconds), microseconds)
WEFT_COVER(int, nanosleep, (const timespec* span, timespec* left), span, left)
WEFT_COVER(int, clock_nanosleep, (clockid_t clock, int flags, const timespec* span, timespec* left), clock, flags, span, left)
WEFT_COVER(int, socket, (int domain, int type, int protocol), domain, type, protocol)
WEFT_COVER(int, accept, (int fd, sockaddr* address, socklen_t* size), fd, address, size)
WEFT_COVER(int, accept4, (int fd, sockaddr* address, socklen_t* size, int flags), fd, address, size, flags)
WEFT_COVER(int, connect, (int fd, const sockaddr* address, socklen_t size), fd, address, size)
WEFT_COVER(ssize_t, recv, (int fd, void* data, size_t size, int flags), fd, data, size, flags)
WEFT_COVER(ssize_t, recvfrom, (int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* from_size), fd, data, size, flags, from, from_size)
WEFT_COVER(ssize_t, recvmsg, (int fd, msghdr* message, int flags), fd, message, flags)
WEFT_COVER(int, recvmmsg, (int fd, mmsghdr* messages, unsigned count, int flags, timespec* limit), fd, messages, count, flags, limit)
WEFT_COVER(ssize_t, read, (int fd, void* data, size_t size), fd, data, size)
WEFT_COVER(ssize_t, readv, (int fd, const iovec* parts, int count), fd, parts, count)
WEFT_COVER(ssize_t, send, (int fd, const void* data, size_t size, int flags), fd, data, size, flags)
WEFT_COVER(ssize_t, sendto, (int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t to_size), fd, data, size, flags, to, to_size)
WEFT_COVER(ssize_t, sendmsg, (int fd, const msghdr* message, int flags), fd, message, flags)
WEFT_COVER(int, sendmmsg, (int fd, mmsghdr* messages, unsigned count, int flags), fd, messages, count, flags)
WEFT_COVER(ssize_t, write, (int fd, const void* data, size_t size), fd, data, size)
WEFT_COVER(ssize_t, writev, (int fd, const iovec* parts, int count), fd, parts, count)
WEFT_COVER(int, close, (int fd), fd)
WEFT_COVER(int, dup2, (int fd, int onto), fd, onto)
WEFT_COVER(int, dup3, (int fd, int onto, int flags), fd, onto, flags)
WEFT_COVER(int, poll, (pollfd* fds, nfds_t count, int timeout), fds, count, timeout)
WEFT_COVER(int, ppoll, (pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask), fds, count, timeout, mask)
WEFT_COVER(int, select, (int count, fd_set* readable, fd_set* writable, fd_set* odd, timeval* timeout), count, readable, writable, odd, timeout)
WEFT_COVER(int, pselect, (int count, fd_set* readable, fd_set* writable, fd_set* odd, const timespec* timeout, const sigset_t* mask), count, readable, writable, odd, timeout, mask)
WEFT_COVER(int, epoll_wait, (int set, epoll_event* events, int room, int timeout), set, events, room, timeout)
WEFT_COVER(int, epoll_pwait, (int set, epoll_event* events, int room, int timeout, const sigset_t* mask), set, events, room, timeout, mask)
WEFT_COVER(int, epoll_pwait2, (int set, epoll_event* events, int room, const timespec* timeout, const sigset_t* mask), set, events, room, timeout, mask)
WEFT_COVER(int, getaddrinfo, (const char* node, const char* service, const addrinfo* hints, addrinfo** result), node, service, hints, result)

}  // namespace weft::shim
