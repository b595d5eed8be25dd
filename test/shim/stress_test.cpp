// 200 tasks in pairs exchange bytes over socket pairs while others time out, are killed, close and duplicate: every
// byte arrives once and in order, and nobody waits for ever.
#include <random>
#include <thread>
#include <vector>

#include <signal.h>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::calls;

namespace {

constexpr int streams = 50;  // four tasks each
constexpr auto lasts = 900ms;

/// The byte that stands at a place of a stream.
char byte_at(int stream, std::uint64_t place) {
    return static_cast<char>((place * 2654435761U + static_cast<std::uint64_t>(stream) * 40503U) >> 7);
}

struct stream {
    int number;
    test::ends fds = test::unix_pair();
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    bool right = true;
    bool closed = false;  // the end that reads
};

std::string piece_of(const stream& s, std::size_t size) {
    std::string piece(size, 0);
    for (std::size_t i = 0; i < size; ++i) piece[i] = byte_at(s.number, s.sent + i);
    return piece;
}

void write_some(const calls& c, stream& s, std::mt19937& random) {
    const std::string piece = piece_of(s, random() % 30'000 + 1);
    const ssize_t gone = random() % 2 != 0 ? c.write(s.fds[1], piece.data(), piece.size())
                                           : c.send(s.fds[1], piece.data(), piece.size(), MSG_NOSIGNAL);
    if (gone > 0) s.sent += static_cast<std::uint64_t>(gone);
    s.right = s.right && (gone > 0 || errno == EPIPE || errno == ECONNRESET || errno == EAGAIN || errno == ECANCELED);
}

/// @returns false at the end
bool read_some(const calls& c, stream& s, std::mt19937& random) {
    char room[20'000];
    const std::size_t size = random() % sizeof room + 1;
    ssize_t got;
    switch (random() % 3) {
        case 0: got = c.read(s.fds[0], room, size); break;
        case 1: got = c.recv(s.fds[0], room, std::min<std::size_t>(size, 500), MSG_WAITALL); break;
        default: {
            iovec parts[2] = {{room, size / 2}, {room + size / 2, size - size / 2}};
            got = c.readv(s.fds[0], parts, 2);
        }
    }
    for (ssize_t i = 0; i < got; ++i)
        s.right = s.right && room[i] == byte_at(s.number, s.received + static_cast<std::uint64_t>(i));
    if (got > 0) s.received += static_cast<std::uint64_t>(got);
    s.right = s.right && (got >= 0 || errno == EAGAIN || errno == EBADF || errno == ECANCELED);
    return got > 0 || (got < 0 && errno == EAGAIN);
}

/// Reads until the end of the stream; what a killed reader has not taken, the next one takes.
void read_to_end(const calls& c, stream& s, unsigned seed) {
    std::mt19937 random{seed};
    while (read_some(c, s, random)) {
        if (random() % 8 == 0) weft::yield();
    }
}

void bystander(const calls& c, const stream& s, const bool& stop, unsigned seed) {
    std::mt19937 random{seed};
    while (!stop && !s.closed) {
        pollfd look{s.fds[0], POLLIN, 0};
        const int copy = ::fcntl(s.fds[0], F_DUPFD_CLOEXEC, 0);
        if (copy < 0) return;
        look.fd = random() % 2 != 0 ? copy : look.fd;
        c.poll(&look, 1, static_cast<int>(random() % 4));
        c.usleep(static_cast<useconds_t>(random() % 2'000));
        ::close(copy);
    }
}

void run_streams(const calls& c, unsigned seed) {
    ::signal(SIGPIPE, SIG_IGN);  // write() to a closed peer is one of the moves
    std::mt19937 random{seed};
    std::vector<stream> all;
    for (int i = 0; i < streams; ++i) all.push_back({i});
    bool stop = false;
    std::vector<weft::task<void>> writers, readers, others;
    for (stream& s : all) {
        if (random() % 3 == 0) test::set_timeout(s.fds[0], SO_RCVTIMEO, 3);
        if (random() % 3 == 0) test::set_timeout(s.fds[1], SO_SNDTIMEO, 2);
        writers.push_back(weft::spawn([&c, &s, &stop, own = random()] {
            std::mt19937 dice{static_cast<unsigned>(own)};
            while (!stop && !s.closed) {
                write_some(c, s, dice);
                if (dice() % 4 == 0) c.usleep(static_cast<useconds_t>(dice() % 3'000));
            }
        }));
        readers.push_back(weft::spawn([&c, &s, own = random()] { read_to_end(c, s, static_cast<unsigned>(own)); }));
        for (int i = 0; i < 2; ++i)
            others.push_back(weft::spawn([&c, &s, &stop, own = random()] { bystander(c, s, stop, static_cast<unsigned>(own)); }));
    }
    const auto end = std::chrono::steady_clock::now() + lasts;
    while (std::chrono::steady_clock::now() < end) {
        weft::sleep_for(3ms);
        const std::size_t which = random() % streams;
        if (random() % 4 != 0) {
            // A reader goes, another one takes over.
            if (all[which].closed) continue;
            CHECK(readers[which].kill(5s));
            readers[which] = weft::spawn([&c, &s = all[which], own = random()] { read_to_end(c, s, static_cast<unsigned>(own)); });
        } else if (random() % 8 == 0 && !all[which].closed) {
            all[which].closed = true;
            all[which].fds[0].close();
        }
    }
    stop = true;
    for (auto& task : writers) CHECK(task.join(5s));
    for (stream& s : all) s.fds[1].close();
    for (auto& task : readers) CHECK(task.join(5s));
    for (auto& task : others) CHECK(task.join(5s));
    for (const stream& s : all) {
        CAPTURE(s.number);
        CHECK(s.right);
        if (!s.closed) CHECK(s.received == s.sent);
    }
}

}  // namespace

HUB_TEST("streams under time-outs, kills, closes and dups, by weft's names") {
    if (!test::reached_late()) run_streams(test::named_calls(), 1);
}

HUB_TEST("streams under time-outs, kills, closes and dups, interposed") {
    const test::patched now;
    run_streams(test::plain_calls(), 2);
}

HUB_TEST("the same on two hubs at once") {
    const test::patched now;
    std::thread other{[] {
        auto task = weft::spawn(weft::fiber_options{.stack_size = std::size_t{1} << 20},
                                [] { run_streams(test::plain_calls(), 3); });
        task.get();
    }};
    run_streams(test::named_calls(), 4);
    other.join();
}

HUB_TEST("two hubs share each stream") {
    for (const bool named : {true, false}) {
        const calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        constexpr std::uint64_t total = 300'000;
        std::vector<test::ends> pairs;
        for (int i = 0; i < 20; ++i) pairs.push_back(test::unix_pair());
        std::atomic<std::uint64_t> got{0};
        const auto read_all = [&] {
            std::vector<weft::task<void>> tasks;
            for (auto& pair : pairs) {
                tasks.push_back(weft::spawn([&] {
                    char room[700];
                    for (ssize_t size; (size = c.read(pair[0], room, sizeof room)) > 0;) got += static_cast<std::uint64_t>(size);
                }));
            }
            for (auto& task : tasks) (void)task.join();
        };
        std::thread other{[&] { read_all(); }};
        auto here = weft::spawn([&] { read_all(); });
        std::vector<weft::task<void>> writers;
        for (auto& pair : pairs) {
            writers.push_back(weft::spawn([&] {
                const std::string piece = test::pattern(1'000);
                for (std::uint64_t gone = 0; gone < total / 20; gone += 1'000)
                    CHECK(c.write(pair[1], piece.data(), piece.size()) == 1'000);
                pair[1].close();
            }));
        }
        for (auto& writer : writers) CHECK(writer.join(5s));
        CHECK(here.join(5s));
        other.join();
        CHECK(got.load() == total);
    }
}
