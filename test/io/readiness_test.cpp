// What io/readiness.hpp promises: try first, wait on what is registered once, lose no readiness.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "io/readiness.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
namespace io = weft::detail::io;
using io::direction;
using io::outcome;

namespace {

/// Both ends of a connection, closed as a descriptor has to be that tasks may wait on.
struct pair_of_sockets {
    int a = -1, b = -1;

    explicit pair_of_sockets(int type = SOCK_STREAM) {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == 0);
        a = ends[0];
        b = ends[1];
    }
    ~pair_of_sockets() {
        close(a);
        close(b);
    }
    static void close(int& fd) {
        if (fd < 0) return;
        io::closing(fd);
        ::close(std::exchange(fd, -1));
    }
};

void send(int fd, std::string_view text) {
    CHECK(::send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
}

struct received {
    outcome how;
    std::string text;
};

/// recv() as a call that parks makes it.
received receive(int fd, weft::deadline by = {}) {
    const io::manner how{.what = "a test's recv", .by = by};
    for (;;) {
        const io::attempt seen{fd};
        char room[256];
        const ssize_t size = ::recv(fd, room, sizeof room, MSG_DONTWAIT);
        if (size >= 0) {
            const std::string text{room, static_cast<std::size_t>(size)};
            io::took(fd, seen, direction::read, static_cast<std::size_t>(size) < sizeof room);
            return {outcome::ready, text};
        }
        if (errno != EAGAIN) return {outcome::failed, {}};
        const outcome end = io::wait(fd, seen, direction::read, how);
        if (end != outcome::ready) return {end, {}};
    }
}

int real_poll(pollfd* fds, nfds_t count, int timeout) { return ::poll(fds, count, timeout); }

}  // namespace

HUB_TEST("what is there is taken without waiting") {
    pair_of_sockets s;
    send(s.b, "hello");
    CHECK(receive(s.a).text == "hello");
    CHECK(weft::testing::count().waits == 0);
}

HUB_TEST("a reader waits until something comes, and other tasks run meanwhile") {
    pair_of_sockets s;
    auto reader = weft::spawn([&] { return receive(s.a).text; });
    weft::yield();
    CHECK(weft::testing::count().waits == 1);
    send(s.b, "late");
    CHECK(reader.get() == "late");
}

HUB_TEST("the end of a stream is seen") {
    pair_of_sockets s;
    auto reader = weft::spawn([&] { return receive(s.a); });
    weft::yield();
    pair_of_sockets::close(s.b);
    CHECK(reader.get().how == outcome::ready);
    CHECK(reader.get().text.empty());
}

HUB_TEST("a deadline ends the wait") {
    pair_of_sockets s;
    const auto start = std::chrono::steady_clock::now();
    CHECK(receive(s.a, 10ms).how == outcome::timed_out);
    CHECK(std::chrono::steady_clock::now() - start >= 10ms);
    CHECK(receive(s.a, weft::deadline::past()).how == outcome::timed_out);
}

HUB_TEST("a kill ends the wait") {
    pair_of_sockets s;
    std::optional<outcome> how;
    auto reader = weft::spawn([&] { how = receive(s.a).how; });
    weft::yield();
    reader.kill();
    CHECK(how == outcome::killed);
    CHECK(weft::testing::count().waits == 0);
}

HUB_TEST("a descriptor closed under waiting tasks wakes all of them at once") {
    pair_of_sockets s;
    std::vector<weft::task<received>> readers;
    for (int i = 0; i < 3; ++i) readers.push_back(weft::spawn([&] { return receive(s.a); }));
    weft::yield();
    pair_of_sockets::close(s.a);
    for (auto& r : readers) CHECK(r.get().how == outcome::closed);
}

HUB_TEST("a descriptor closed by another thread wakes its waiters too") {
    pair_of_sockets s;
    auto reader = weft::spawn([&] { return receive(s.a); });
    weft::yield();
    std::thread closer{[&] { pair_of_sockets::close(s.a); }};
    CHECK(reader.get().how == outcome::closed);
    closer.join();
}

HUB_TEST("a number that is used again is a new descriptor") {
    for (int round = 0; round < 5; ++round) {
        pair_of_sockets s;
        auto reader = weft::spawn([&] { return receive(s.a).text; });
        weft::yield();
        send(s.b, std::to_string(round));
        CHECK(reader.get() == std::to_string(round));
    }
}

