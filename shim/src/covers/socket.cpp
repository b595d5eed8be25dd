#include <weft/shim/socket.hpp>

#include "../cover.hpp"

namespace weft::shim {

WEFT_COVER(int, socket, (int domain, int type, int protocol), domain, type, protocol)
WEFT_COVER(int, accept, (int fd, sockaddr* address, socklen_t* size), fd, address, size)
WEFT_COVER(int, accept4, (int fd, sockaddr* address, socklen_t* size, int flags), fd, address, size, flags)
WEFT_COVER(int, connect, (int fd, const sockaddr* address, socklen_t size), fd, address, size)
WEFT_COVER(int, shutdown, (int fd, int how), fd, how)
WEFT_COVER(ssize_t, recv, (int fd, void* data, size_t size, int flags), fd, data, size, flags)
WEFT_COVER(ssize_t, recvfrom, (int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* from_size), fd, data, size, flags, from, from_size)
WEFT_COVER(ssize_t, recvmsg, (int fd, msghdr* message, int flags), fd, message, flags)
WEFT_COVER(int, recvmmsg, (int fd, mmsghdr* messages, unsigned count, int flags, timespec* limit), fd, messages, count, flags, limit)
WEFT_COVER(ssize_t, send, (int fd, const void* data, size_t size, int flags), fd, data, size, flags)
WEFT_COVER(ssize_t, sendto, (int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t to_size), fd, data, size, flags, to, to_size)
WEFT_COVER(ssize_t, sendmsg, (int fd, const msghdr* message, int flags), fd, message, flags)
WEFT_COVER(int, sendmmsg, (int fd, mmsghdr* messages, unsigned count, int flags), fd, messages, count, flags)

}  // namespace weft::shim
