// connect and accept.
#include <cstring>

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::descriptor;
using test::later;

namespace {

sockaddr_un local(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, name.c_str(), sizeof address.sun_path - 1);
    return address;
}

sockaddr* at(sockaddr_un& address) { return reinterpret_cast<sockaddr*>(&address); }

}  // namespace

DIFFERENTIAL("connect: done, twice, and to what cannot be connected to") {
    test::listener l;
    const descriptor s{c.socket(AF_INET, SOCK_STREAM, 0)};
    out("connect", [&] { return c.connect(s, l.at(), sizeof l.address); });
    out("again", [&] { return c.connect(s, l.at(), sizeof l.address); });
    out.value("O_NONBLOCK", test::has_nonblock(s));
    const descriptor other{c.socket(AF_INET, SOCK_STREAM, 0)};
    out("too short an address", [&] { return c.connect(other, l.at(), 4); });
    sockaddr_un wrong = local("/nowhere");
    out("another family", [&] { return c.connect(other, at(wrong), sizeof wrong); });
    out("of no descriptor", [&] { return c.connect(-1, l.at(), sizeof l.address); });
    auto p = test::pipe_pair();
    out("of a pipe", [&] { return c.connect(p[0], l.at(), sizeof l.address); });
    out("of a listener", [&] { return c.connect(l.fd, l.at(), sizeof l.address); });
    const descriptor u{c.socket(AF_UNIX, SOCK_STREAM, 0)};
    out("a missing name", [&] { return c.connect(u, at(wrong), sizeof wrong); });
    const descriptor d{c.socket(AF_INET, SOCK_DGRAM, 0)};
    out("UDP", [&] { return c.connect(d, l.at(), sizeof l.address); });
    sockaddr none{};
    out("UDP, to nobody", [&] { return c.connect(d, &none, sizeof none); });
    sockaddr_in far = l.address;
    far.sin_addr.s_addr = 0xffffffff;
    out("broadcast", [&] { return c.connect(other, reinterpret_cast<sockaddr*>(&far), sizeof far); });
}

DIFFERENTIAL("connect waits, and so does a second one after a time-out") {
    test::listener l{0};
    const descriptor first = test::client_of(l);
    const descriptor s{c.socket(AF_INET, SOCK_STREAM, 0)};
    test::set_timeout(s, SO_SNDTIMEO, 50);
    out("connect, timed out", [&] { return c.connect(s, l.at(), sizeof l.address); });
    test::set_timeout(s, SO_SNDTIMEO, 0);
    // The peer's SYN is sent again after a second.
    const later take{c, 100ms, [&] { const descriptor taken{::accept(l.fd, nullptr, nullptr)}; }};
    out("connect again", [&] { return c.connect(s, l.at(), sizeof l.address); });
    out("once more", [&] { return c.connect(s, l.at(), sizeof l.address); });
}

