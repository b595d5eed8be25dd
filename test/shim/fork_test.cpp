// What processes and the kernel do beside the shim: forks, sweeps of descriptors, stops, shutdowns, resets.
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <dirent.h>
#include <netdb.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"
#include "support/child.hpp"
#include "support/forked.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;
using test::end_of;
using test::exited_with;
using test::fork_flushed;

namespace {

/// One byte, read in a task of its own.
weft::task<ssize_t> reader_of(int fd) {
    return weft::spawn([fd] {
        char b;
        return ::read(fd, &b, 1);
    });
}

bool lookup_works() {
    addrinfo* found = nullptr;
    const int result = ::getaddrinfo("localhost", "80", nullptr, &found);
    if (result == 0) ::freeaddrinfo(found);
    return result == 0;
}

/// Whether tasks can still wait for a descriptor without turning round.
bool hub_works() {
    test::ends pipe = test::pipe_pair();
    const auto reader = reader_of(pipe[0]);
    const auto before = std::clock();
    weft::sleep_for(100ms);
    const bool idle = std::clock() - before < CLOCKS_PER_SEC / 20;
    return idle && ::write(pipe[1], "x", 1) == 1 && reader.join(5s) && reader.get() == 1;
}

/// Descriptors of the process that are eventfds or epoll sets.
std::vector<int> loop_descriptors() {
    std::vector<int> found;
    DIR* folder = ::opendir("/proc/self/fd");
    REQUIRE(folder != nullptr);
    while (const dirent* entry = ::readdir(folder)) {
        char target[64] = {};
        const std::string link = std::string{"/proc/self/fd/"} + entry->d_name;
        if (::readlink(link.c_str(), target, sizeof target - 1) > 0 &&
            std::string_view{target}.starts_with("anon_inode:[event"))
            found.push_back(std::atoi(entry->d_name));
    }
    ::closedir(folder);
    return found;
}

/// Runs one of the skipped cases below in a process of its own, whose descriptors it may close.
test::child_end run(const char* how) {
    return test::run_child({"/proc/self/exe", "--no-skip", std::string{"--test-case="} + how});
}

void check_passes(const char* how) {
    const auto end = run(how);
    CAPTURE(end.output);
    CHECK(end.exited_with(0));
}

/// Whether `sweep` leaves a waiting hub alone; ends the process.
template <class Sweep>
void swept(Sweep sweep) {
    if (!weft::monkey::patch_all()) ::_exit(2);
    weft::sleep_for(1ms);
    if (!hub_works()) ::_exit(3);
    sweep();
    ::_exit(hub_works() ? 0 : 4);
}

}  // namespace

