/// @file weft/shim/socket.hpp
/// weft::shim: connections, receiving and sending. What holds for all is in weft/shim.hpp.  Floor: shim.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#include <weft/detail/export.hpp>

namespace weft::shim {

// Connections.
WEFT_API int socket(int domain, int type, int protocol);
WEFT_API int accept(int fd, sockaddr* address, socklen_t* size);
WEFT_API int accept4(int fd, sockaddr* address, socklen_t* size, int flags);
WEFT_API int shutdown(int fd, int how);
WEFT_API int connect(int fd, const sockaddr* address, socklen_t size);

// Receiving.
WEFT_API ssize_t recv(int fd, void* data, size_t size, int flags);
WEFT_API ssize_t recvfrom(int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* from_size);
WEFT_API ssize_t recvmsg(int fd, msghdr* message, int flags);
WEFT_API int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* limit);

// Sending: on a stream, everything or an error, as blocking calls do.
WEFT_API ssize_t send(int fd, const void* data, size_t size, int flags);
WEFT_API ssize_t sendto(int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t to_size);
WEFT_API ssize_t sendmsg(int fd, const msghdr* message, int flags);
WEFT_API int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags);

}  // namespace weft::shim
