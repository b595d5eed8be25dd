// A number that is given out anew keeps nothing of the file that it named before, also where nobody saw that close.
#include <cstdio>
#include <functional>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::descriptor;

namespace {

/// What a call has made: something to wait on, and a way to make it readable.
struct made {
    descriptor waited;
    descriptor other;
    std::function<void()> wake;
};

/// A task waits for it to become readable; the wait has to see that it does.
void wait_sees(int fd, const std::function<void()>& wake) {
    auto waiter = weft::spawn([fd] {
        pollfd look{fd, POLLIN, 0};
        return ::poll(&look, 1, 2000);
    });
    weft::sleep_for(1ms);
    CHECK_FALSE(waiter.ready());
    wake();
    CHECK(waiter.get() == 1);
}

/// Registers a number with the hub and closes it with a system call that nobody sees.
int closed_unseen() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const descriptor writer{ends[1]};
    wait_sees(ends[0], [&] { REQUIRE(::write(ends[1], "x", 1) == 1); });
    REQUIRE(::syscall(SYS_close, ends[0]) == 0);
    return ends[0];
}

made of_pair(int result, const int* ends) {
    REQUIRE(result == 0);
    const int writer = ends[1];
    return {descriptor{ends[0]}, descriptor{writer}, [writer] { REQUIRE(::write(writer, "x", 1) == 1); }};
}

made of_event(int fd) {
    return {descriptor{fd}, {}, [fd] { REQUIRE(::eventfd_write(fd, 1) == 0); }};
}

made of_fifo(int fd) {
    return {descriptor{fd}, {}, [fd] { REQUIRE(::write(fd, "x", 1) == 1); }};
}

made of_set(int fd) {
    descriptor event{::eventfd(1, EFD_CLOEXEC)};
    const int member = event;
    return {descriptor{fd}, std::move(event), [fd, member] {
        epoll_event wanted{};
        wanted.events = EPOLLIN;
        REQUIRE(::epoll_ctl(fd, EPOLL_CTL_ADD, member, &wanted) == 0);
    }};
}

made of_timer(int fd) {
    return {descriptor{fd}, {}, [fd] {
        const itimerspec soon{{0, 0}, {0, 1'000'000}};
        REQUIRE(::timerfd_settime(fd, 0, &soon, nullptr) == 0);
    }};
}

}  // namespace

HUB_TEST("whoever gets a number next waits on its own file") {
    const test::patched now;
    const test::scratch folder;
    const std::string fifo = folder.name("fifo");
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    const char* const path = fifo.c_str();
    int ends[2];
    const std::pair<const char*, std::function<made()>> births[] = {
        {"pipe", [&] { return of_pair(::pipe(ends), ends); }},
        {"pipe2", [&] { return of_pair(::pipe2(ends, O_CLOEXEC), ends); }},
        {"socketpair", [&] { return of_pair(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ends); }},
        {"eventfd", [] { return of_event(::eventfd(0, EFD_CLOEXEC)); }},
        {"timerfd_create", [] { return of_timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)); }},
        {"epoll_create", [] { return of_set(::epoll_create(1)); }},
        {"epoll_create1", [] { return of_set(::epoll_create1(EPOLL_CLOEXEC)); }},
        {"open", [&] { return of_fifo(::open(path, O_RDWR)); }},
        {"open64", [&] { return of_fifo(::open64(path, O_RDWR)); }},
        {"openat", [&] { return of_fifo(::openat(AT_FDCWD, path, O_RDWR)); }},
        {"openat64", [&] { return of_fifo(::openat64(AT_FDCWD, path, O_RDWR)); }},
    };
    for (const auto& birth : births) {
        CAPTURE(birth.first);
        const int number = closed_unseen();
        const made next = birth.second();
        REQUIRE(next.waited == number);
        wait_sees(next.waited, next.wake);
    }
}

HUB_TEST("pclose forgets the pipe that libc closes inside it") {
    const test::patched now;
    FILE* const stream = ::popen("read line; echo done", "r");
    REQUIRE(stream != nullptr);
    const int number = ::fileno(stream);
    auto reader = weft::spawn([number] {
        char byte;
        return ::read(number, &byte, 1);
    });
    CHECK(reader.get() >= 0);
    REQUIRE(::pclose(stream) != -1);
    const auto next = test::pipe_pair();
    REQUIRE(next[0] == number);
    wait_sees(next[0], [&] { REQUIRE(::write(next[1], "x", 1) == 1); });
}

HUB_TEST("freopen and freopen64 end the waits on the file that they replace") {
    const test::patched now;
    for (const auto reopen : {&::freopen, &::freopen64}) {
        auto s = test::unix_pair();
        const int number = s[0];
        FILE* const stream = ::fdopen(s[0].release(), "r");
        REQUIRE(stream != nullptr);
        auto reader = weft::spawn([number] {
            char byte;
            const ssize_t got = ::read(number, &byte, 1);
            return got < 0 ? errno : 0;
        });
        weft::sleep_for(1ms);
        FILE* const again = reopen("/dev/null", "r", stream);
        CHECK(reader.get() == EBADF);
        REQUIRE(again != nullptr);
        ::fclose(again);
    }
}
