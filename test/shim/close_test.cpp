// A descriptor that is closed, replaced or reused while a task waits for it. The kernel would leave a blocked thread
// blocked; weft answers EBADF.
#include <cstdio>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::descriptor;

namespace {

struct ended {
    long result;
    int error;
};

/// A task in a call that waits.
template <class Call>
weft::task<ended> waiting(Call call) {
    auto task = weft::spawn([call] {
        errno = 0;
        const long result = call();
        return ended{result, errno};
    });
    weft::sleep_for(2ms);
    CHECK_FALSE(task.ready());
    return task;
}

void ends_with_ebadf(const weft::task<ended>& task) {
    REQUIRE(task.join(2s));
    CHECK(task.get().result == -1);
    CHECK(task.get().error == EBADF);
}

template <class Body>
void both_ways(Body body) {
    body(test::named_calls());
    const test::patched now;
    body(test::plain_calls());
}

char room[64];

}  // namespace

HUB_TEST("close ends every wait on the descriptor with EBADF") {
    both_ways([](const calls& c) {
        auto s = test::unix_pair();
        auto p = test::pipe_pair();
        test::listener l;
        const descriptor e{::eventfd(0, EFD_CLOEXEC)};
        const int fd = s[0], out = p[0], accepting = l.fd, event = e;
        const auto first = waiting([&c, fd] { return c.read(fd, room, 1); });
        const auto second = waiting([&c, fd] { return c.recv(fd, room, 5, MSG_WAITALL); });
        const auto third = waiting([&c, out] { return c.read(out, room, 1); });
        const auto fourth = waiting([&c, accepting] { return long{c.accept(accepting, nullptr, nullptr)}; });
        const auto fifth = waiting([&c, event] { return c.read(event, room, 8); });
        CHECK(c.close(s[0].release()) == 0);
        CHECK(c.close(p[0].release()) == 0);
        CHECK(c.close(l.fd.release()) == 0);
        for (const auto& task : {first, second, third, fourth}) ends_with_ebadf(task);
        CHECK_FALSE(fifth.ready());
        CHECK(::eventfd_write(e, 1) == 0);
        CHECK(fifth.get().result == 8);
    });
}

HUB_TEST("a write that has progressed returns its count when the descriptor is closed") {
    both_ways([](const calls& c) {
        auto s = test::unix_pair();
        const std::string much = test::pattern(1 << 22);
        const int fd = s[0];
        const auto writer = waiting([&, fd] { return c.write(fd, much.data(), much.size()); });
        CHECK(c.close(s[0].release()) == 0);
        REQUIRE(writer.join(2s));
        CHECK(writer.get().result > 0);
        CHECK(writer.get().result < static_cast<long>(much.size()));
    });
}

HUB_TEST("dup2, dup3, close_range, closefrom and fclose close, too") {
    both_ways([](const calls& c) {
        const auto closed_by = [&c](auto close) {
            auto s = test::unix_pair();
            const int high = ::fcntl(s[0], F_DUPFD_CLOEXEC, 700);
            const auto reader = waiting([&c, high] { return c.read(high, room, 1); });
            close(high);
            ends_with_ebadf(reader);
            ::close(high);
        };
        auto other = test::unix_pair();
        const int in_place = other[0];
        closed_by([&](int fd) { CHECK(c.dup2(in_place, fd) == fd); });
        closed_by([&](int fd) { CHECK(c.dup3(in_place, fd, O_CLOEXEC) == fd); });
        closed_by([](int fd) { CHECK(::close_range(static_cast<unsigned>(fd), static_cast<unsigned>(fd), 0) == 0); });
        closed_by([](int fd) { ::closefrom(fd); });
        closed_by([](int fd) { CHECK(std::fclose(::fdopen(fd, "r")) == 0); });
        const auto stays = waiting([&c, in_place] { return c.read(in_place, room, 1); });
        CHECK(c.dup2(in_place, in_place) == in_place);
        CHECK(c.dup3(in_place, in_place, 0) == -1);
        CHECK(c.dup2(-1, in_place) == -1);
        CHECK(c.dup3(other[1], in_place, 77) == -1);
        CHECK(::close_range(static_cast<unsigned>(in_place), 4'000'000'000U, CLOSE_RANGE_CLOEXEC) == 0);
        weft::sleep_for(2ms);
        CHECK_FALSE(stays.ready());
        CHECK(::write(other[1], "x", 1) == 1);
        CHECK(stays.get().result == 1);
    });
}

HUB_TEST("a number that is used again serves its new file") {
    both_ways([](const calls& c) {
        int number = -1;
        for (int round = 0; round < 20; ++round) {
            auto s = round % 2 != 0 ? test::unix_pair() : test::pipe_pair();
            if (number < 0) number = s[0];
            CHECK(s[0] == number);
            const int fd = s[0];
            const auto reader = waiting([&c, fd] { return c.read(fd, room, 1); });
            if (round % 3 == 0) {
                CHECK(c.close(s[0].release()) == 0);
                ends_with_ebadf(reader);
            } else {
                CHECK(::write(s[1], "x", 1) == 1);
                CHECK(reader.get().result == 1);
            }
        }
    });
}

HUB_TEST("a dup that lives on keeps its own waiters and wakes nobody else") {
    both_ways([](const calls& c) {
        auto s = test::unix_pair();
        const int copy = ::dup(s[0]), fd = s[0];
        const auto on_copy = waiting([&c, copy] { return c.read(copy, room, 1); });
        const auto on_first = waiting([&c, fd] { return c.read(fd, room, 1); });
        CHECK(c.close(s[0].release()) == 0);
        ends_with_ebadf(on_first);
        weft::sleep_for(2ms);
        CHECK_FALSE(on_copy.ready());
        auto reused = test::pipe_pair();  // one of its ends has the old number
        CHECK((reused[0] == fd || reused[1] == fd));
        CHECK(::write(s[1], "x", 1) == 1);
        CHECK(on_copy.get().result == 1);
        CHECK(c.close(copy) == 0);
    });
}

HUB_TEST("poll and epoll_wait end when what they wait for is closed") {
    both_ways([](const calls& c) {
        auto s = test::unix_pair();
        const int fd = s[0];
        auto poller = weft::spawn([&c, fd] {
            pollfd look{fd, POLLIN, 0};
            const int ready = c.poll(&look, 1, -1);
            return ready == 1 && look.revents == POLLNVAL;
        });
        descriptor set{::epoll_create1(EPOLL_CLOEXEC)};
        const int number = set;
        const auto waiter = waiting([&c, number] {
            epoll_event event;
            return long{c.epoll_wait(number, &event, 1, -1)};
        });
        CHECK(c.close(s[0].release()) == 0);
        CHECK(c.close(set.release()) == 0);
        REQUIRE(poller.join(2s));
        CHECK(poller.get());
        ends_with_ebadf(waiter);
    });
}

HUB_TEST("a descriptor closed by a plain thread ends the wait of a task") {
    both_ways([](const calls& c) {
        auto s = test::unix_pair();
        const int fd = s[0];
        const auto reader = waiting([&c, fd] { return c.read(fd, room, 1); });
        const test::later close{c, 5ms, [&] { s[0].close(); }};
        ends_with_ebadf(reader);
    });
}
