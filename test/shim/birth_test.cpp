// A number that is given out anew keeps nothing of the file that it named before, also where nobody saw that close.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>

#include <dirent.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

extern "C" {
#include <sys/pidfd.h>  // says nothing of C++ itself
}

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

// Out of the way of the number that is to be given out next, and seen by nobody.
int moved_up(long fd) {
    REQUIRE(fd >= 0);
    const long high = ::syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 600);
    REQUIRE(high >= 0);
    REQUIRE(::syscall(SYS_close, fd) == 0);
    return static_cast<int>(high);
}

struct pipe_above {
    pipe_above() {
        REQUIRE(::syscall(SYS_pipe2, ends, O_CLOEXEC) == 0);
        for (int& end : ends) end = moved_up(end);
    }
    int ends[2];
};

made of_signal(int fd) {
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    REQUIRE(::signalfd(fd, &mask, 0) == fd);
    return {descriptor{fd}, {}, [mask] {
        REQUIRE(::pthread_sigmask(SIG_BLOCK, &mask, nullptr) == 0);
        REQUIRE(::pthread_kill(::pthread_self(), SIGUSR2) == 0);
    }};
}

// The signal that is still pending, and the thread's mask.
void take_signal() {
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    const timespec no_time{0, 0};
    ::sigtimedwait(&mask, nullptr, &no_time);
    ::pthread_sigmask(SIG_UNBLOCK, &mask, nullptr);
}

made of_watch(int fd, const test::scratch& folder) {
    REQUIRE(::inotify_add_watch(fd, folder.name("").c_str(), IN_CREATE) >= 0);
    return {descriptor{fd}, {}, [&folder, fd] {
        REQUIRE(::mkdir(folder.name(std::to_string(fd).c_str()).c_str(), 0700) == 0);
        REQUIRE(::rmdir(folder.name(std::to_string(fd).c_str()).c_str()) == 0);
    }};
}

made of_opens(int fd, const test::scratch& folder) {
    if (fd < 0) return {};
    REQUIRE(::fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN | FAN_ONDIR, AT_FDCWD, folder.name("").c_str()) == 0);
    return {descriptor{fd}, {}, [&folder] { descriptor{::open(folder.name("").c_str(), O_RDONLY | O_CLOEXEC)}; }};
}

made of_child() {
    const pipe_above line;
    const pid_t child = ::fork();
    if (child == 0) {
        ::syscall(SYS_close, line.ends[1]);
        char byte;
        ::syscall(SYS_read, line.ends[0], &byte, 1L);
        ::_exit(0);
    }
    ::close(line.ends[0]);
    const int writer = line.ends[1];
    const int fd = ::pidfd_open(child, 0);
    if (fd < 0) {  // a filter's kernel
        REQUIRE(::write(writer, "x", 1) == 1);
        REQUIRE(::waitpid(child, nullptr, 0) == child);
        ::close(writer);
        return {};
    }
    return {descriptor{fd}, descriptor{writer}, [writer, child] {
        REQUIRE(::write(writer, "x", 1) == 1);
        siginfo_t ended;
        REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED) == 0);
    }};
}

made of_terminal(int master) {
    REQUIRE(::grantpt(master) == 0);
    REQUIRE(::unlockpt(master) == 0);
    const int slave = moved_up(::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC));
    return {descriptor{master}, descriptor{slave}, [slave] { REQUIRE(::write(slave, "x", 1) == 1); }};
}

made of_handle(const char* fifo) {
    alignas(file_handle) char room[sizeof(file_handle) + MAX_HANDLE_SZ];
    auto* const handle = reinterpret_cast<file_handle*>(room);
    handle->handle_bytes = MAX_HANDLE_SZ;
    int mount = 0;
    if (::name_to_handle_at(AT_FDCWD, fifo, handle, &mount, 0) != 0) return {};
    const descriptor folder{moved_up(::syscall(SYS_openat, AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY))};
    const int fd = ::open_by_handle_at(folder, handle, O_RDWR);
    return fd < 0 ? made{} : of_fifo(fd);
}