HUB_TEST("two waiters, one edge, two datagrams: both are served") {
    pair_of_sockets s{SOCK_DGRAM};
    auto first = weft::spawn([&] { return receive(s.a).text; });
    auto second = weft::spawn([&] { return receive(s.a).text; });
    weft::yield();
    send(s.b, "one");
    send(s.b, "two");
    CHECK(first.get() == "one");
    CHECK(second.get() == "two");
}

HUB_TEST("a killed waiter passes its turn on") {
    pair_of_sockets s{SOCK_DGRAM};
    auto doomed = weft::spawn([&] { return receive(s.a); });
    auto next = weft::spawn([&] { return receive(s.a).text; });
    weft::yield();
    send(s.b, "one");
    weft::hub::current().post([&] { (void)doomed.kill(weft::deadline::past()); });
    CHECK(next.join(weft::deadline::after(5s)));
    if (doomed.get().how == outcome::ready) send(s.b, "two");  // it had been served already
    CHECK_FALSE(next.get().empty());
}

HUB_TEST("a waiter that times out passes its turn on") {
    for (int round = 0; round < 50; ++round) {
        pair_of_sockets s{SOCK_DGRAM};
        auto hasty = weft::spawn([&] { return receive(s.a, 200us); });
        auto patient = weft::spawn([&] { return receive(s.a).text; });
        std::thread sender{[&] {
            std::this_thread::sleep_for(180us);
            send(s.b, "one");
        }};
        hasty.join();
        sender.join();
        if (hasty.get().how == outcome::ready) send(s.b, "two");
        REQUIRE(patient.join(weft::deadline::after(5s)));
    }
}

HUB_TEST("tasks of two hubs wait for one descriptor, and each datagram reaches one of them") {
    constexpr int datagrams = 200;
    pair_of_sockets s{SOCK_DGRAM};
    std::atomic<int> got{0};
    const auto reads = [&] {
        while (receive(s.a).text != "stop") ++got;
    };
    std::thread other{[&] {
        auto a = weft::spawn(reads);
        auto b = weft::spawn(reads);
        a.join();
        b.join();
    }};
    auto mine = weft::spawn(reads);
    for (int i = 0; i < datagrams + 3; ++i) {
        const std::string text = i < datagrams ? "x" : "stop";
        while (::send(s.b, text.data(), text.size(), MSG_DONTWAIT) < 0) weft::sleep_for(100us);
        if (i % 3 == 0) weft::yield();
    }
    mine.join();
    other.join();
    CHECK(got == datagrams);
}

HUB_TEST("a writer waits for room, and a reader beside it is not woken by that") {
    pair_of_sockets s;
    const std::string block(1 << 16, 'w');
    std::size_t written = 0;
    constexpr std::size_t wanted = std::size_t{4} << 20;
    auto writer = weft::spawn([&] {
        const io::manner how{.what = "a test's send"};
        while (written < wanted) {
            const io::attempt seen{s.a};
            const ssize_t size = ::send(s.a, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            if (size > 0) {
                written += static_cast<std::size_t>(size);
                io::took(s.a, seen, direction::write, false);
            } else if (io::wait(s.a, seen, direction::write, how) != outcome::ready) {
                return;
            }
        }
    });
    auto reader = weft::spawn([&] { return receive(s.a).text; });
    std::size_t read = 0;
    while (read < wanted) read += receive(s.b).text.size();
    writer.get();
    CHECK(written >= wanted);
    CHECK_FALSE(reader.ready());
    while (read < written) read += receive(s.b).text.size();
    send(s.b, "for the reader");
    CHECK(reader.get() == "for the reader");
}

HUB_TEST("a descriptor that cannot be watched fails with its error, and a closed one is closed") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const int gone = ends[0];
    io::closing(gone);
    ::close(gone);
    const io::attempt seen{gone};
    CHECK(io::wait(gone, seen, direction::read, {.what = "a test"}) == outcome::closed);
    ::close(ends[1]);
    FILE* file = ::tmpfile();
    REQUIRE(file);
    const int fd = ::fileno(file);
    const io::attempt of_file{fd};
    CHECK(io::wait(fd, of_file, direction::read, {.what = "a test"}) == outcome::failed);
    CHECK(errno == EPERM);
    ::fclose(file);
}