HUB_TEST("a child that closes what it inherited leaves the parent's waits alone") {
    const test::patched now;
    test::ends sockets = test::unix_pair();
    test::listener listener;
    const auto reader = reader_of(sockets[0]);
    const auto server = weft::spawn([&] { return ::accept(listener.fd, nullptr, nullptr); });
    weft::sleep_for(2ms);
    const pid_t child = fork_flushed();
    if (child == 0) {
        ::close(sockets[0]);
        ::close(sockets[1]);
        ::close(listener.fd);
        ::usleep(1'000);
        ::_exit(7);
    }
    CHECK(exited_with(end_of(child), 7));
    CHECK_FALSE(reader.ready());
    CHECK_FALSE(server.ready());
    CHECK(::write(sockets[1], "x", 1) == 1);
    CHECK(reader.join(5s));
    CHECK(reader.get() == 1);
    const test::descriptor client = test::client_of(listener);
    CHECK(server.join(5s));
    const test::descriptor served{server.get()};
}

HUB_TEST("a child that waits and sleeps takes no wake-up from the parent") {
    const test::patched now;
    test::ends pipe = test::pipe_pair();
    int got = 0;
    const auto reader = weft::spawn([&] {
        char b;
        while (::read(pipe[0], &b, 1) == 1) ++got;
    });
    weft::sleep_for(2ms);
    const pid_t child = fork_flushed();
    if (child == 0) {
        pipe[1].close();
        for (;;) ::usleep(500);
    }
    for (int i = 0; i < 50; ++i) {
        CHECK(::write(pipe[1], "x", 1) == 1);
        weft::sleep_for(1ms);
    }
    CHECK(got == 50);
    ::kill(child, SIGKILL);
    end_of(child);
    pipe[1].close();
    CHECK(reader.join(5s));
}

HUB_TEST("a child waits for what it has inherited, and for what it makes") {
    const test::patched now;
    test::ends down = test::pipe_pair();
    const pid_t child = fork_flushed();
    if (child == 0) {
        char b = 0;
        const bool heard = ::read(down[0], &b, 1) == 1 && b == 'x';
        ::_exit(heard && hub_works() ? 7 : 1);
    }
    weft::sleep_for(5ms);
    CHECK(::write(down[1], "x", 1) == 1);
    CHECK(exited_with(end_of(child), 7));
}

HUB_TEST("getaddrinfo works in the child of a process that has used it") {
    const test::patched now;
    REQUIRE(weft::spawn(&lookup_works).get());
    const pid_t child = fork_flushed();
    if (child == 0) {
        const auto asker = weft::spawn(&lookup_works);
        ::_exit(asker.join(5s) && asker.get() ? 7 : 1);
    }
    CHECK(exited_with(end_of(child), 7));
}

HUB_TEST("a vfork()ed child that closes a descriptor leaves the parent's wait for it alone") {
    const test::patched now;
    test::ends pipe = test::pipe_pair();
    const auto reader = reader_of(pipe[0]);
    weft::sleep_for(2ms);
    const int closed = pipe[0];
    const pid_t child = ::vfork();
    if (child == 0) {
        ::close(closed);
        ::_exit(0);
    }
    CHECK(exited_with(end_of(child), 0));
    CHECK_FALSE(reader.ready());
    CHECK(::write(pipe[1], "x", 1) == 1);
    CHECK(reader.join(5s));
    CHECK(reader.get() == 1);
}

TEST_CASE("child: close_range" * doctest::skip()) {
    swept([] {
        if (::close_range(3, ~0U, 0) != 0) ::_exit(5);
    });
}
TEST_CASE("child: closefrom" * doctest::skip()) {
    swept([] { ::closefrom(3); });
}
TEST_CASE("child: close one by one" * doctest::skip()) {
    swept([] {
        for (int fd = 3; fd < 1024; ++fd) ::close(fd);
    });
}

TEST_CASE("close_range(3, ~0U, 0) leaves the hub alive") { check_passes("child: close_range"); }
TEST_CASE("closefrom(3) leaves the hub alive") { check_passes("child: closefrom"); }
TEST_CASE("a loop of close() leaves the hub alive") { check_passes("child: close one by one"); }

HUB_TEST("close() of a hub's own descriptor answers EBADF, and it stays open") {
    const test::patched now;
    const std::vector<int> own = loop_descriptors();
    CHECK(own.size() >= 2);
    for (const int fd : own) {
        CAPTURE(fd);
        errno = 0;
        CHECK(::close(fd) == -1);
        CHECK(errno == EBADF);
    }
    CHECK(loop_descriptors() == own);
    CHECK(hub_works());
}

HUB_TEST("a sweep closes what is the program's, and wakes who waits for it") {
    const test::patched now;
    test::ends sockets = test::unix_pair();
    const int first = ::fcntl(sockets[0], F_DUPFD_CLOEXEC, 200);
    REQUIRE(first >= 200);
    const auto reader = weft::spawn([first] {
        char b;
        const ssize_t size = ::read(first, &b, 1);
        return size < 0 ? errno : 0;
    });
    weft::sleep_for(2ms);
    CHECK(::close_range(static_cast<unsigned>(first), ~0U, 0) == 0);
    CHECK(reader.join(5s));
    CHECK(reader.get() == EBADF);
    CHECK(::fcntl(first, F_GETFD) == -1);
}

HUB_TEST("shutdown() of a listener ends every accept that waits for it") {
    const test::patched now;
    test::listener listener;
    const int fd = listener.fd;
    std::vector<weft::task<int>> waiting;
    for (int i = 0; i < 3; ++i)
        waiting.push_back(weft::spawn([fd] { return ::accept(fd, nullptr, nullptr) < 0 ? errno : 0; }));
    weft::sleep_for(2ms);
    CHECK(::shutdown(fd, SHUT_RDWR) == 0);
    for (const auto& task : waiting) {
        REQUIRE(task.join(5s));
        CHECK(task.get() == EINVAL);
    }
}

HUB_TEST("a reset ends every recv that waits, one with ECONNRESET and the others with an end of file") {
    const test::patched now;
    test::ends sockets = test::tcp_pair();
    const int fd = sockets[1];
    std::vector<weft::task<int>> waiting;
    for (int i = 0; i < 3; ++i)
        waiting.push_back(weft::spawn([fd] {
            char b;
            return ::recv(fd, &b, 1, 0) < 0 ? errno : 0;
        }));
    weft::sleep_for(2ms);
    const linger at_once{1, 0};
    REQUIRE(::setsockopt(sockets[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    sockets[0].close();
    int resets = 0;
    for (const auto& task : waiting) {
        REQUIRE(task.join(5s));
        CHECK((task.get() == ECONNRESET || task.get() == 0));
        resets += task.get() == ECONNRESET;
    }
    CHECK(resets == 1);
}

TEST_CASE("a stop and its continuation do not interrupt a sleep, also where threads were made") {
    // Sanitizers install handlers, and where there is one a continuation cannot be told from its run.
    if (test::under_asan || test::under_tsan) return;
    std::thread{[] {}}.join();  // libc then has a handler of its own
    const pid_t child = fork_flushed();
    if (child == 0) {
        // The runner's handlers are for itself.
        for (const int number : {SIGTERM, SIGINT, SIGSEGV, SIGFPE, SIGILL, SIGABRT})
            std::signal(number, SIG_DFL);
        if (!weft::monkey::patch_all()) ::_exit(2);
        const auto sleeper = weft::spawn([] {
            const timespec wish{0, 300'000'000};
            return ::nanosleep(&wish, nullptr);
        });
        ::_exit(sleeper.get() == 0 ? 7 : 1);
    }
    REQUIRE(child > 0);
    std::this_thread::sleep_for(50ms);
    int status = 0;
    ::kill(child, SIGSTOP);
    CHECK(::waitpid(child, &status, WUNTRACED) == child);
    CHECK(WIFSTOPPED(status));
    ::kill(child, SIGCONT);
    CHECK(exited_with(end_of(child), 7));
}

TEST_CASE("child: poll for ever" * doctest::skip()) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);
    if (!weft::monkey::patch_all()) ::_exit(2);
    weft::yield();
    const pid_t parent = ::getpid();
    const pid_t signaller = ::fork();
    if (signaller == 0) {
        const weft::monkey::native_scope outside;
        ::usleep(50'000);
        ::kill(parent, SIGUSR1);
        ::_exit(0);
    }
    errno = 0;
    const int answer = ::poll(nullptr, 0, -1);
    ::_exit(answer == -1 && errno == EINTR ? 0 : 1);
}

TEST_CASE("poll() without descriptors or limit in main is no deadlock, and a signal ends it") {
    check_passes("child: poll for ever");
}
