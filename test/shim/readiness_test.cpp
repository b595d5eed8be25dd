// What a readiness protocol gets wrong if it trusts an edge or a short read too far. Each case is data that is there
// while no further event will say so.
#include <cstring>
#include <thread>
#include <vector>

#include <poll.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::descriptor;

namespace {

template <class Body>
void both_ways(Body body) {
    body(test::named_calls());
    const test::patched now;
    body(test::plain_calls());
}

/// Reads into much room until `size` bytes have come; false if that takes too long.
bool reads_all(const calls& c, int fd, std::size_t size) {
    auto reader = weft::spawn([&c, fd, size] {
        std::size_t got = 0;
        char b[100];
        while (got < size) {
            const ssize_t part = c.read(fd, b, sizeof b);
            if (part <= 0) return false;
            got += static_cast<std::size_t>(part);
        }
        return got == size;
    });
    return reader.join(2s) && reader.get();
}

/// As reads_all, with the descriptor known to the hub from a wait before.
template <class Put>
bool reads_all_after_a_wait(const calls& c, int fd, std::size_t size, Put put) {
    auto reader = weft::spawn([&c, fd, size] { return reads_all(c, fd, size); });
    weft::sleep_for(2ms);
    put();
    return reader.join(3s) && reader.get();
}

void put(int fd, std::string_view text) {
    CHECK(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

}  // namespace

HUB_TEST("a TCP urgent byte splits the data before and after it") {
    both_ways([](const calls& c) {
        const auto urge = [](int fd) {
            CHECK(::send(fd, "abc", 3, 0) == 3);
            CHECK(::send(fd, "x", 1, MSG_OOB) == 1);
            CHECK(::send(fd, "def", 3, 0) == 3);
        };
        auto before = test::tcp_pair();
        urge(before[1]);
        CHECK(reads_all(c, before[0], 6));
        auto after = test::tcp_pair();
        CHECK(reads_all_after_a_wait(c, after[0], 6, [&] { urge(after[1]); }));
        urge(after[1]);
        CHECK(reads_all(c, after[0], 6));
    });
}

HUB_TEST("a descriptor sent over AF_UNIX ends a read early") {
    both_ways([](const calls& c) {
        auto s = test::unix_pair();
        CHECK(reads_all_after_a_wait(c, s[0], 6, [&] {
            iovec part{const_cast<char*>("abc"), 3};
            msghdr message{};
            message.msg_iov = &part;
            message.msg_iovlen = 1;
            test::control control;
            const int right = 0;
            control.carry(message, &right, 1);
            CHECK(::sendmsg(s[1], &message, 0) == 3);
            put(s[1], "def");
        }));
    });
}

HUB_TEST("SO_PASSCRED keeps the bytes of two writers apart") {
    both_ways([](const calls& c) {
        auto s = test::unix_pair();
        test::set_option(s[0], SOL_SOCKET, SO_PASSCRED, 1);
        CHECK(reads_all_after_a_wait(c, s[0], 6, [&] {
            put(s[1], "abc");
            const pid_t child = ::fork();
            if (child == 0) ::_exit(::syscall(SYS_write, static_cast<int>(s[1]), "def", 3) == 3 ? 0 : 1);
            int status = -1;
            CHECK(::waitpid(child, &status, 0) == child);
            CHECK(status == 0);
        }));
    });
}

HUB_TEST("packets in a pipe, lines on a terminal, datagrams on a socket come one a read") {
    both_ways([](const calls& c) {
        auto packets = test::pipe_pair(O_DIRECT);
        CHECK(reads_all_after_a_wait(c, packets[0], 6, [&] { put(packets[1], "abc"), put(packets[1], "def"); }));
        put(packets[1], "abc"), put(packets[1], "def");
        CHECK(reads_all(c, packets[0], 6));
        auto datagrams = test::udp_pair();
        CHECK(reads_all_after_a_wait(c, datagrams[0], 6, [&] { put(datagrams[1], "abc"), put(datagrams[1], "def"); }));
        int main_end, line_end;
        CHECK(::openpty(&main_end, &line_end, nullptr, nullptr, nullptr) == 0);
        const descriptor master{main_end}, line{line_end};
        CHECK(reads_all_after_a_wait(c, line, 8, [&] { put(master, "one\ntwo\n"); }));
    });
}

HUB_TEST("MSG_PEEK and an error in between take nothing away") {
    both_ways([](const calls& c) {
        auto s = test::tcp_pair();
        const int fd = s[0];
        auto reader = weft::spawn([&c, fd] {
            char b[100];
            return c.recv(fd, b, sizeof b, MSG_PEEK) == 3 && c.recv(fd, b, sizeof b, MSG_PEEK) == 3 &&
                   c.read(fd, b, sizeof b) == 3;
        });
        weft::sleep_for(2ms);
        put(s[1], "abc");
        REQUIRE(reader.join(2s));
        CHECK(reader.get());
    });
}

HUB_TEST("two datagrams with one edge serve two waiting tasks") {
    both_ways([](const calls& c) {
        for (int waiting = 2; waiting <= 5; ++waiting) {
            auto s = test::unix_pair(SOCK_DGRAM);
            const int fd = s[0];
            std::vector<weft::task<bool>> readers;
            for (int i = 0; i < waiting; ++i) {
                readers.push_back(weft::spawn([&c, fd] {
                    char b[8];
                    return c.read(fd, b, sizeof b) == 1;
                }));
            }
            weft::sleep_for(2ms);
            for (int i = 0; i < waiting; ++i) put(s[1], "x");
            for (auto& reader : readers) {
                REQUIRE(reader.join(2s));
                CHECK(reader.get());
            }
        }
    });
}

HUB_TEST("a first waiter that is killed or gives up hands its turn on") {
    both_ways([](const calls& c) {
        for (const bool kill : {true, false}) {
            auto s = test::unix_pair();
            const int fd = s[0];
            const auto read = [&c, fd] {
                char b[100];
                return c.read(fd, b, sizeof b) == 1;
            };
            auto first = weft::spawn([&] {
                if (kill) return read();
                pollfd look{fd, POLLIN, 0};
                return c.poll(&look, 1, 5) >= 0;
            });
            weft::sleep_for(1ms);
            auto second = weft::spawn(read);
            weft::sleep_for(kill ? 1ms : 4ms);
            // The byte and the kill are both on their way when the hub next looks.
            put(s[1], "x");
            if (kill) (void)first.kill(weft::deadline::past());
            REQUIRE(second.join(2s));
            CHECK(second.get());
            CHECK(first.join(2s));
        }
    });
}

HUB_TEST("a waiter that times out with the data under way leaves it to the next one") {
    both_ways([](const calls& c) {
        auto s = test::unix_pair();
        test::set_timeout(s[0], SO_RCVTIMEO, 20);
        for (int round = 0; round < 10; ++round) {
            const int fd = s[0];
            std::vector<weft::task<int>> readers;
            for (int i = 0; i < 3; ++i) {
                readers.push_back(weft::spawn([&c, fd] {
                    char b;
                    return static_cast<int>(c.read(fd, &b, 1));
                }));
            }
            weft::sleep_for(19ms);
            put(s[1], "x");
            int got = 0;
            for (auto& reader : readers) got += reader.get() == 1;
            if (got == 0) {
                char b;
                CHECK(c.recv(fd, &b, 1, MSG_DONTWAIT) == 1);  // all had given up before
            }
            CHECK(got <= 1);
        }
    });
}

HUB_TEST("O_NONBLOCK set by another dup while a drain is predicted ends in EAGAIN") {
    both_ways([](const calls& c) {
        auto s = test::tcp_pair();
        const descriptor copy{::fcntl(s[0], F_DUPFD_CLOEXEC, 0)};
        CHECK(reads_all_after_a_wait(c, s[0], 3, [&] { put(s[1], "abc"); }));
        CHECK(::fcntl(copy, F_SETFL, O_NONBLOCK) == 0);
        char b[8];
        CHECK(c.read(s[0], b, sizeof b) == -1);
        CHECK(errno == EAGAIN);
    });
}

HUB_TEST("O_NONBLOCK is never left set, nor seen while a call is parked") {
    both_ways([](const calls& c) {
        test::listener full{0};
        const descriptor takes_the_place = test::client_of(full);
        const descriptor connecting{c.socket(AF_INET, SOCK_STREAM, 0)};
        auto u = test::unix_pair();
        auto p = test::pipe_pair();
        auto writing = test::pipe_pair();
        test::listener l;
        const std::string much = test::pattern(1 << 20);
        char b[8];
        sockaddr_in to = full.address;
        std::vector<weft::task<void>> parked;
        parked.push_back(weft::spawn([&] { c.connect(connecting, reinterpret_cast<sockaddr*>(&to), sizeof to); }));
        parked.push_back(weft::spawn([&] { c.read(u[0], b, 1); }));
        parked.push_back(weft::spawn([&] { c.read(p[0], b, 1); }));
        parked.push_back(weft::spawn([&] { c.write(writing[1], much.data(), much.size()); }));
        parked.push_back(weft::spawn([&] { c.accept(l.fd, nullptr, nullptr); }));
        weft::sleep_for(5ms);
        const auto check = [&] {
            for (const int fd : {int{connecting}, int{u[0]}, int{u[1]}, int{p[0]}, int{p[1]}, int{writing[0]},
                                 int{writing[1]}, int{l.fd}})
                CHECK_FALSE(test::has_nonblock(fd));
        };
        check();
        for (auto& task : parked) {
            CHECK_FALSE(task.ready());
            CHECK(task.kill(1s));
        }
        check();
    });
}

HUB_TEST("one descriptor watched by two hubs wakes the one that waits") {
    both_ways([](const calls& c) {
        auto s = test::unix_pair();
        const int fd = s[0];
        for (int round = 0; round < 3; ++round) {
            std::atomic<int> got{0};
            std::thread other{[&] {
                // The thread's own hub; its end takes its set away.
                auto task = weft::spawn([&] {
                    char b[8];
                    for (int i = 0; i < 3; ++i) got += static_cast<int>(c.read(fd, b, 1));
                });
                task.join();
            }};
            auto here = weft::spawn([&] {
                char b[8];
                for (int i = 0; i < 3; ++i) got += static_cast<int>(c.read(fd, b, 1));
            });
            for (int i = 0; i < 6; ++i) {
                weft::sleep_for(2ms);
                put(s[1], "x");
            }
            CHECK(here.join(3s));
            other.join();
            CHECK(got.load() == 6);
        }
        // And after the other hub's end.
        CHECK(reads_all_after_a_wait(c, fd, 3, [&] { put(s[1], "abc"); }));
    });
}

HUB_TEST("a descriptor closed by one hub ends the waits of another's tasks") {
    both_ways([](const calls& c) {
        auto s = test::unix_pair();
        const int fd = s[0];
        std::atomic<int> error{0};
        std::atomic<bool> waits{false};
        std::thread other{[&] {
            auto task = weft::spawn([&] {
                char b;
                waits = true;
                if (c.read(fd, &b, 1) == -1) error = errno;
            });
            task.join();
        }};
        while (!waits) weft::sleep_for(1ms);
        weft::sleep_for(5ms);
        CHECK(c.close(s[0].release()) == 0);
        other.join();
        CHECK(error.load() == EBADF);
    });
}
