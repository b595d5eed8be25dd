// An error that libc's own call gives reaches the caller as it is, leaves nobody parked for ever, and the next call works.
#include <stdlib.h>
#include <termios.h>

#include "shim/differential.hpp"
#include "shim/faults.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::faults::fail_next;

namespace {

const int hopeless[] = {ENOMEM, ENOBUFS, EINTR};

/// A terminal's two ends; its slave is of the kind that is looked at before it is read.
test::ends terminal() {
    test::descriptor master{::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
    CHECK(::grantpt(master) == 0);
    CHECK(::unlockpt(master) == 0);
    test::descriptor slave{::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC)};
    return {{std::move(master), std::move(slave)}};
}

}  // namespace

HUB_TEST("what recv and send are told by the kernel is what their callers get, and the others are served") {
    const test::patched now;
    for (const int error : hopeless) {
        CAPTURE(error);
        auto s = test::unix_pair();
        char b[8];
        CHECK(::send(s[1], "ab", 2, 0) == 2);
        fail_next("recv", error);
        CHECK(::recv(s[0], b, 1, 0) == -1);
        CHECK(errno == error);
        CHECK(::recv(s[0], b, 1, 0) == 1);
        fail_next("send", error);
        CHECK(::write(s[1], "c", 1) == -1);
        CHECK(errno == error);
        CHECK(::read(s[0], b, 8) == 1);
    }
}

HUB_TEST("an error that one of two readers meets is not the other's, who gets what has come") {
    const test::patched now;
    auto s = test::unix_pair();
    int failed = 0, served = 0;
    const auto reader = [&] {
        char b;
        const ssize_t got = ::recv(s[0], &b, 1, 0);
        ++(got == 1 ? served : failed);
    };
    auto one = weft::spawn(reader), two = weft::spawn(reader);
    weft::sleep_for(2ms);
    fail_next("recv", ENOMEM);
    CHECK(::write(s[1], "a", 1) == 1);
    CHECK(one.join(1s));
    CHECK(two.join(1s));
    CHECK(failed == 1);
    CHECK(served == 1);
}

HUB_TEST("after a part has gone an error is for the next call, and the part is the result") {
    const test::patched now;
    auto s = test::unix_pair();
    const std::string much = test::pattern(1 << 20);
    ssize_t gone = 0;
    auto writer = weft::spawn([&] { gone = ::send(s[1], much.data(), much.size(), 0); });
    weft::sleep_for(2ms);
    CHECK_FALSE(writer.ready());
    fail_next("send", ENOBUFS);
    std::string room(much.size(), 0);
    CHECK(::recv(s[0], room.data(), room.size(), 0) > 0);
    CHECK(writer.join(1s));
    CHECK(gone > 0);
    CHECK(gone < static_cast<ssize_t>(much.size()));
}

HUB_TEST("accept's and connect's errors are the caller's, and the listener still serves") {
    const test::patched now;
    for (const int error : {ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM, EINTR, EPERM}) {
        CAPTURE(error);
        test::listener l;
        const auto client = test::client_of(l);
        fail_next("accept", error);
        CHECK(::accept(l.fd, nullptr, nullptr) == -1);
        CHECK(errno == error);
        fail_next("accept4", error);
        CHECK(::accept4(l.fd, nullptr, nullptr, 0) == -1);
        CHECK(errno == error);
        const test::descriptor served{::accept(l.fd, nullptr, nullptr)};
        test::descriptor fresh{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        fail_next("connect", error);
        CHECK(::connect(fresh, l.at(), sizeof l.address) == -1);
        CHECK(errno == error);
        CHECK_FALSE(test::has_nonblock(fresh));
        CHECK(::connect(fresh, l.at(), sizeof l.address) == 0);
    }
}

HUB_TEST("a connection that is gone when accept is called leaves the caller waiting, as libc's does") {
    const test::patched now;
    test::listener l;
    auto server = weft::spawn([&] {
        const test::descriptor served{::accept(l.fd, nullptr, nullptr)};
        return true;
    });
    weft::sleep_for(2ms);
    fail_next("accept", EAGAIN);
    const auto first = test::client_of(l);
    weft::sleep_for(2ms);
    const auto second = test::client_of(l);
    CHECK(server.join(1s));
    CHECK(server.get());
}

HUB_TEST("a signal in the look before a terminal is read does not let the read block the thread") {
    const test::patched now;
    auto t = terminal();
    termios raw;
    CHECK(::tcgetattr(t[1], &raw) == 0);
    ::cfmakeraw(&raw);
    CHECK(::tcsetattr(t[1], TCSANOW, &raw) == 0);
    test::beside_ticker ticks;
    auto reader = weft::spawn([&] {
        char b;
        fail_next("poll", EINTR);
        return ::read(t[1], &b, 1);
    });
    weft::sleep_for(50ms);
    CHECK_FALSE(reader.ready());
    CHECK(::write(t[0], "x", 1) == 1);
    CHECK(reader.get() == 1);
    CHECK(ticks.stop() < 20ms * test::patience());
}

HUB_TEST("a signal in the look before accept does not let it block the thread") {
    const test::patched now;
    test::listener l;
    test::beside_ticker ticks;
    auto server = weft::spawn([&] {
        fail_next("poll", EINTR);
        const test::descriptor served{::accept(l.fd, nullptr, nullptr)};
    });
    weft::sleep_for(50ms);
    CHECK_FALSE(server.ready());
    const auto client = test::client_of(l);
    CHECK(server.join(1s));
    CHECK(ticks.stop() < 20ms * test::patience());
}

HUB_TEST("poll's and epoll_wait's errors are the caller's, and nothing stays parked") {
    const test::patched now;
    auto p = test::pipe_pair();
    const test::descriptor set{::epoll_create1(EPOLL_CLOEXEC)};
    for (const int error : {ENOMEM, EINTR}) {
        pollfd look{p[0], POLLIN, 0};
        fail_next("poll", error);
        CHECK(::poll(&look, 1, 5) == -1);
        CHECK(errno == error);
        fd_set all;
        FD_ZERO(&all);
        FD_SET(p[0], &all);
        timeval limit{0, 5000};
        fail_next("poll", error);
        CHECK(::select(p[0] + 1, &all, nullptr, nullptr, &limit) == -1);
        CHECK(errno == error);
        epoll_event event;
        fail_next("epoll_wait", error);
        CHECK(::epoll_wait(set, &event, 1, 5) == -1);
        CHECK(errno == error);
        CHECK(::epoll_wait(set, &event, 1, 1) == 0);
    }
}

HUB_TEST("without descriptors socket and dup say so, and know nothing of one") {
    const test::patched now;
    for (const int error : {EMFILE, ENFILE}) {
        fail_next("socket", error);
        CHECK(::socket(AF_INET, SOCK_STREAM, 0) == -1);
        CHECK(errno == error);
        fail_next("dup", error);
        CHECK(::dup(0) == -1);
        CHECK(errno == error);
    }
}
