#include "loopback.hpp"

#include <cerrno>
#include <system_error>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace demo {
namespace {

[[noreturn]] void fail(const char* what, int error) {
    throw std::system_error{error, std::generic_category(), what};
}

// Leaves 0 to 9 free: a child that puts descriptors of its own there overwrites none of ours.
int make_socket() {
    const int low = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (low < 0) fail("socket", errno);
    const int fd = ::fcntl(low, F_DUPFD_CLOEXEC, 10);
    const int error = errno;
    ::close(low);
    if (fd < 0) fail("fcntl", error);
    return fd;
}

}  // namespace

loopback_port::loopback_port() : fd_{make_socket()} {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        const int error = errno;
        close();
        fail("a port of 127.0.0.1", error);
    }
    number_ = ntohs(address.sin_port);
}

loopback_port::~loopback_port() { close(); }

void loopback_port::listen() {
    if (::listen(fd_, SOMAXCONN) != 0) fail("listen", errno);
}

void loopback_port::close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace demo
