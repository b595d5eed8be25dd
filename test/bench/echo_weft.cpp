// Echo server with a task per connection, written with the namespace calls.
#include <unistd.h>
#include <cerrno>

#include <weft/shim.hpp>
#include <weft/weft.hpp>

#include "echo_listen.h"

namespace {

void serve(int fd) {
    char buffer[echo_buffer_size];
    ssize_t got;
    while ((got = weft::shim::recv(fd, buffer, sizeof buffer, 0)) > 0) {
        for (ssize_t sent = 0; sent < got;) {
            ssize_t n = weft::shim::send(fd, buffer + sent, static_cast<std::size_t>(got - sent), 0);
            if (n < 0) {
                weft::shim::close(fd);
                return;
            }
            sent += n;
        }
    }
    weft::shim::close(fd);
}

}  // namespace

int main() {
    int listener = echo_listen();
    for (;;) {
        int fd = weft::shim::accept(listener, nullptr, nullptr);
        if (fd >= 0) {
            weft::spawn(serve, fd);
        } else if (errno != ECONNABORTED && errno != EINTR) {
            echo_die("accept");
        }
    }
}
