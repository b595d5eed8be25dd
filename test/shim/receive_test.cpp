// read, readv, recv and recvfrom: what they return for every state that a stream or a datagram socket can be in.
#include <climits>
#include <cstring>
#include <thread>

#include <sys/ioctl.h>
#include <sys/uio.h>

#include "shim/differential.hpp"
#include "shim/faults.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::later;

namespace {
void put(int fd, std::string_view text) {
    CHECK(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}
}  // namespace

DIFFERENTIAL("a read waits for data, and takes what is there") {
    for (auto make : {+[] { return test::unix_pair(); }, +[] { return test::tcp_pair(); }}) {
        auto s = make();
        char b[32] = {};
        {
            const later write{c, 30ms, [&] { put(s[1], "hello"); }};
            out.bytes("read", b, static_cast<std::size_t>(out("read", [&] { return c.read(s[0], b, sizeof b); })));
        }
        {
            const later write{c, 30ms, [&] { put(s[1], "once more"); }};
            out("recv", [&] { return c.recv(s[0], b, 4, 0); });
        }
        iovec parts[3] = {{b, 2}, {nullptr, 0}, {b + 2, 10}};
        out("readv", [&] { return c.readv(s[0], parts, 3); });
        out.bytes("its bytes", b, 5);
        {
            const later write{c, 30ms, [&] { put(s[1], "xyz"); }};
            out("readv", [&] { return c.readv(s[0], parts, 3); });
        }
        out("readv of no parts", [&] { return c.readv(s[0], parts, 0); });
        out("readv of -1 parts", [&] { return c.readv(s[0], parts, -1); });
        out("readv of too many parts", [&] { return c.readv(s[0], parts, IOV_MAX + 1); });
        const later shut{c, 30ms, [&] { ::shutdown(s[1], SHUT_WR); }};
        out("read at the end", [&] { return c.read(s[0], b, sizeof b); });
        out("again", [&] { return c.recv(s[0], b, sizeof b, 0); });
    }
}

DIFFERENTIAL("MSG_PEEK leaves what it shows") {
    for (auto make : {+[] { return test::unix_pair(); }, +[] { return test::tcp_pair(); }}) {
        auto s = make();
        char b[32] = {};
        {
            const later write{c, 30ms, [&] { put(s[1], "abcdef"); }};
            out("peek", [&] { return c.recv(s[0], b, 4, MSG_PEEK); });
        }
        out("peek at more than there is", [&] { return c.recv(s[0], b, sizeof b, MSG_PEEK); });
        out("read", [&] { return c.read(s[0], b, 3); });
        out("peek", [&] { return c.recv(s[0], b, sizeof b, MSG_PEEK); });
        out("read", [&] { return c.read(s[0], b, sizeof b); });
        out.bytes("bytes", b, 3);
        s[1].close();
        out("peek at the end", [&] { return c.recv(s[0], b, sizeof b, MSG_PEEK); });
    }
}

DIFFERENTIAL("MSG_WAITALL waits until full, the end or the time-out") {
    for (auto make : {+[] { return test::unix_pair(); }, +[] { return test::tcp_pair(); }}) {
        auto s = make();
        char b[32] = {};
        put(s[1], "abc");
        {
            const later write{c, 30ms, [&] { put(s[1], "defghij"); }};
            out("all of 10", [&] { return c.recv(s[0], b, 10, MSG_WAITALL); });
            out.bytes("bytes", b, 10);
        }
        test::set_timeout(s[0], SO_RCVTIMEO, 60);
        put(s[1], "abc");
        out("timed out", [&] { return c.recv(s[0], b, 10, MSG_WAITALL); });
        out("timed out with nothing", [&] { return c.recv(s[0], b, 10, MSG_WAITALL); });
        put(s[1], "abcd");
        out("of nothing", [&] { return c.recv(s[0], b, 0, MSG_WAITALL); });
        out("MSG_DONTWAIT wins", [&] {
            const test::faults::spared now;
            return c.recv(s[0], b, 10, MSG_WAITALL | MSG_DONTWAIT);
        });
        test::set_timeout(s[0], SO_RCVTIMEO, 0);
        put(s[1], "ab");
        const later end{c, 30ms, [&] { s[1].close(); }};
        out("cut by the end", [&] { return c.recv(s[0], b, 10, MSG_WAITALL); });
        out("at the end", [&] { return c.recv(s[0], b, 10, MSG_WAITALL); });
    }
}

DIFFERENTIAL("MSG_PEEK | MSG_WAITALL: what is there on AF_UNIX, all of it on TCP") {
    auto u = test::unix_pair();
    char b[32] = {};
    put(u[1], "abc");
    out("AF_UNIX", [&] { return c.recv(u[0], b, 10, MSG_PEEK | MSG_WAITALL); });
    auto t = test::tcp_pair();
    put(t[1], "abc");
    {
        const later write{c, 30ms, [&] { put(t[1], "defghijklm"); }};
        out("TCP", [&] { return c.recv(t[0], b, 10, MSG_PEEK | MSG_WAITALL); });
    }
    out("TCP, more than comes before the time-out", [&] {
        test::set_timeout(t[0], SO_RCVTIMEO, 60);
        return c.recv(t[0], b, 20, MSG_PEEK | MSG_WAITALL);
    });
    test::set_timeout(t[0], SO_RCVTIMEO, 0);
    const later end{c, 30ms, [&] { t[1].close(); }};
    out("TCP, cut by the end", [&] { return c.recv(t[0], b, 20, MSG_PEEK | MSG_WAITALL); });
    out("recv", [&] { return c.recv(t[0], b, 20, 0); });
}

DIFFERENTIAL("a stream that ended, was reset or shut down") {
    auto t = test::tcp_pair();
    char b[32] = {};
    const linger at_once{1, 0};
    CHECK(::setsockopt(t[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    {
        const later reset{c, 30ms, [&] { t[1].close(); }};
        out("reset while it waits", [&] { return c.read(t[0], b, sizeof b); });
    }
    out("then it has ended", [&] { return c.read(t[0], b, sizeof b); });
    auto u = test::unix_pair();
    const later shut{c, 30ms, [&] { ::shutdown(u[0], SHUT_RD); }};
    out("the own SHUT_RD while it waits", [&] { return c.read(u[0], b, sizeof b); });
    auto closed = test::unix_pair();
    put(closed[0], "unread");
    closed[1].close();
    out("closed with unread data", [&] { return c.read(closed[0], b, sizeof b); });
}

DIFFERENTIAL("O_NONBLOCK and MSG_DONTWAIT never wait") {
    auto s = test::unix_pair();
    char b[8];
    CHECK(::fcntl(s[0], F_SETFL, O_NONBLOCK) == 0);
    out("read, fcntl", [&] { return c.read(s[0], b, 1); });
    out("recv, fcntl", [&] { return c.recv(s[0], b, 1, 0); });
    out("MSG_WAITALL, fcntl", [&] { return c.recv(s[0], b, 4, MSG_WAITALL); });
    CHECK(::fcntl(s[0], F_SETFL, 0) == 0);
    {
        const later write{c, 30ms, [&] { put(s[1], "x"); }};
        out("read, the flag is gone", [&] { return c.read(s[0], b, 1); });
    }
    int on = 1;
    CHECK(::ioctl(s[0], FIONBIO, &on) == 0);
    out("read, FIONBIO", [&] { return c.read(s[0], b, 1); });
    on = 0;
    CHECK(::ioctl(s[0], FIONBIO, &on) == 0);
    out("recv MSG_DONTWAIT", [&] {
        const test::faults::spared now;
        return c.recv(s[0], b, 1, MSG_DONTWAIT);
    });
    auto n = test::unix_pair(SOCK_STREAM | SOCK_NONBLOCK);
    out("read, SOCK_NONBLOCK", [&] { return c.read(n[0], b, 1); });
    test::listener l;
    const auto client = test::client_of(l);
    const test::descriptor served{c.accept4(l.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    out("read, accept4", [&] { return c.read(served, b, 1); });
    out.value("F_GETFL tells", test::has_nonblock(served));
    out.value("and of the others", test::has_nonblock(s[0]) + 2 * test::has_nonblock(client));
    CHECK(::fcntl(served, F_SETFL, 0) == 0);
    test::set_timeout(served, SO_RCVTIMEO, 40);
    out("read, the time-out counts again", [&] { return c.read(served, b, 1); });
}

DIFFERENTIAL("descriptors that cannot be read") {
    char b[8] = {};
    iovec part{b, sizeof b};
    out("read(-1)", [&] { return c.read(-1, b, 1); });
    out("read of none", [&] { return c.read(-1, b, 0); });
    out("read of a closed one", [&] { return c.read(900, b, 1); });
    out("readv(-1)", [&] { return c.readv(-1, &part, 1); });
    out("recv(-1)", [&] { return c.recv(-1, b, 1, 0); });
    out("recv(-1) MSG_WAITALL", [&] { return c.recv(-1, b, 4, MSG_WAITALL); });
    auto p = test::pipe_pair();
    out("read of the end to write", [&] { return c.read(p[1], b, 1); });
    out("recv of a pipe", [&] { return c.recv(p[0], b, 1, 0); });
    out("recv MSG_WAITALL of a pipe", [&] { return c.recv(p[0], b, 4, MSG_WAITALL); });
    const test::descriptor folder{::open("/", O_RDONLY | O_CLOEXEC)};
    out("read of a folder", [&] { return c.read(folder, b, 1); });
    const test::descriptor path{::open("/", O_PATH | O_CLOEXEC)};
    out("read of an O_PATH", [&] { return c.read(path, b, 1); });
    const test::descriptor sink{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    out("read of a sink", [&] { return c.read(sink, b, 1); });
    test::listener l;
    out("read of a listener", [&] { return c.read(l.fd, b, 1); });
    out("recv of a listener", [&] { return c.recv(l.fd, b, 1, 0); });
    const test::descriptor fresh{c.socket(AF_INET, SOCK_STREAM, 0)};
    out("recv of an unconnected one", [&] { return c.recv(fresh, b, 1, 0); });
    out("MSG_OOB without any", [&] { return c.recv(fresh, b, 1, MSG_OOB); });
    out("MSG_ERRQUEUE", [&] { return c.recv(fresh, b, 1, MSG_ERRQUEUE); });
}

DIFFERENTIAL("datagrams come one at a time, whole or cut, and may be empty") {
    for (auto make : {+[] { return test::udp_pair(); }, +[] { return test::unix_pair(SOCK_DGRAM); },
                      +[] { return test::unix_pair(SOCK_SEQPACKET); }}) {
        auto s = make();
        char b[16] = {};
        {
            const later send{c, 30ms, [&] { ::send(s[1], "first", 5, 0), ::send(s[1], "second", 6, 0); }};
            out("read", [&] { return c.read(s[0], b, sizeof b); });
        }
        out("cut", [&] { return c.recv(s[0], b, 3, 0); });
        ::send(s[1], "third", 5, 0);
        out("MSG_TRUNC", [&] { return c.recv(s[0], b, 2, MSG_TRUNC); });
        ::send(s[1], "fourth", 6, 0);
        out("MSG_WAITALL changes nothing", [&] { return c.recv(s[0], b, sizeof b, MSG_WAITALL); });
        ::send(s[1], "", 0, 0);
        out("an empty one", [&] { return c.recv(s[0], b, sizeof b, 0); });
        test::set_timeout(s[0], SO_RCVTIMEO, 50);
        out("none in time", [&] { return c.recv(s[0], b, sizeof b, 0); });
    }
}

DIFFERENTIAL("recvfrom tells the sender, and leaves the address alone when it fails") {
    auto s = test::udp_pair();
    char b[16] = {};
    sockaddr_in own{}, from{};
    socklen_t own_size = sizeof own, size = sizeof from;
    CHECK(::getsockname(s[1], reinterpret_cast<sockaddr*>(&own), &own_size) == 0);
    auto* at = reinterpret_cast<sockaddr*>(&from);
    {
        const later send{c, 30ms, [&] { ::send(s[1], "hi", 2, 0); }};
        out("recvfrom", [&] { return c.recvfrom(s[0], b, sizeof b, 0, at, &size); });
    }
    out.value("its size", size);
    out.value("it is the sender's", from.sin_port == own.sin_port);
    test::set_timeout(s[0], SO_RCVTIMEO, 30);
    std::memset(&from, 0x55, sizeof from);
    size = 7;
    out("recvfrom in vain", [&] { return c.recvfrom(s[0], b, sizeof b, 0, at, &size); });
    out.value("its size", size);
    out.bytes("the address", &from, sizeof from);
}

DIFFERENTIAL("SO_RCVLOWAT: a blocking call waits for as much, or for the end") {
    for (auto make : {+[] { return test::unix_pair(); }, +[] { return test::tcp_pair(); }}) {
        auto s = make();
        char b[32] = {};
        test::set_option(s[0], SOL_SOCKET, SO_RCVLOWAT, 6);
        const auto in_two = [&](const char* what, auto call) {
            const later write{c, 20ms, [&] {
                put(s[1], "abc");
                std::this_thread::sleep_for(10ms);
                put(s[1], "defg");
            }};
            out(what, call);
            out.bytes("bytes", b, 7);
        };
        in_two("recv", [&] { return c.recv(s[0], b, sizeof b, 0); });
        in_two("read", [&] { return c.read(s[0], b, sizeof b); });
        iovec parts[2] = {{b, 2}, {b + 2, 20}};
        in_two("readv", [&] { return c.readv(s[0], parts, 2); });
        msghdr message{};
        message.msg_iov = parts;
        message.msg_iovlen = 2;
        in_two("recvmsg", [&] { return c.recvmsg(s[0], &message, 0); });
        in_two("recvfrom", [&] { return c.recvfrom(s[0], b, sizeof b, 0, nullptr, nullptr); });
        put(s[1], "abcd");
        out("less room than that", [&] { return c.recv(s[0], b, 3, 0); });
        out("MSG_DONTWAIT", [&] { return c.recv(s[0], b, 3, MSG_DONTWAIT); });
        test::set_timeout(s[0], SO_RCVTIMEO, 40);
        put(s[1], "ab");
        out("what has come in time", [&] { return c.recv(s[0], b, sizeof b, 0); });
        out("nothing in time", [&] { return c.read(s[0], b, sizeof b); });
        test::set_timeout(s[0], SO_RCVTIMEO, 0);
        put(s[1], "abc");
        const later end{c, 30ms, [&] { s[1].close(); }};
        out("cut by the end", [&] { return c.read(s[0], b, sizeof b); });
        out("at the end", [&] { return c.read(s[0], b, sizeof b); });
    }
    auto u = test::unix_pair();
    char b[32];
    test::set_option(u[0], SOL_SOCKET, SO_RCVLOWAT, 6);
    put(u[1], "abc");
    {
        const later write{c, 30ms, [&] { put(u[1], "defg"); }};
        out("a part is there already", [&] { return c.read(u[0], b, sizeof b); });
    }
    auto d = test::unix_pair(SOCK_DGRAM);
    test::set_option(d[0], SOL_SOCKET, SO_RCVLOWAT, 6);
    put(d[1], "ab");
    out("a datagram", [&] { return c.read(d[0], b, sizeof b); });
    out("its mark", [&] {
        int mark = 0;
        socklen_t size = sizeof mark;
        return ::getsockopt(d[0], SOL_SOCKET, SO_RCVLOWAT, &mark, &size) == 0 ? mark : -1;
    });
}

DIFFERENTIAL("the own shutdown ends what waits") {
    for (auto make : {+[] { return test::unix_pair(); }, +[] { return test::tcp_pair(); }, +[] { return test::udp_pair(); }}) {
        auto s = make();
        char b[8];
        {
            const later shut{c, 30ms, [&] { ::shutdown(s[0], SHUT_RD); }};
            out("read", [&] { return c.read(s[0], b, sizeof b); });
        }
        out("again", [&] { return c.recv(s[0], b, sizeof b, MSG_DONTWAIT); });
    }
    auto t = test::tcp_pair();
    char b[8];
    put(t[1], "ab");
    out("less than there is room for", [&] { return c.read(t[0], b, sizeof b); });
    CHECK(::shutdown(t[0], SHUT_RD) == 0);
    out("then it is shut", [&] { return c.read(t[0], b, sizeof b); });
    auto u = test::unix_pair();
    const std::string many(1 << 21, 'x');
    {
        const later shut{c, 30ms, [&] { ::shutdown(u[0], SHUT_WR); }};
        out("a write in parts", [&] { return c.send(u[0], many.data(), many.size(), MSG_NOSIGNAL) > 0; });
    }
    out("the next", [&] { return c.send(u[0], many.data(), 1, MSG_NOSIGNAL); });
    test::listener l;
    const later shut{c, 30ms, [&] { ::shutdown(l.fd, SHUT_RD); }};
    out("accept", [&] { return c.accept(l.fd, nullptr, nullptr); });
}
