// Linked with libweft alone. Says which calls let other tasks run while they wait: by whatever is preloaded.
#include <cstdio>

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <weft/task.hpp>
#include <weft/this_task.hpp>

namespace {

template <class Call>
int parks(Call call) {
    bool ran = false;
    auto other = weft::spawn([&] { ran = true; });
    call();
    const bool parked = ran;
    other.join();
    return parked;
}

}  // namespace

int main() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
    const timeval limit{0, 3'000};
    if (::setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) return 1;
    char byte;
    const int time = parks([] { ::usleep(3'000); });
    const int poll = parks([] { ::poll(nullptr, 0, 3); });
    const int fd = parks([&] { (void)!::read(ends[0], &byte, 1); });
    const int socket = parks([&] { ::recv(ends[0], &byte, 1, 0); });
    std::printf("parks: time %d, poll %d, fd %d, socket %d\n", time, poll, fd, socket);
    return 0;
}
