// Standard input and output that other processes hold, too: their flags are never changed, not for a moment that anybody sees.
#include <cstdlib>
#include <thread>

#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;

namespace {

constexpr std::size_t much = 300'000;
constexpr const char* child_name = "copies its input to its output";

/// The program itself, with the two descriptors as its input and output, in the case that copies.
pid_t start_copying(int in, int out) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    ::dup2(in, 0);
    ::dup2(out, 1);
    ::close_range(3, ~0U, 0);
    const std::string name = std::string{"-tc="} + child_name;
    ::execl("/proc/self/exe", "stdio", name.c_str(), "--no-skip", "--out=/dev/null", nullptr);
    ::_exit(127);
}

struct watched {
    int fd;
    int flags = ::fcntl(fd, F_GETFL);
    bool same() const { return ::fcntl(fd, F_GETFL) == flags; }
};

/// Sends bytes to the copying child and takes them back, and looks at its descriptors' flags all the while.
void exchange(int to_child, int from_child, std::initializer_list<int> childs, pid_t child) {
    const std::string sent = test::pattern(much);
    std::vector<watched> all;
    for (const int fd : childs) all.push_back({fd});
    std::atomic<bool> done{false};
    long looks = 0;
    bool same = true;
    std::thread look{[&] {
        while (!done) {
            for (const watched& w : all) same = same && w.same();
            ++looks;
        }
    }};
    std::thread send{[&] {
        for (std::size_t gone = 0; gone < much;) {
            const ssize_t size = ::write(to_child, sent.data() + gone, std::min<std::size_t>(much - gone, 1 + gone % 3'000));
            if (size <= 0) break;
            gone += static_cast<std::size_t>(size);
            if (gone % 5 == 0) std::this_thread::sleep_for(100us);
        }
    }};
    std::string got;
    char room[4'000];
    while (got.size() < much) {
        const ssize_t size = ::read(from_child, room, sizeof room);
        if (size <= 0) break;
        got.append(room, static_cast<std::size_t>(size));
    }
    send.join();
    int status = -1;
    CHECK(::waitpid(child, &status, 0) == child);
    done = true;
    look.join();
    CHECK(status == 0);
    CHECK(got == sent);
    CHECK(same);
    CHECK(looks > 100);
}

}  // namespace

TEST_CASE("copies its input to its output" * doctest::skip()) {
    REQUIRE(weft::monkey::patch_all());
    std::string held;
    held.reserve(much);  // it must not move while a write waits
    std::size_t came = 0, gone = 0;
    auto reader = weft::spawn([&] {
        char room[5'000];
        while (came < much) {
            const ssize_t size = ::read(0, room, sizeof room);
            if (size <= 0) break;
            held.append(room, static_cast<std::size_t>(size));
            came += static_cast<std::size_t>(size);
        }
    });
    auto writer = weft::spawn([&] {
        while (gone < much) {
            if (gone == came) {
                weft::sleep_for(100us);
                continue;
            }
            const ssize_t size = ::write(1, held.data() + gone, came - gone);
            if (size <= 0) break;
            gone += static_cast<std::size_t>(size);
        }
    });
    auto looker = weft::spawn([&] {
        while (gone < much) {
            pollfd both[2] = {{0, POLLIN, 0}, {1, POLLOUT, 0}};
            ::poll(both, 2, 1);
            weft::sleep_for(200us);
        }
    });
    CHECK(reader.join(20s));
    CHECK(writer.join(20s));
    CHECK(looker.join(20s));
    ::_exit(gone == much ? 0 : 1);
}

TEST_CASE("a child's pipes keep their flags, and every byte comes back") {
    auto in = test::pipe_pair(), out = test::pipe_pair();
    const pid_t child = start_copying(in[0], out[1]);
    exchange(in[1], out[0], {in[0], out[1]}, child);
}

TEST_CASE("a child's socket keeps its flags, and every byte comes back") {
    auto s = test::unix_pair();
    const pid_t child = start_copying(s[1], s[1]);
    exchange(s[0], s[0], {s[1]}, child);
}

TEST_CASE("a child's terminal keeps its flags, and every byte comes back") {
    int master, slave;
    termios raw{};
    REQUIRE(::openpty(&master, &slave, nullptr, nullptr, nullptr) == 0);
    const test::descriptor closes_master{master}, closes_slave{slave};
    REQUIRE(::tcgetattr(slave, &raw) == 0);
    ::cfmakeraw(&raw);
    REQUIRE(::tcsetattr(slave, TCSANOW, &raw) == 0);
    const pid_t child = start_copying(slave, slave);
    exchange(master, master, {slave}, child);
}