made of_message(bool many) {
    const pipe_above line;
    int carrier[2];
    REQUIRE(::syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, carrier) == 0);
    const descriptor to{moved_up(carrier[0])}, from{moved_up(carrier[1])};
    char byte = 'x';
    iovec part{&byte, 1};
    mmsghdr one{};
    one.msg_hdr.msg_iov = &part;
    one.msg_hdr.msg_iovlen = 1;
    test::control control;
    control.carry(one.msg_hdr, line.ends, 1);
    REQUIRE(::sendmsg(to, &one.msg_hdr, 0) == 1);
    REQUIRE(::syscall(SYS_close, line.ends[0]) == 0);
    if (many) REQUIRE(::recvmmsg(from, &one, 1, 0, nullptr) == 1);
    else REQUIRE(::recvmsg(from, &one.msg_hdr, MSG_CMSG_CLOEXEC) == 1);
    int came;
    std::memcpy(&came, CMSG_DATA(CMSG_FIRSTHDR(&one.msg_hdr)), sizeof came);
    const int writer = line.ends[1];
    return {descriptor{came}, descriptor{writer}, [writer] { REQUIRE(::write(writer, "x", 1) == 1); }};
}

}  // namespace

HUB_TEST("whoever gets a number next waits on its own file") {
    const test::patched now;
    const test::scratch folder;
    const std::string fifo = folder.name("fifo");
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    const char* const path = fifo.c_str();
    int ends[2];
    sigset_t no_signals;
    sigemptyset(&no_signals);
    const std::pair<const char*, std::function<made()>> births[] = {
        {"pipe", [&] { return of_pair(::pipe(ends), ends); }},
        {"pipe2", [&] { return of_pair(::pipe2(ends, O_CLOEXEC), ends); }},
        {"socketpair", [&] { return of_pair(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ends); }},
        {"eventfd", [] { return of_event(::eventfd(0, EFD_CLOEXEC)); }},
        {"timerfd_create", [] { return of_timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)); }},
        {"epoll_create", [] { return of_set(::epoll_create(1)); }},
        {"epoll_create1", [] { return of_set(::epoll_create1(EPOLL_CLOEXEC)); }},
        {"signalfd", [&] { return of_signal(::signalfd(-1, &no_signals, SFD_CLOEXEC)); }},
        {"fanotify_init", [&] { return of_opens(::fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY), folder); }},
        {"inotify_init", [&] { return of_watch(::inotify_init(), folder); }},
        {"inotify_init1", [&] { return of_watch(::inotify_init1(IN_CLOEXEC), folder); }},
        {"pidfd_open", [] { return of_child(); }},
        {"posix_openpt", [] { return of_terminal(::posix_openpt(O_RDWR | O_NOCTTY)); }},
        {"open_by_handle_at", [&] { return of_handle(path); }},
        {"recvmsg", [] { return of_message(false); }},
        {"recvmmsg", [] { return of_message(true); }},
        {"open", [&] { return of_fifo(::open(path, O_RDWR)); }},
        {"open64", [&] { return of_fifo(::open64(path, O_RDWR)); }},
        {"openat", [&] { return of_fifo(::openat(AT_FDCWD, path, O_RDWR)); }},
        {"openat64", [&] { return of_fifo(::openat64(AT_FDCWD, path, O_RDWR)); }},
    };
    for (const auto& birth : births) {
        CAPTURE(birth.first);
        const int number = closed_unseen();
        const made next = birth.second();
        if (!next.wake) continue;  // not for this user, or not on this file system
        REQUIRE(next.waited == number);
        wait_sees(next.waited, next.wake);
    }
    take_signal();
}

HUB_TEST("closedir forgets the folder that libc closes inside it") {
    const test::patched now;
    const int number = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char byte;
    CHECK(::read(number, &byte, 1) == -1);
    CHECK(errno == EISDIR);
    REQUIRE(::closedir(::fdopendir(number)) == 0);
    int ends[2];
    REQUIRE(::syscall(SYS_pipe2, ends, O_CLOEXEC) == 0);
    REQUIRE(ends[0] == number);
    auto reader = weft::spawn([&] { return ::read(number, &byte, 1); });
    weft::sleep_for(1ms);  // for ever, if the read were the thread's
    REQUIRE(::write(ends[1], "x", 1) == 1);
    CHECK(reader.get() == 1);
    for (const int end : ends) ::close(end);
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
