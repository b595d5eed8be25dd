// Time-outs, signals, partial transfers and O_NONBLOCK: the cases whose native results are best known.
#include <poll.h>
#include <signal.h>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::descriptor;

DIFFERENTIAL("SO_RCVTIMEO ends reads, and poll does not know it") {
    auto s = test::unix_pair();
    char b[64] = {};
    test::set_timeout(s[0], SO_RCVTIMEO, 100);
    out("read", [&] { return c.read(s[0], b, 1); });
    out("recv MSG_DONTWAIT", [&] { return c.recv(s[0], b, 1, MSG_DONTWAIT); });
    CHECK(::write(s[1], "abc", 3) == 3);
    out("recv(10) MSG_WAITALL of 3", [&] { return c.recv(s[0], b, 10, MSG_WAITALL); });
    CHECK(::write(s[1], "abc", 3) == 3);
    out("recv(10) MSG_PEEK | MSG_WAITALL of 3", [&] { return c.recv(s[0], b, 10, MSG_PEEK | MSG_WAITALL); });
    out("recv of them", [&] { return c.recv(s[0], b, 3, 0); });
    out("recv of nothing", [&] { return c.recv(s[0], b, 0, 0); });
    out("read of nothing", [&] { return c.read(s[0], b, 0); });
    pollfd look{s[0], POLLIN, 0};
    out("poll(50)", [&] { return c.poll(&look, 1, 50); });
}

DIFFERENTIAL("SO_SNDTIMEO cuts a write short") {
    auto s = test::unix_pair();
    test::set_timeout(s[0], SO_SNDTIMEO, 100);
    static const std::string much = test::pattern(1 << 22);  // made by the plain thread, not beside the ticker
    out("write of 4 MiB that nobody reads", [&] { return c.write(s[0], much.data(), much.size()); });
    out("write again", [&] { return c.write(s[0], much.data(), 100); });
}

DIFFERENTIAL_ALONE("a signal ends a wait by the rules of signal(7)") {
    auto s = test::unix_pair();
    char b[4];
    const auto rings = [&](const char* what, int flags, auto call) {
        test::alarm_clock::rang = 0;
        const test::alarm_clock clock{30ms, flags};
        out(what, call);
        out.value("handler ran", test::alarm_clock::rang);
    };
    rings("recv", 0, [&] { return c.recv(s[0], b, 1, 0); });
    rings("read", 0, [&] { return c.read(s[0], b, 1); });
    {
        // It goes on after the handler, and takes what comes then.
        const test::later writes{c, 80ms, [&] { CHECK(::write(s[1], "x", 1) == 1); }};
        rings("recv, SA_RESTART", SA_RESTART, [&] { return c.recv(s[0], b, 1, 0); });
    }
    test::set_timeout(s[0], SO_RCVTIMEO, 100);
    rings("recv, SA_RESTART but SO_RCVTIMEO", SA_RESTART, [&] { return c.recv(s[0], b, 1, 0); });
    pollfd look{s[0], POLLIN, 0};
    rings("poll, SA_RESTART", SA_RESTART, [&] { return c.poll(&look, 1, 100); });
    rings("usleep, SA_RESTART", SA_RESTART, [&] { return c.usleep(100'000); });
    rings("sleep(1)", SA_RESTART, [&] { return c.sleep(1); });
    rings("sleep(3)", SA_RESTART, [&] { return c.sleep(3); });
    timespec left{9, 9};
    const timespec span{5, 0};
    rings("nanosleep(5)", SA_RESTART, [&] { return c.nanosleep(&span, &left); });
    out.value("whole seconds left", left.tv_sec);
    rings("clock_nanosleep(5)", 0, [&] { return c.clock_nanosleep(CLOCK_MONOTONIC, 0, &span, &left); });
    out.value("whole seconds left", left.tv_sec);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(s[0], &set);
    timeval limit{2, 0};
    rings("select", SA_RESTART, [&] { return c.select(s[0] + 1, &set, nullptr, nullptr, &limit); });
    out.value("its set is as it was", FD_ISSET(s[0], &set) != 0);
    out.value("whole seconds left", limit.tv_sec);
}

DIFFERENTIAL("connect and accept in time") {
    test::listener l{0};
    test::set_timeout(l.fd, SO_RCVTIMEO, 100);
    out("accept", [&] { return c.accept(l.fd, nullptr, nullptr); });
    descriptor to[4];
    for (auto& fd : to) {
        fd = descriptor{c.socket(AF_INET, SOCK_STREAM, 0)};
        test::set_timeout(fd, SO_SNDTIMEO, 100);
        out("connect, a backlog of 0", [&] { return c.connect(fd, l.at(), sizeof l.address); });
        out.value("its O_NONBLOCK", test::has_nonblock(fd));
    }
    out("connect again", [&] { return c.connect(to[3], l.at(), sizeof l.address); });
    CHECK(::fcntl(l.fd, F_SETFL, O_NONBLOCK) == 0);
    const descriptor taken{c.accept(l.fd, nullptr, nullptr)};
    out.value("the accepted one inherits O_NONBLOCK", test::has_nonblock(taken));
}

DIFFERENTIAL("connect refused") {
    test::listener l;
    l.fd.close();
    const descriptor blocking{c.socket(AF_INET, SOCK_STREAM, 0)};
    out("connect", [&] { return c.connect(blocking, l.at(), sizeof l.address); });
    const descriptor free{c.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    for (int i = 0; i < 3; ++i) out("non-blocking connect", [&] { return c.connect(free, l.at(), sizeof l.address); });
}

DIFFERENTIAL("shut down, closed and full") {
    ::signal(SIGPIPE, SIG_IGN);
    auto u = test::unix_pair();
    char b[5000] = {};
    ::shutdown(u[0], SHUT_RD);
    out("recv after the own SHUT_RD", [&] { return c.recv(u[0], b, 1, 0); });
    u[1].close();
    out("send to a closed peer", [&] { return c.send(u[0], b, 1, 0); });
    auto p = test::pipe_pair();
    out("F_SETPIPE_SZ", [&] { return ::fcntl(p[1], F_SETPIPE_SZ, 4096); });
    CHECK(::fcntl(p[1], F_SETFL, O_NONBLOCK) == 0);
    out("non-blocking write of 3000", [&] { return c.write(p[1], b, 3000); });
    out("again, which must be whole", [&] { return c.write(p[1], b, 3000); });
    out("of 5000, which may be cut", [&] { return c.write(p[1], b, 5000); });
}
