// A name server of the test's own, and a resolver that asks it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include <netinet/in.h>
#include <resolv.h>

#include "shim/sockets.hpp"

namespace test {

/// Answers over UDP on a plain thread. It knows host.weft.test (10.1.2.3, fd00::7, and back), alias.weft.test, which
/// is another name of it, many.weft.test with 28 addresses, empty.weft.test without any, and slow.weft.test, whose
/// address comes once it is released. All else does not exist.
class name_server {
public:
    name_server();
    ~name_server();
    name_server(const name_server&) = delete;
    name_server& operator=(const name_server&) = delete;

    void release() { held_ = false; }
    int asked() const { return asked_; }
    sockaddr_in address() const { return address_; }

private:
    void serve();

    descriptor socket_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address_{};
    std::atomic<bool> held_{true};
    std::atomic<bool> stop_{false};
    std::atomic<int> asked_{0};
    std::thread thread_;
};

/// While it lives, the calling thread's resolver asks the server, and looks for short names in weft.test.
class resolver_of {
public:
    explicit resolver_of(const name_server& server);
    ~resolver_of();
    resolver_of(const resolver_of&) = delete;
    resolver_of& operator=(const resolver_of&) = delete;
};

/// Points a resolver at the server.
void point_at(struct __res_state& resolver, const name_server& server);

}  // namespace test
