/// @file loopback.hpp
/// A free TCP port of 127.0.0.1 that is ours for as long as its socket is open.
#pragma once

#include <cstdint>

namespace demo {

/// A bound socket. Connections to its port are refused unless listen() is called.
class loopback_port {
public:
    /// @throws std::system_error  no socket or no port could be had
    loopback_port();
    ~loopback_port();

    loopback_port(const loopback_port&) = delete;
    loopback_port& operator=(const loopback_port&) = delete;

    /// From here on connections are made, and wait to be accepted.
    /// @throws std::system_error
    void listen();
    void close();

    int fd() const { return fd_; }  // 10 or above and closed on exec
    std::uint16_t number() const { return number_; }

private:
    int fd_ = -1;
    std::uint16_t number_ = 0;
};

}  // namespace demo
