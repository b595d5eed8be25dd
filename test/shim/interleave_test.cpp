// What two tasks write to one stream at once stays whole, however many parts each write has to go in.
#include <thread>
#include <vector>

#include <sys/uio.h>

#include <weft/timeout.hpp>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::calls;

namespace {

constexpr std::size_t much = 600'000;

template <class Body>
void both_ways(Body body) {
    if (!test::reached_late()) body(test::named_calls());
    const test::patched now;
    body(test::plain_calls());
}

test::ends small_pair() {
    auto s = test::unix_pair();
    test::set_option(s[0], SOL_SOCKET, SO_SNDBUF, 8'000);
    return s;
}

/// All of `text` by one call, of the four that write to a stream.
ssize_t write_by(const calls& c, int how, int fd, const std::string& text) {
    iovec parts[2] = {{const_cast<char*>(text.data()), text.size() / 3},
                      {const_cast<char*>(text.data()) + text.size() / 3, text.size() - text.size() / 3}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    switch (how % 4) {
        case 0: return c.write(fd, text.data(), text.size());
        case 1: return c.send(fd, text.data(), text.size(), MSG_NOSIGNAL);
        case 2: return c.writev(fd, parts, 2);
        default: return c.sendmsg(fd, &message, MSG_NOSIGNAL);
    }
}

int write_any(const calls& c, int how, int fd, const std::string& text, bool is_socket) {
    return static_cast<int>(write_by(c, is_socket ? how : how % 2 * 2, fd, text));
}

/// Reads `size` bytes; @returns how often the byte changes from one to the next
int changes_in(const calls& c, int fd, std::size_t size) {
    int changes = -1, last = -1;
    char room[7'001];
    for (std::size_t got = 0; got < size;) {
        const ssize_t came = c.read(fd, room, sizeof room);
        REQUIRE(came > 0);
        for (ssize_t i = 0; i < came; ++i) {
            if (room[i] != last) ++changes;
            last = room[i];
        }
        got += static_cast<std::size_t>(came);
    }
    return changes;
}

struct seen {
    ssize_t result = -2;
    int error = 0;
};

weft::task<seen> writing(const calls& c, int how, int fd, std::size_t size, char letter) {
    auto task = weft::spawn([&c, how, fd, size, letter] {
        errno = 0;
        const ssize_t result = write_by(c, how, fd, std::string(size, letter));
        return seen{result, errno};
    });
    weft::sleep_for(1ms);
    return task;
}

}  // namespace

HUB_TEST("large writes of many tasks to one stream come one after the other") {
    both_ways([](const calls& c) {
        for (int kind = 0; kind < 3; ++kind) {
            auto s = kind == 0 ? small_pair() : kind == 1 ? test::tcp_pair() : test::pipe_pair();
            const int from = kind == 2 ? 1 : 0;
            std::vector<weft::task<int>> writers;
            for (int i = 0; i < 8; ++i)
                writers.push_back(weft::spawn([&, i] {
                    return write_any(c, i, s[from], std::string(much / 4, static_cast<char>('a' + i)), kind != 2);
                }));
            CHECK(changes_in(c, s[1 - from], 8 * (much / 4)) == 7);
            for (auto& writer : writers) CHECK(writer.get() == static_cast<int>(much / 4));
        }
    });
}

HUB_TEST("large writes from two threads' tasks to one stream come one after the other") {
    both_ways([](const calls& c) {
        auto s = small_pair();
        constexpr int each = 30;
        constexpr std::size_t size = 20'000;
        const auto write_all = [&](char first) {
            std::vector<weft::task<int>> writers;
            for (int t = 0; t < 3; ++t)
                writers.push_back(weft::spawn([&c, &s, first, t] {
                    int whole = 0;
                    for (int i = 0; i < each; ++i)
                        whole += write_by(c, i, s[0], std::string(size, static_cast<char>(first + t))) == ssize_t{size};
                    return whole;
                }));
            int whole = 0;
            for (auto& writer : writers) whole += writer.get();
            return whole;
        };
        std::atomic<int> whole{0};
        std::thread other{[&] { whole += write_all('a'); }};
        auto here = weft::spawn([&] { whole += write_all('n'); });
        char room[5'003];
        std::size_t run = 0;
        int last = -1;
        bool right = true;
        for (std::size_t got = 0; got < 6 * each * size;) {
            const ssize_t came = c.read(s[1], room, sizeof room);
            REQUIRE(came > 0);
            for (ssize_t i = 0; i < came; ++i) {
                if (room[i] != last && run % size != 0) right = false;
                run = room[i] == last ? run + 1 : 1;
                last = room[i];
            }
            got += static_cast<std::size_t>(came);
        }
        here.get();
        other.join();
        CHECK(right);
        CHECK(whole == 6 * each);
    });
}

HUB_TEST("those who wait for a write to end come in their order") {
    both_ways([](const calls& c) {
        auto s = small_pair();
        std::vector<weft::task<seen>> writers;
        for (int i = 0; i < 5; ++i) writers.push_back(writing(c, i, s[0], 50'000, static_cast<char>('a' + i)));
        const std::size_t all = 5 * 50'000;
        std::string got;
        char room[5'000];
        while (got.size() < all) {
            const ssize_t came = c.read(s[1], room, sizeof room);
            REQUIRE(came > 0);
            got.append(room, static_cast<std::size_t>(came));
        }
        for (std::size_t i = 0; i < 5; ++i) CHECK(got.substr(i * 50'000, 50'000) == std::string(50'000, static_cast<char>('a' + i)));
        for (auto& writer : writers) CHECK(writer.get().result == 50'000);
    });
}

HUB_TEST("who waits for another's write to end can be killed, timed out and interrupted by a close") {
    const test::patched now;
    const calls& c = test::plain_calls();
    auto s = small_pair();
    const auto first = writing(c, 0, s[0], much, 'a');
    auto killed = writing(c, 1, s[0], 10, 'b');
    auto late = weft::spawn([&] {
        seen what;
        try {
            const weft::timeout limit{5ms};
            what.result = c.write(s[0], "c", 1);
            what.error = errno;
        } catch (const weft::timed_out&) {
        }
        return what;
    });
    test::set_timeout(s[0], SO_SNDTIMEO, 10);
    const auto impatient = writing(c, 3, s[0], 10, 'd');
    CHECK(c.send(s[0], "e", 1, MSG_DONTWAIT) == -1);
    CHECK(errno == EAGAIN);
    CHECK(killed.kill(2s));
    CHECK(late.get().error == ETIMEDOUT);
    CHECK(impatient.get().result == -1);
    CHECK(impatient.get().error == EAGAIN);
    test::set_timeout(s[0], SO_SNDTIMEO, 0);
    CHECK_FALSE(first.ready());
    const auto last = writing(c, 2, s[0], 10, 'f');
    CHECK_FALSE(last.ready());
    s[0].close();
    REQUIRE(first.join(2s));
    REQUIRE(last.join(2s));
    CHECK(first.get().result > 0);
    CHECK(first.get().result < static_cast<ssize_t>(much));
    CHECK(last.get().result == -1);
    CHECK(last.get().error == EBADF);
    // Nothing of it is left for the next file of that number.
    auto next = small_pair();
    CHECK(c.write(next[0], "x", 1) == 1);
}

HUB_TEST("a killed write in parts lets the next one go") {
    both_ways([](const calls& c) {
        auto s = small_pair();
        auto first = writing(c, 0, s[0], much, 'a');
        const auto second = writing(c, 1, s[0], 20'000, 'b');
        auto reader = weft::spawn([&] {
            char room[5'000];
            std::size_t count = 0;
            for (ssize_t came; count < 20'000 && (came = c.read(s[1], room, sizeof room)) > 0;)
                for (ssize_t i = 0; i < came; ++i) count += room[i] == 'b';
            return count;
        });
        CHECK(first.kill(2s));
        CHECK(second.get().result == 20'000);
        CHECK(reader.get() == 20'000);
    });
}

HUB_TEST("a datagram that finds no room keeps nobody else's from going elsewhere") {
    const test::patched now;
    const calls& c = test::plain_calls();
    const test::scratch folder;
    test::descriptor full{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)}, open{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    test::descriptor sender{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_un at[2]{};
    for (int i = 0; i < 2; ++i) {
        at[i].sun_family = AF_UNIX;
        folder.name(i == 0 ? "full" : "open").copy(at[i].sun_path, sizeof at[i].sun_path - 1);
        REQUIRE(::bind(i == 0 ? full : open, reinterpret_cast<sockaddr*>(&at[i]), sizeof at[i]) == 0);
    }
    const auto send_to = [&](int i, int flags) {
        return c.sendto(sender, "x", 1, flags, reinterpret_cast<sockaddr*>(&at[i]), sizeof at[i]);
    };
    int queued = 0;
    while (send_to(0, MSG_DONTWAIT) == 1) ++queued;
    auto waits = weft::spawn([&] { return send_to(0, 0); });
    weft::sleep_for(2ms);
    CHECK_FALSE(waits.ready());
    CHECK(send_to(1, 0) == 1);
    char byte;
    for (int i = 0; i < queued; ++i) CHECK(::recv(full, &byte, 1, 0) == 1);
    CHECK(waits.get() == 1);
}
