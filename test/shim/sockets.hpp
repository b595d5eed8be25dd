// Descriptors for the shim's tests; each closes itself.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace test {

class descriptor {
public:
    descriptor() = default;
    explicit descriptor(int fd) : fd_{fd} {
        if (fd < 0) throw std::runtime_error(std::string{"no descriptor: errno "} + std::to_string(errno));
    }
    descriptor(descriptor&& other) noexcept : fd_{other.release()} {}
    descriptor& operator=(descriptor&& other) noexcept {
        other.fd_ = fd_.exchange(other.fd_);
        return *this;
    }
    ~descriptor() { close(); }
    operator int() const { return fd_; }
    int release() { return fd_.exchange(-1); }
    void close() {
        const int before = errno;
        if (fd_ >= 0) ::close(release());
        errno = before;
    }

private:
    std::atomic<int> fd_{-1};  // may be closed by another thread than the one that waits on it
};

/// [0] and [1] talk to each other; a pipe is read at [0].
struct ends {
    descriptor fds[2];
    descriptor& operator[](int i) { return fds[i]; }
    const descriptor& operator[](int i) const { return fds[i]; }
};

inline ends unix_pair(int type = SOCK_STREAM) {
    int fds[2];
    if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) != 0) throw std::runtime_error("socketpair");
    return {{descriptor{fds[0]}, descriptor{fds[1]}}};
}

inline ends pipe_pair(int flags = 0) {
    int fds[2];
    if (::pipe2(fds, flags | O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    return {{descriptor{fds[0]}, descriptor{fds[1]}}};
}

struct listener {
    explicit listener(int backlog = 5) : fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        if (::bind(fd, at(), size) != 0 || ::listen(fd, backlog) != 0 || ::getsockname(fd, at(), &size) != 0)
            throw std::runtime_error("listen");
    }
    sockaddr* at() { return reinterpret_cast<sockaddr*>(&address); }

    descriptor fd;
    sockaddr_in address{};
};

/// A connected client; the backlog takes it at once.
inline descriptor client_of(listener& l) {
    descriptor fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (::connect(fd, l.at(), sizeof l.address) != 0) throw std::runtime_error("connect");
    return fd;
}

/// Over TCP: [0] was accepted, [1] has connected.
inline ends tcp_pair() {
    listener l;
    descriptor client = client_of(l);
    descriptor served{::accept4(l.fd, nullptr, nullptr, SOCK_CLOEXEC)};
    return {{std::move(served), std::move(client)}};
}

/// Two UDP sockets connected to each other.
inline ends udp_pair() {
    ends pair;
    sockaddr_in address[2]{};
    for (int i = 0; i < 2; ++i) {
        pair[i] = descriptor{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
        address[i].sin_family = AF_INET;
        address[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address[i];
        auto* at = reinterpret_cast<sockaddr*>(&address[i]);
        if (::bind(pair[i], at, size) != 0 || ::getsockname(pair[i], at, &size) != 0) throw std::runtime_error("bind");
    }
    for (int i = 0; i < 2; ++i)
        if (::connect(pair[i], reinterpret_cast<sockaddr*>(&address[1 - i]), sizeof address[0]) != 0)
            throw std::runtime_error("connect");
    return pair;
}

inline void set_timeout(int fd, int option, long ms) {
    const timeval limit{ms / 1000, ms % 1000 * 1000};
    if (::setsockopt(fd, SOL_SOCKET, option, &limit, sizeof limit) != 0) throw std::runtime_error("setsockopt");
}

inline void set_option(int fd, int level, int option, int value) {
    if (::setsockopt(fd, level, option, &value, sizeof value) != 0) throw std::runtime_error("setsockopt");
}

inline bool has_nonblock(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

/// Bytes that tell at each place where they belong.
inline std::string pattern(std::size_t size, std::uint32_t seed = 1) {
    std::string text(size, 0);
    for (std::size_t i = 0; i < size; ++i) {
        seed = seed * 1664525U + 1013904223U;
        text[i] = static_cast<char>(seed >> 24);
    }
    return text;
}

/// Room for one control message of `payload` bytes.
struct control {
    alignas(cmsghdr) char room[256] = {};

    /// Makes the message carry `fds`.
    void carry(msghdr& message, const int* fds, std::size_t count);
    /// @returns how many descriptors came, and closes them
    int take(const msghdr& message);
};

/// A name in a fresh folder that vanishes with it.
class scratch {
public:
    explicit scratch(const char* parent = "/tmp");
    ~scratch();
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;
    std::string name(const char* leaf) const { return folder_ + '/' + leaf; }

private:
    std::string folder_;
};

}  // namespace test
