// What the resolver of a thread is told to do: a pool thread has one of its own.  Floor: shim.
#pragma once

#include <netinet/in.h>
#include <resolv.h>

namespace weft::shim::dns {

/// The public fields of _res: options, times, servers, and where names are searched. IPv6 servers are not among them.
class settings {
public:
    /// Those of the calling thread.
    settings() noexcept;
    bool operator==(const settings& other) const noexcept;
    /// Makes them the calling thread's.
    void put() const noexcept;
    /// Whether the thread has a resolver yet.
    bool made() const noexcept { return (options_ & RES_INIT) != 0; }

private:
    unsigned long options_ = 0;
    int retrans_ = 0, retry_ = 0, servers_ = 0;
    unsigned dots_ = 0;
    sockaddr_in server_[MAXNS]{};
    char domains_[sizeof(_res.defdname)]{};
    int searched_[MAXDNSRCH + 1]{};  // where each begins in domains_; -1: none
};

/// Puts the settings in force on this thread while it lives.
class in_force {
public:
    explicit in_force(const settings& wanted) noexcept;
    ~in_force();
    in_force(const in_force&) = delete;
    in_force& operator=(const in_force&) = delete;

private:
    settings before_;
    bool changed_ = false;
};

}  // namespace weft::shim::dns