DIFFERENTIAL("a non-blocking connect is the caller's own business") {
    test::listener l;
    const descriptor s{c.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    out("connect", [&] { return c.connect(s, l.at(), sizeof l.address); });
    pollfd look{s, POLLOUT, 0};
    out("poll", [&] { return c.poll(&look, 1, 1000); });
    out.value("revents", look.revents);
    int error = -1;
    socklen_t size = sizeof error;
    CHECK(::getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
    out.value("SO_ERROR", error);
    out("connect again", [&] { return c.connect(s, l.at(), sizeof l.address); });
    out("and again", [&] { return c.connect(s, l.at(), sizeof l.address); });
    out.value("O_NONBLOCK", test::has_nonblock(s));
}

DIFFERENTIAL("connect to a full AF_UNIX listener waits for room") {
    const test::scratch folder;
    sockaddr_un address = local(folder.name("s"));
    descriptor l{c.socket(AF_UNIX, SOCK_STREAM, 0)};
    CHECK(::bind(l, at(address), sizeof address) == 0);
    CHECK(::listen(l, 0) == 0);
    descriptor fds[4];
    for (auto& fd : fds) fd = descriptor{c.socket(AF_UNIX, SOCK_STREAM, 0)};
    out("the first", [&] { return c.connect(fds[0], at(address), sizeof address); });
    test::set_timeout(fds[1], SO_SNDTIMEO, 60);
    out("the second, in time", [&] { return c.connect(fds[1], at(address), sizeof address); });
    CHECK(::fcntl(fds[2], F_SETFL, O_NONBLOCK) == 0);
    out("non-blocking", [&] { return c.connect(fds[2], at(address), sizeof address); });
    {
        const later take{c, 40ms, [&] { const descriptor taken{::accept(l, nullptr, nullptr)}; }};
        out("when one is taken", [&] { return c.connect(fds[3], at(address), sizeof address); });
    }
    const later gone{c, 40ms, [&] { l.close(); }};
    out("when the listener goes", [&] { return c.connect(fds[1], at(address), sizeof address); });
}

DIFFERENTIAL("accept waits for a client and tells who it is") {
    test::listener l;
    sockaddr_in from{};
    socklen_t size = sizeof from;
    descriptor client{c.socket(AF_INET, SOCK_STREAM, 0)};
    int taken = -1;
    {
        const later call{c, 30ms, [&] { ::connect(client, l.at(), sizeof l.address); }};
        out("accept", [&] {
            taken = c.accept(l.fd, reinterpret_cast<sockaddr*>(&from), &size);
            return taken >= 0;
        });
    }
    sockaddr_in own{};
    socklen_t own_size = sizeof own;
    CHECK(::getsockname(client, reinterpret_cast<sockaddr*>(&own), &own_size) == 0);
    out.value("the port", from.sin_port == own.sin_port);
    out.value("the size", size);
    out.value("its flags", ::fcntl(taken, F_GETFL) & O_NONBLOCK);
    out.value("FD_CLOEXEC", ::fcntl(taken, F_GETFD));
    ::close(taken);
    const descriptor second = test::client_of(l);
    out("accept4", [&] {
        taken = c.accept4(l.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        return taken >= 0;
    });
    out.value("its flags", test::has_nonblock(taken) + 2 * ::fcntl(taken, F_GETFD));
    ::close(taken);
    out("accept4, bad flags", [&] { return c.accept4(l.fd, nullptr, nullptr, 77); });
    CHECK(::fcntl(l.fd, F_SETFL, O_NONBLOCK) == 0);
    out("non-blocking", [&] { return c.accept(l.fd, nullptr, nullptr); });
    CHECK(::fcntl(l.fd, F_SETFL, 0) == 0);
    out.value("the listener's O_NONBLOCK", test::has_nonblock(l.fd));
    const later shut{c, 30ms, [&] { ::shutdown(l.fd, SHUT_RDWR); }};
    out("shut down", [&] { return c.accept(l.fd, nullptr, nullptr); });
}

DIFFERENTIAL("accept on what does not listen fails at once") {
    out("no descriptor", [&] { return c.accept(-1, nullptr, nullptr); });
    auto p = test::pipe_pair();
    out("a pipe", [&] { return c.accept(p[0], nullptr, nullptr); });
    const descriptor d{c.socket(AF_INET, SOCK_DGRAM, 0)};
    out("UDP", [&] { return c.accept(d, nullptr, nullptr); });
    const descriptor s{c.socket(AF_INET, SOCK_STREAM, 0)};
    out("not listening", [&] { return c.accept(s, nullptr, nullptr); });
    auto t = test::tcp_pair();
    out("connected", [&] { return c.accept(t[0], nullptr, nullptr); });
    auto u = test::unix_pair();
    out("connected, AF_UNIX", [&] { return c.accept(u[0], nullptr, nullptr); });
    const descriptor zero{::open("/dev/zero", O_RDONLY | O_CLOEXEC)};
    out("a device", [&] { return c.accept4(zero, nullptr, nullptr, 0); });
}

DIFFERENTIAL("accept without a free descriptor is EMFILE, and the client stays") {
    test::listener l;
    rlimit before{};
    CHECK(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit none{static_cast<rlim_t>(::dup(0)), before.rlim_max};  // the lowest free number
    ::close(static_cast<int>(none.rlim_cur));
    // Its socket stands below the limit.
    const descriptor client = test::client_of(l);
    const int next = ::dup(0);
    ::close(next);
    const rlimit low{static_cast<rlim_t>(next), before.rlim_max};
    CHECK(::setrlimit(RLIMIT_NOFILE, &low) == 0);
    out("accept", [&] { return c.accept(l.fd, nullptr, nullptr); });
    CHECK(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    const int taken = c.accept(l.fd, nullptr, nullptr);
    out.value("then", taken >= 0);
    ::close(taken);
}

DIFFERENTIAL("a listener from before a fork, which another process accepts on") {
    test::listener l;
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(5);
        const long taken = ::syscall(SYS_accept4, static_cast<int>(l.fd), nullptr, nullptr, 0);
        ::_exit(taken >= 0 ? 0 : 1);
    }
    const descriptor first = test::client_of(l);
    int status = -1;
    while (::waitpid(child, &status, WNOHANG) == 0) c.usleep(1000);
    out.value("the child has taken it", status);
    test::set_timeout(l.fd, SO_RCVTIMEO, 50);
    out("none is left", [&] { return c.accept(l.fd, nullptr, nullptr); });
    const descriptor second = test::client_of(l);
    const int taken = c.accept(l.fd, nullptr, nullptr);
    out.value("the next one", taken >= 0);
    ::close(taken);
}

DIFFERENTIAL("a listener that a plain thread accepts on, too") {
    test::listener l;
    std::atomic<int> there{0};
    const later thread{c, 1ms, [&] {
        for (int i = 0; i < 10; ++i) {
            const int taken = ::accept(l.fd, nullptr, nullptr);
            if (taken >= 0) there.fetch_add(1);
            ::close(taken);
        }
    }};
    c.usleep(20'000);
    const later clients{c, 10ms, [&] {
        for (int i = 0; i < 20; ++i) {
            const descriptor client = test::client_of(l);
            std::this_thread::sleep_for(1ms);
        }
    }};
    int here = 0;
    while (here + there.load() < 20 && here < 10) {
        const int taken = c.accept(l.fd, nullptr, nullptr);
        if (taken >= 0) ++here;
        ::close(taken);
    }
    out.value("taken here", here);
}
