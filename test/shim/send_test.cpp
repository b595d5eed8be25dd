// write, writev, send and their kin: everything or an error, and never a byte twice.
#include <atomic>
#include <climits>
#include <cstring>

#include <signal.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::later;

namespace {

constexpr std::size_t much = std::size_t{4} << 20;

/// Reads to the end on a thread of its own, slowly at first.
class reader {
public:
    reader(const test::calls& c, int fd)
        : work_{c, 1ms, [this, fd] {
              char piece[20'000];
              for (int turns = 0;; ++turns) {
                  const ssize_t size = ::read(fd, piece, turns < 50 ? 3'000 : sizeof piece);
                  if (size <= 0) return;
                  got_.append(piece, static_cast<std::size_t>(size));
                  size_.store(got_.size());
                  if (turns < 50) std::this_thread::sleep_for(1ms);
              }
          }} {}
    std::size_t size() const { return size_.load(); }
    const std::string& got() const { return got_; }  // once the last byte has come

private:
    std::string got_;
    std::atomic<std::size_t> size_{0};
    later work_;
};

}  // namespace

DIFFERENTIAL("4 MiB through a small buffer arrive byte for byte") {
    static const std::string sent = test::pattern(much);  // made by the plain thread, not beside the ticker
    const auto run = [&](const char* what, test::ends pair, int from, auto call) {
        std::string got;
        {
            reader slow{c, pair[1 - from]};
            out.untimed(what, [&] { return call(pair[from]); });
            pair[from].close();
            while (slow.size() < much) c.usleep(1000);
            got = slow.got();
        }
        out.value("equal", got == sent);
    };
    // TCP with a buffer below a few segments waits for delayed acknowledgements.
    const auto small = [](test::ends pair, int size = 8'000) {
        test::set_option(pair[0], SOL_SOCKET, SO_SNDBUF, size);
        return pair;
    };
    const auto write = [&](int fd) { return c.write(fd, sent.data(), sent.size()); };
    const auto vector = [&](int fd) {
        iovec parts[4];
        const std::size_t cuts[5] = {0, 7, 7, 3'000'001, much};
        for (int i = 0; i < 4; ++i) parts[i] = {const_cast<char*>(sent.data()) + cuts[i], cuts[i + 1] - cuts[i]};
        const std::string before(reinterpret_cast<char*>(parts), sizeof parts);
        const ssize_t result = c.writev(fd, parts, 4);
        out.value("the parts are untouched", std::memcmp(before.data(), parts, sizeof parts) == 0);
        return result;
    };
    const auto message = [&](int fd) {
        iovec parts[2] = {{const_cast<char*>(sent.data()), 1'000'003}, {const_cast<char*>(sent.data()) + 1'000'003,
                                                                        much - 1'000'003}};
        msghdr header{};
        header.msg_iov = parts;
        header.msg_iovlen = 2;
        const ssize_t result = c.sendmsg(fd, &header, 0);
        out.value("the parts are untouched", parts[0].iov_len == 1'000'003 && header.msg_iovlen == 2);
        return result;
    };
    run("write, AF_UNIX", small(test::unix_pair()), 0, write);
    run("write, TCP", small(test::tcp_pair(), 150'000), 0, write);
    run("write, pipe", test::pipe_pair(), 1, write);
    run("writev, AF_UNIX", small(test::unix_pair()), 0, vector);
    run("writev, pipe", test::pipe_pair(), 1, vector);
    run("sendmsg, TCP", small(test::tcp_pair(), 150'000), 0, message);
    run("send, AF_UNIX", small(test::unix_pair()), 0, [&](int fd) { return c.send(fd, sent.data(), much, 0); });
}

DIFFERENTIAL("descriptors go once, with the first part of a long message") {
    auto s = test::unix_pair();
    test::set_option(s[0], SOL_SOCKET, SO_SNDBUF, 8'000);
    const std::string sent = test::pattern(200'000);
    iovec part{const_cast<char*>(sent.data()), sent.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    test::control control;
    const int right = 0;
    control.carry(message, &right, 1);
    std::size_t came = 0;
    int rights = 0;
    {
        const later take{c, 20ms, [&] {
            std::string room(30'000, 0);
            while (came < sent.size()) {
                iovec into{room.data(), room.size()};
                test::control received;
                msghdr taken{};
                taken.msg_iov = &into;
                taken.msg_iovlen = 1;
                taken.msg_control = received.room;
                taken.msg_controllen = sizeof received.room;
                const ssize_t size = ::recvmsg(s[1], &taken, 0);
                if (size <= 0) return;
                came += static_cast<std::size_t>(size);
                rights += received.take(taken);
            }
        }};
        out.untimed("sendmsg", [&] { return c.sendmsg(s[0], &message, 0); });
        out.value("the control room is as it was", static_cast<std::int64_t>(message.msg_controllen));
    }
    out.value("bytes", static_cast<std::int64_t>(came));
    out.value("descriptors", rights);
}

DIFFERENTIAL("a broken stream is EPIPE at the next call") {
    ::signal(SIGPIPE, SIG_IGN);
    static const std::string sent = test::pattern(much);  // made by the plain thread, not beside the ticker
    for (auto make : {+[] { return test::unix_pair(); }, +[] {
             auto p = test::pipe_pair();
             std::swap(p[0], p[1]);
             return p;
         }}) {
        auto s = make();
        {
            const later close{c, 40ms, [&] { s[1].close(); }};
            const ssize_t gone = c.write(s[0], sent.data(), sent.size());
            out.value("some have gone", gone > 0 && gone < static_cast<ssize_t>(sent.size()));
        }
        out("write", [&] { return c.write(s[0], sent.data(), 10); });
        out("write of nothing", [&] { return c.write(s[0], sent.data(), 0); });
        iovec part{const_cast<char*>(sent.data()), 5};
        out("writev", [&] { return c.writev(s[0], &part, 1); });
        out("send", [&] { return c.send(s[0], sent.data(), 5, 0); });
    }
    auto s = test::unix_pair();
    ::shutdown(s[0], SHUT_WR);
    out("after the own SHUT_WR", [&] { return c.send(s[0], "x", 1, MSG_NOSIGNAL); });
    const test::descriptor fresh{c.socket(AF_INET, SOCK_STREAM, 0)};
    out("unconnected", [&] { return c.send(fresh, "x", 1, MSG_NOSIGNAL); });
}

DIFFERENTIAL("datagrams go whole or not at all") {
    for (const int type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
        auto s = test::unix_pair(type);
        const std::string sent = test::pattern(1 << 20);
        out("too long", [&] { return c.send(s[0], sent.data(), sent.size(), 0); });
        out("writev of two parts", [&] {
            iovec parts[2] = {{const_cast<char*>("ab"), 2}, {const_cast<char*>("c"), 1}};
            return c.writev(s[0], parts, 2);
        });
        test::set_timeout(s[0], SO_SNDTIMEO, 60);
        int gone = 0;
        while (c.send(s[0], sent.data(), 1000, 0) == 1000) ++gone;
        out.value("until the peer's room is full", gone);
        out("full", [&] { return c.send(s[0], sent.data(), 1000, 0); });
        out("full, MSG_DONTWAIT", [&] { return c.send(s[0], sent.data(), 1000, MSG_DONTWAIT); });
        test::set_timeout(s[0], SO_SNDTIMEO, 0);
        const later take{c, 30ms, [&] {
            char b[2000];
            while (::recv(s[1], b, sizeof b, MSG_DONTWAIT) >= 0) {}
        }};
        out("when there is room", [&] { return c.send(s[0], sent.data(), 1000, 0); });
    }
    auto u = test::udp_pair();
    const std::string sent = test::pattern(70'000);
    out("UDP, too long", [&] { return c.send(u[0], sent.data(), sent.size(), 0); });
    out("UDP, an empty one", [&] { return c.send(u[0], sent.data(), 0, 0); });
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(9);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const test::descriptor free{c.socket(AF_INET, SOCK_DGRAM, 0)};
    out("sendto", [&] { return c.sendto(free, "abc", 3, 0, reinterpret_cast<sockaddr*>(&to), sizeof to); });
    out("send without an address", [&] { return c.send(free, "abc", 3, 0); });
}

DIFFERENTIAL("a pipe takes up to PIPE_BUF in one piece") {
    auto p = test::pipe_pair();
    CHECK(::fcntl(p[1], F_SETPIPE_SZ, 4096) == 4096);
    const std::string sent = test::pattern(8192);
    char b[8192];
    out("3000", [&] { return c.write(p[1], sent.data(), 3000); });
    {
        const later read{c, 40ms, [&] { CHECK(::read(p[0], b, sizeof b) == 3000); }};
        out("3000 more, when they fit whole", [&] { return c.write(p[1], sent.data(), 3000); });
    }
    out("what is there", [&] { return c.read(p[0], b, sizeof b); });
    std::string got;
    {
        const later read{c, 40ms, [&] {
            while (got.size() < 8192) {
                const ssize_t size = ::read(p[0], b, 1000);
                if (size <= 0) return;
                got.append(b, static_cast<std::size_t>(size));
            }
        }};
        out("8192 in pieces", [&] { return c.write(p[1], sent.data(), 8192); });
    }
    out.value("equal", got == sent);
}

DIFFERENTIAL("what cannot be written") {
    iovec part{const_cast<char*>("abc"), 3};
    out("write(-1)", [&] { return c.write(-1, "abc", 3); });
    out("writev(-1)", [&] { return c.writev(-1, &part, 1); });
    out("send(-1)", [&] { return c.send(-1, "abc", 3, 0); });
    auto p = test::pipe_pair();
    out("the end to read", [&] { return c.write(p[0], "abc", 3); });
    out("send to a pipe", [&] { return c.send(p[1], "abc", 3, 0); });
    out("writev of -1 parts", [&] { return c.writev(p[1], &part, -1); });
    out("writev of too many parts", [&] { return c.writev(p[1], &part, IOV_MAX + 1); });
    out("writev of no parts", [&] { return c.writev(p[1], &part, 0); });
    const test::descriptor source{::open("/dev/zero", O_RDONLY | O_CLOEXEC)};
    out("a source", [&] { return c.write(source, "abc", 3); });
    const test::descriptor full{::open("/dev/full", O_WRONLY | O_CLOEXEC)};
    out("a full device", [&] { return c.write(full, "abc", 3); });
    test::listener l;
    out("a listener", [&] { return c.send(l.fd, "abc", 3, MSG_NOSIGNAL); });
}

// The first write past the limit is cut short; only the next one raises SIGXFSZ, whose default ends the process.
DIFFERENTIAL("a file's size limit cuts a write short") {
    const test::scratch folder;
    const test::descriptor file{::open(folder.name("f").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
    rlimit before{};
    CHECK(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const rlimit low{5000, before.rlim_max};
    CHECK(::setrlimit(RLIMIT_FSIZE, &low) == 0);
    const std::string sent = test::pattern(8000);
    out("write", [&] { return c.write(file, sent.data(), sent.size()); });
    ::signal(SIGXFSZ, SIG_IGN);
    out("write at the limit", [&] { return c.write(file, sent.data(), sent.size()); });
    ::signal(SIGXFSZ, SIG_DFL);
    CHECK(::setrlimit(RLIMIT_FSIZE, &before) == 0);
}
