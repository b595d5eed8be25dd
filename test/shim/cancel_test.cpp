// A kill meets a task in a patched call: that call answers ECANCELED and never throws, for foreign frames may stand
// above it; by weft::shim's names it throws.
#include <poll.h>
#include <sys/epoll.h>

#include <weft/error.hpp>
#include <weft/timeout.hpp>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::descriptor;

namespace {

/// Everything that a call may wait for, and never gets.
struct nothing {
    test::ends sockets = test::unix_pair();
    test::ends datagrams = test::udp_pair();
    test::ends pipe = test::pipe_pair();
    test::ends full = test::pipe_pair();
    test::listener l{};
    test::listener busy{0};
    descriptor in_the_way = test::client_of(busy);
    descriptor connecting{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    descriptor set{::epoll_create1(EPOLL_CLOEXEC)};
    char room[16] = {};

    nothing() {
        const std::string much = test::pattern(4096);
        CHECK(::fcntl(full[1], F_SETFL, O_NONBLOCK) == 0);
        while (::write(full[1], much.data(), much.size()) > 0) {}
        CHECK(::fcntl(full[1], F_SETFL, 0) == 0);
        while (::send(sockets[1], much.data(), much.size(), MSG_DONTWAIT) > 0) {}
    }
};

struct waiting_call {
    const char* name;
    long (*call)(const calls& c, nothing& n);
};

const timespec long_time{1000, 0};

const waiting_call waiting_calls[] = {
    {"read", [](const calls& c, nothing& n) -> long { return c.read(n.pipe[0], n.room, 1); }},
    {"readv", [](const calls& c, nothing& n) -> long {
         iovec part{n.room, 1};
         return c.readv(n.datagrams[0], &part, 1);
     }},
    {"recv", [](const calls& c, nothing& n) -> long { return c.recv(n.sockets[1], n.room, 1, 0); }},
    {"recv MSG_WAITALL", [](const calls& c, nothing& n) -> long { return c.recv(n.sockets[1], n.room, 9, MSG_WAITALL); }},
    {"recvfrom", [](const calls& c, nothing& n) -> long { return c.recvfrom(n.datagrams[0], n.room, 1, 0, nullptr, nullptr); }},
    {"recvmsg", [](const calls& c, nothing& n) -> long {
         iovec part{n.room, 1};
         msghdr message{};
         message.msg_iov = &part;
         message.msg_iovlen = 1;
         return c.recvmsg(n.datagrams[0], &message, 0);
     }},
    {"recvmmsg", [](const calls& c, nothing& n) -> long {
         iovec part{n.room, 1};
         mmsghdr message{};
         message.msg_hdr.msg_iov = &part;
         message.msg_hdr.msg_iovlen = 1;
         return c.recvmmsg(n.datagrams[0], &message, 1, 0, nullptr);
     }},
    {"write", [](const calls& c, nothing& n) -> long { return c.write(n.full[1], n.room, 1); }},
    {"writev", [](const calls& c, nothing& n) -> long {
         iovec part{n.room, 1};
         return c.writev(n.full[1], &part, 1);
     }},
    {"send", [](const calls& c, nothing& n) -> long { return c.send(n.sockets[1], n.room, 1, 0); }},
    {"sendmsg", [](const calls& c, nothing& n) -> long {
         iovec part{n.room, 1};
         msghdr message{};
         message.msg_iov = &part;
         message.msg_iovlen = 1;
         return c.sendmsg(n.sockets[1], &message, 0);
     }},
    {"accept", [](const calls& c, nothing& n) -> long { return c.accept(n.l.fd, nullptr, nullptr); }},
    {"accept4", [](const calls& c, nothing& n) -> long { return c.accept4(n.l.fd, nullptr, nullptr, 0); }},
    {"connect", [](const calls& c, nothing& n) -> long {
         return c.connect(n.connecting, n.busy.at(), sizeof n.busy.address);
     }},
    {"poll", [](const calls& c, nothing& n) -> long {
         pollfd look{n.pipe[0], POLLIN, 0};
         return c.poll(&look, 1, -1);
     }},
    {"ppoll", [](const calls& c, nothing& n) -> long {
         pollfd look{n.pipe[0], POLLIN, 0};
         return c.ppoll(&look, 1, &long_time, nullptr);
     }},
    {"select", [](const calls& c, nothing&) -> long { return c.select(0, nullptr, nullptr, nullptr, nullptr); }},
    {"pselect", [](const calls& c, nothing&) -> long { return c.pselect(0, nullptr, nullptr, nullptr, &long_time, nullptr); }},
    {"epoll_wait", [](const calls& c, nothing& n) -> long {
         epoll_event event;
         return c.epoll_wait(n.set, &event, 1, -1);
     }},
    {"epoll_pwait2", [](const calls& c, nothing& n) -> long {
         epoll_event event;
         return c.epoll_pwait2(n.set, &event, 1, &long_time, nullptr);
     }},
    {"usleep", [](const calls& c, nothing&) -> long { return c.usleep(1'000'000'000); }},
    {"nanosleep", [](const calls& c, nothing&) -> long { return c.nanosleep(&long_time, nullptr); }},
    {"sleep", [](const calls& c, nothing&) -> long { return static_cast<long>(c.sleep(1000)) == 999 ? -1 : 7; }},
    {"clock_nanosleep", [](const calls& c, nothing&) -> long {
         errno = c.clock_nanosleep(CLOCK_MONOTONIC, 0, &long_time, nullptr);
         return -1;
     }},
};

}  // namespace

HUB_TEST("each interposed call that waits answers a kill with ECANCELED, and weft's next wait throws") {
    const test::patched now;
    nothing n;
    for (const waiting_call& w : waiting_calls) {
        CAPTURE(w.name);
        long result = 5;
        int error = 0;
        bool thrown = false, thrown_again = false;
        auto task = weft::spawn([&] {
            result = w.call(test::plain_calls(), n);
            error = errno;
            try {
                weft::sleep_for(1h);
            } catch (const weft::fiber_exit&) {
                thrown = true;
            }
            try {
                weft::yield();
            } catch (const weft::fiber_exit&) {
                thrown_again = true;
                throw;
            }
        });
        weft::sleep_for(2ms);
        CHECK_FALSE(task.ready());
        CHECK(task.kill(1s));
        CHECK(result == -1);
        CHECK(error == ECANCELED);
        CHECK(thrown);
        CHECK(thrown_again);
        CHECK_FALSE(task.successful());
    }
}

HUB_TEST("in a timeout scope each interposed call answers ETIMEDOUT, and the scope throws what nobody has met since") {
    const test::patched now;
    nothing n;
    for (const waiting_call& w : waiting_calls) {
        CAPTURE(w.name);
        long result = 5;
        int error = 0;
        auto task = weft::spawn([&] {
            weft::timeout limit{1ms};
            result = w.call(test::plain_calls(), n);
            error = errno;
        });
        CHECK_THROWS_AS(task.get(), weft::timed_out);
        CHECK((result == -1 || std::string{w.name} == "sleep"));  // which has more or less of its time left
        if (std::string{w.name} != "sleep") CHECK(error == ETIMEDOUT);
    }
}

HUB_TEST("what met the timeout by an exception does not meet it again at the scope's end, nor does a fallback's scope") {
    const test::patched now;
    auto p = test::pipe_pair();
    char b;
    const auto silent = weft::spawn([&] {
        return weft::with_timeout(1ms, [&] { return ::read(p[0], &b, 1); }, ssize_t{77});
    });
    CHECK(silent.get() == 77);
    const auto met = weft::spawn([&] {
        weft::timeout limit{1ms};
        CHECK(::read(p[0], &b, 1) == -1);
        try {
            weft::yield();
        } catch (const weft::timed_out& e) {
            CHECK(e.is(limit));
        }
        return 5;
    });
    CHECK(met.get() == 5);
    const auto cancelled = weft::spawn([&] {
        weft::timeout limit{1ms};
        CHECK(::read(p[0], &b, 1) == -1);
        limit.cancel();
        return 6;
    });
    CHECK(cancelled.get() == 6);
}

HUB_TEST("each call by weft::shim's name throws when its task is killed") {
    nothing n;
    for (const waiting_call& w : waiting_calls) {
        CAPTURE(w.name);
        bool returned = false, thrown = false;
        auto task = weft::spawn([&] {
            try {
                w.call(test::named_calls(), n);
                returned = true;
            } catch (const weft::fiber_exit&) {
                thrown = true;
                throw;
            }
        });
        weft::sleep_for(2ms);
        CHECK_FALSE(task.ready());
        CHECK(task.kill(1s));
        CHECK_FALSE(returned);
        CHECK(thrown);
    }
}

HUB_TEST("what had been transferred before the kill is the result, both ways") {
    for (const bool named : {true, false}) {
        const calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        auto s = test::unix_pair();
        char b[16];
        const std::string much = test::pattern(1 << 22);
        long read = -2, written = -2;
        auto reader = weft::spawn([&] {
            read = c.recv(s[0], b, 10, MSG_WAITALL);
            weft::sleep_for(1h);
        });
        auto writer = weft::spawn([&] {
            written = c.write(s[0], much.data(), much.size());
            weft::sleep_for(1h);
        });
        CHECK(::write(s[1], "abc", 3) == 3);
        weft::sleep_for(5ms);
        CHECK(reader.kill(1s));
        CHECK(writer.kill(1s));
        CHECK(read == 3);
        CHECK(written > 0);
        CHECK(written < static_cast<long>(much.size()));
    }
}

HUB_TEST("a loop that ignores ECANCELED does not stop the others, and is slowed down") {
    const test::patched now;
    auto p = test::pipe_pair();
    const int fd = p[0];
    int turns = 0;
    bool stop = false;
    auto deaf = weft::spawn([&] {
        char b;
        while (!stop) {
            ::read(fd, &b, 1) == -1 ? ++turns : 0;
        }
    });
    weft::sleep_for(2ms);
    test::beside_ticker ticks;
    (void)deaf.kill(weft::deadline::past());
    weft::sleep_for(100ms);
    const int fast = turns;
    weft::sleep_for(100ms);
    CHECK(ticks.stop() < 20ms * test::patience());
    CHECK(fast >= 1000);
    CHECK(turns - fast < 30);
    stop = true;
    CHECK(deaf.join(1s));
}

HUB_TEST("a killed task still closes, and its other calls that need not wait still work") {
    const test::patched now;
    auto s = test::unix_pair();
    long written = 0;
    int closed = -1;
    auto task = weft::spawn([&] {
        char b;
        CHECK(::read(s[0], &b, 1) == -1);
        written = ::write(s[0], "bye", 3);
        closed = ::close(s[0].release());
    });
    weft::sleep_for(2ms);
    CHECK(task.kill(1s));
    CHECK(written == 3);
    CHECK(closed == 0);
    char b[8];
    CHECK(::read(s[1], b, sizeof b) == 3);
}
