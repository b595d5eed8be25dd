#include "shim/faults.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weft/hub.hpp>

#include "io/readiness.hpp"
#include "sched/driver.hpp"
#include "../../shim/src/original.hpp"

namespace test::faults {
namespace {

namespace io = weft::detail::io;
using weft::shim::originals;

originals real;  // as they were
std::atomic<long> count{0};
std::atomic<unsigned> permille{0};
std::atomic<unsigned> seed{0};

thread_local int spared_depth = 0;

struct order {
    std::atomic<const char*> call{nullptr};
    std::atomic<int> error{0};
    std::atomic<int> times{0};
};
order ordered;

/// @returns whether this call is to fail, with errno set
bool is_ordered(const char* call) {
    const char* const which = ordered.call.load();
    if (!which || std::strcmp(which, call) != 0 || !io::may_park() || ordered.times.load() <= 0) return false;
    ordered.times.fetch_sub(1);
    count.fetch_add(1);
    errno = ordered.error.load();
    return true;
}

constexpr int several = -2;  // descriptors

/// Only of calls that weft makes in a task: what a task asks for with O_NONBLOCK it sees itself.
bool strikes(int fd) {
    const unsigned chance = permille.load(std::memory_order_relaxed);
    if (chance == 0 || spared_depth > 0 || !io::may_park()) return false;
    static thread_local std::mt19937 random{seed.fetch_add(1)};
    if (random() % 1000 >= chance) return false;
    if (fd != several && (::syscall(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK) != 0) return false;  // or -1
    count.fetch_add(1, std::memory_order_relaxed);
    return true;
}

/// What a lie about readiness is followed by in the kernel's world: another event.
void event_later(int fd) {
    const io::attempt now{fd};
    if (!now.entry) return;
    const std::uint64_t cookie = std::uint64_t{now.generation} << 32 | static_cast<std::uint32_t>(fd);
    weft::hub::current().post([cookie] {
        epoll_event event{EPOLLIN | EPOLLOUT, {}};
        event.data.u64 = cookie;
        weft::detail::on_edges(&event, 1);
    });
}

bool finds_nothing(int fd, int flags) {
    if ((flags & MSG_DONTWAIT) == 0 || !strikes(fd)) return false;
    event_later(fd);
    errno = EAGAIN;
    return true;
}

bool is_stream(int fd) {
    int type = 0;
    socklen_t size = sizeof type;
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/// How much of it the kernel takes, or 0 for all: a little always has room.
std::size_t part_of(int fd, std::size_t size, int flags) {
    if (size < 64 || (flags & MSG_DONTWAIT) == 0 || !is_stream(fd) || !strikes(fd)) return 0;
    return std::max<std::size_t>(1, size / 3);
}

ssize_t recv(int fd, void* data, size_t size, int flags) {
    if (is_ordered("recv") || finds_nothing(fd, flags)) return -1;
    return real.recv(fd, data, size, flags);
}
ssize_t recvfrom(int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* from_size) {
    if (is_ordered("recv") || finds_nothing(fd, flags)) return -1;
    return real.recvfrom(fd, data, size, flags, from, from_size);
}
ssize_t recvmsg(int fd, msghdr* message, int flags) {
    if (finds_nothing(fd, flags)) return -1;
    return real.recvmsg(fd, message, flags);
}
ssize_t send(int fd, const void* data, size_t size, int flags) {
    if (is_ordered("send") || finds_nothing(fd, flags)) return -1;
    const std::size_t part = part_of(fd, size, flags);
    return real.send(fd, data, part ? part : size, flags);
}
ssize_t sendto(int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t to_size) {
    if (is_ordered("send") || finds_nothing(fd, flags)) return -1;
    const std::size_t part = part_of(fd, size, flags);
    return real.sendto(fd, data, part ? part : size, flags, to, to_size);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    if (is_ordered("sendmsg") || finds_nothing(fd, flags)) return -1;
    if (message && message->msg_iovlen > 0) {
        msghdr first = *message;
        iovec part = first.msg_iov[0];
        part.iov_len = part_of(fd, part.iov_len, flags);
        first.msg_iov = &part;
        first.msg_iovlen = 1;
        if (part.iov_len > 0) return real.sendmsg(fd, &first, flags);
    }
    return real.sendmsg(fd, message, flags);
}
// What an event can follow on; files and devices like /dev/zero are always ready.
bool can_wait(int fd) {
    const int error = errno;
    const long set = ::syscall(SYS_epoll_create1, EPOLL_CLOEXEC);
    epoll_event event{};
    const bool added = ::syscall(SYS_epoll_ctl, set, EPOLL_CTL_ADD, fd, &event) == 0;
    ::syscall(SYS_close, set);
    errno = error;
    return added;
}

int poll(pollfd* fds, nfds_t n, int timeout) {
    if (is_ordered("poll")) return -1;
    if (timeout == 0 && n > 0 && fds && strikes(several)) {
        const int ready = real.poll(fds, n, 0);
        if (ready <= 0) return ready;
        bool told = true;
        for (nfds_t i = 0; i < n; ++i)
            if (fds[i].revents != 0) told = told && (fds[i].revents & (POLLNVAL | POLLERR)) == 0 && can_wait(fds[i].fd);
        for (nfds_t i = 0; i < n && told; ++i) {
            if (fds[i].revents == 0) continue;
            fds[i].revents = 0;
            event_later(fds[i].fd);
        }
        return told ? 0 : ready;
    }
    return real.poll(fds, n, timeout);
}
int epoll_wait(int set, epoll_event* events, int room, int timeout) {
    if (is_ordered("epoll_wait")) return -1;
    if (timeout == 0 && events && room > 0 && strikes(set)) {
        event_later(set);
        return 0;
    }
    return real.epoll_wait(set, events, room, timeout);
}
int accept(int fd, sockaddr* address, socklen_t* size) {
    return is_ordered("accept") ? -1 : real.accept(fd, address, size);
}
int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
    return is_ordered("accept4") ? -1 : real.accept4(fd, address, size, flags);
}
int connect(int fd, const sockaddr* address, socklen_t size) {
    return is_ordered("connect") ? -1 : real.connect(fd, address, size);
}
int socket(int domain, int type, int protocol) {
    return is_ordered("socket") ? -1 : real.socket(domain, type, protocol);
}
int dup(int fd) { return is_ordered("dup") ? -1 : real.dup(fd); }

/// Of a table that has them.
template <class Table>
void replace_positioned(Table& table) {
    if constexpr (requires { table.preadv2; }) {
        static decltype(table.preadv2) real_read = table.preadv2, real_write = table.pwritev2;
        table.preadv2 = [](int fd, const iovec* parts, int n, auto at, int flags) -> ssize_t {
            if (at == -1 && finds_nothing(fd, flags != 0 ? MSG_DONTWAIT : 0)) return -1;
            return real_read(fd, parts, n, at, flags);
        };
        table.pwritev2 = [](int fd, const iovec* parts, int n, auto at, int flags) -> ssize_t {
            if (at == -1 && finds_nothing(fd, flags != 0 ? MSG_DONTWAIT : 0)) return -1;
            return real_write(fd, parts, n, at, flags);
        };
    }
}

void install() {
    static const bool once = [] {
        originals& table = weft::shim::originals_to_replace();
        real = table;
        table.recv = recv;
        table.recvfrom = recvfrom;
        table.recvmsg = recvmsg;
        table.send = send;
        table.sendto = sendto;
        table.sendmsg = sendmsg;
        table.poll = poll;
        table.epoll_wait = epoll_wait;
        table.accept = accept;
        table.accept4 = accept4;
        table.connect = connect;
        table.socket = socket;
        table.dup = dup;
        replace_positioned(table);
        return true;
    }();
    (void)once;
}

[[gnu::destructor]] void tell() {
    if (permille.load() > 0) std::fprintf(stderr, "faults made: %ld\n", made());
}

[[gnu::constructor]] void at_start() { begin(); }

}  // namespace

spared::spared() { ++spared_depth; }
spared::~spared() { --spared_depth; }

void fail_next(const char* call, int error, int times) {
    install();
    ordered.call = call;
    ordered.error = error;
    ordered.times = times;
}

long made() { return count.load(); }

void begin() {
    const char* const asked = std::getenv("WEFT_TEST_FAULTS");
    unsigned from = 0, chance = 0;
    if (!asked || permille.load() > 0) return;
    if (std::sscanf(asked, "%u:%u", &from, &chance) != 2 || chance > 1000) {
        std::fprintf(stderr, "WEFT_TEST_FAULTS wants seed:permille, not %s\n", asked);
        std::abort();
    }
    install();
    seed = from;
    permille = chance;
}

}  // namespace test::faults