HUB_TEST("a wait in a callback of the hub is refused and joins no line") {
    pair_of_sockets s;
    bool refused = false;
    weft::event done;
    weft::hub::current().post([&] {
        try {
            (void)receive(s.a);
        } catch (const weft::blocking_in_hub&) {
            refused = true;
        }
        done.set();
    });
    done.wait();
    CHECK(refused);
    auto reader = weft::spawn([&] { return receive(s.a).text; });
    weft::yield();
    send(s.b, "to a task");
    CHECK(reader.get() == "to a task");
}

HUB_TEST("a task that always finds something lets others run all the same") {
    pair_of_sockets s;
    bool other_ran = false;
    weft::spawn([&] { other_ran = true; });
    for (int i = 0; i < 100 && !other_ran; ++i) {
        send(s.b, "x");
        (void)receive(s.a);
    }
    CHECK(other_ran);
}

HUB_TEST("wait_any() sees what is ready, waits for what is not, and its deadline") {
    pair_of_sockets s, t;
    pollfd fds[] = {{s.a, POLLIN, 0}, {t.a, POLLIN, 0}, {-1, POLLIN, 0}};
    io::manner how{.what = "a test's poll", .by = weft::deadline::after(5ms)};
    CHECK(io::wait_any(fds, 3, real_poll, how).how == outcome::timed_out);
    auto sender = weft::spawn([&] { send(t.b, "x"); });
    how.by = {};
    const auto result = io::wait_any(fds, 3, real_poll, how);
    CHECK(result.count == 1);
    CHECK(fds[0].revents == 0);
    CHECK(fds[1].revents == POLLIN);
    sender.get();
}

HUB_TEST("those who only look and one who takes wait for the same descriptor") {
    pair_of_sockets s;
    const auto looks = [&] {
        pollfd fd{s.a, POLLIN, 0};
        return io::wait_any(&fd, 1, real_poll, {.what = "a test's poll"}).count;
    };
    auto first = weft::spawn(looks);
    auto taker = weft::spawn([&] { return receive(s.a).text; });
    auto second = weft::spawn([&] {
        pollfd fd{s.a, POLLIN, 0};
        return io::wait_any(&fd, 1, real_poll, {.what = "a test's poll", .by = weft::deadline::after(5s)}).count;
    });
    weft::yield();
    send(s.b, "x");
    CHECK(taker.get() == "x");
    CHECK(first.join(weft::deadline::past()));
    send(s.b, "y");
    CHECK(second.get() == 1);
}

HUB_TEST("a native scope says that nothing may park, for its own fiber only") {
    CHECK(io::may_park());
    CHECK(io::enter_native() == 0);
    CHECK_FALSE(io::may_park());
    CHECK(io::enter_native() == 1);
    CHECK(weft::spawn([] { return io::may_park(); }).get());
    io::leave_native();
    CHECK_FALSE(io::may_park());
    io::leave_native();
    CHECK(io::may_park());
}

HUB_TEST("a thread whose tasks wait for descriptors ends without them") {
    pair_of_sockets s;
    std::thread{[&] {
        weft::spawn([&] { (void)receive(s.a); });
        weft::yield();
    }}.join();
    auto reader = weft::spawn([&] { return receive(s.a).text; });
    weft::yield();
    send(s.b, "still read");
    CHECK(reader.get() == "still read");
}

HUB_TEST("a task that is unwound with its thread may read on, whoever else is ready") {
    pair_of_sockets s;
    int reads = 0;
    bool other_unwound = false;
    std::thread{[&] {
        weft::spawn([&] {
            struct note {
                bool& told;
                ~note() { told = true; }
            } at_end{other_unwound};
            weft::yield();
        });
        weft::spawn([&] {
            struct reads_on {
                int fd, peer;
                int& count;
                ~reads_on() {
                    for (int i = 0; i < 100; ++i) {
                        send(peer, "x");
                        count += receive(fd).text == "x";
                    }
                }
            } at_end{s.a, s.b, reads};
            weft::sleep_for(1h);
        });
        weft::yield();
    }}.join();
    CHECK(reads == 100);
    CHECK(other_unwound);
}
