// Echo server of plain blocking calls, as echo_threads.c, but in tasks: patch_all() makes the calls park.
#include <unistd.h>
#include <cerrno>
#include <cstdio>

#include <weft/monkey.hpp>
#include <weft/weft.hpp>

#include "echo_listen.h"

namespace {

void serve(int fd) {
    char buffer[echo_buffer_size];
    ssize_t got;
    while ((got = ::read(fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t sent = 0; sent < got;) {
            ssize_t n = ::write(fd, buffer + sent, static_cast<std::size_t>(got - sent));
            if (n < 0) {
                ::close(fd);
                return;
            }
            sent += n;
        }
    }
    ::close(fd);
}

}  // namespace

int main() {
    if (!weft::monkey::patch_all()) {
        std::fputs("echo_plain: patch_all() failed\n", stderr);
        return 1;
    }
    int listener = echo_listen();
    for (;;) {
        int fd = ::accept(listener, nullptr, nullptr);
        if (fd >= 0) {
            weft::spawn(serve, fd);
        } else if (errno != ECONNABORTED && errno != EINTR) {
            echo_die("accept");
        }
    }
}
