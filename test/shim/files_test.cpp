// read and write on what is neither socket nor plain pipe: each waits, or does not, as its kind does.
#include <pty.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <termios.h>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::descriptor;
using test::later;

DIFFERENTIAL("an eventfd") {
    const descriptor e{::eventfd(0, EFD_CLOEXEC)};
    std::uint64_t number = 0;
    {
        const later add{c, 30ms, [&] { ::eventfd_write(e, 5); }};
        out("read", [&] { return c.read(e, &number, 8); });
    }
    out.value("number", static_cast<std::int64_t>(number));
    out("read into too little room", [&] { return c.read(e, &number, 4); });
    number = 3;
    out("write", [&] { return c.write(e, &number, 8); });
    out("write of too little", [&] { return c.write(e, &number, 4); });
    out("read into much room", [&] {
        char b[64];
        return c.read(e, b, sizeof b);
    });
    {
        const later add{c, 30ms, [&] { ::eventfd_write(e, 6); }};
        out("read again", [&] { return c.read(e, &number, 8); });
    }
    number = 0xfffffffffffffffe;
    out("write of the most", [&] { return c.write(e, &number, 8); });
    {
        const later take{c, 30ms, [&] { eventfd_t taken; ::eventfd_read(e, &taken); }};
        number = 1;
        out("write when it is full", [&] { return c.write(e, &number, 8); });
    }
    {
        const later take{c, 30ms, [&] { eventfd_t taken; ::eventfd_read(e, &taken); }};
        number = 0xfffffffffffffff0;
        out("write of what is too much as yet", [&] { return c.write(e, &number, 8); });
    }
    {
        const later take{c, 30ms, [&] { eventfd_t taken; ::eventfd_read(e, &taken); }};
        number = 20;
        out("write of a little, after it", [&] { return c.write(e, &number, 8); });
    }
    number = 0xffffffffffffffff;
    out("write of too much", [&] { return c.write(e, &number, 8); });
    const descriptor s{::eventfd(2, EFD_CLOEXEC | EFD_SEMAPHORE)};
    for (int i = 0; i < 2; ++i) out("read of a semaphore", [&] { return c.read(s, &number, 8); });
    out.value("number", static_cast<std::int64_t>(number));
    const descriptor n{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    out("read, EFD_NONBLOCK", [&] { return c.read(n, &number, 8); });
}

DIFFERENTIAL("a timerfd") {
    const descriptor t{::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)};
    const itimerspec soon{{0, 0}, {0, 40'000'000}};
    std::uint64_t count = 0;
    CHECK(::timerfd_settime(t, 0, &soon, nullptr) == 0);
    out("read", [&] { return c.read(t, &count, 8); });
    out.value("count", static_cast<std::int64_t>(count));
    out("read into too little room", [&] { return c.read(t, &count, 4); });
    CHECK(::timerfd_settime(t, 0, &soon, nullptr) == 0);
    out("read again", [&] { return c.read(t, &count, 8); });
    out("write", [&] { return c.write(t, &count, 8); });
}

DIFFERENTIAL("a signalfd") {
    sigset_t mask, before;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    ::pthread_sigmask(SIG_BLOCK, &mask, &before);
    const descriptor s{::signalfd(-1, &mask, SFD_CLOEXEC)};
    signalfd_siginfo info{};
    {
        const pthread_t self = ::pthread_self();
        const later send{c, 30ms, [&] { ::pthread_kill(self, SIGUSR2); }};
        out("read", [&] { return c.read(s, &info, sizeof info); });
    }
    out.value("signal", info.ssi_signo);
    out("read into too little room", [&] { return c.read(s, &info, 16); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

DIFFERENTIAL("an inotify") {
    const test::scratch folder;
    const descriptor i{::inotify_init1(IN_CLOEXEC)};
    CHECK(::inotify_add_watch(i, folder.name("").c_str(), IN_CREATE) > 0);
    char events[512];
    const later make{c, 30ms, [&] {
        const descriptor made{::open(folder.name("f").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)};
    }};
    out("read", [&] { return c.read(i, events, sizeof events); });
}

DIFFERENTIAL("a FIFO that was opened by name") {
    const test::scratch folder;
    const std::string name = folder.name("fifo");
    CHECK(::mkfifo(name.c_str(), 0600) == 0);
    const descriptor r{::open(name.c_str(), O_RDWR | O_CLOEXEC)};
    descriptor w{::open(name.c_str(), O_WRONLY | O_CLOEXEC)};
    descriptor only{::open(name.c_str(), O_RDONLY | O_CLOEXEC)};
    char b[16] = {};
    {
        const later write{c, 30ms, [&] { CHECK(::write(w, "line", 4) == 4); }};
        out("read", [&] { return c.read(only, b, sizeof b); });
    }
    {
        const later write{c, 30ms, [&] { CHECK(::write(w, "more", 4) == 4); }};
        out("read again", [&] { return c.read(r, b, 2); });
    }
    out("the rest", [&] { return c.read(only, b, sizeof b); });
    out("write", [&] { return c.write(r, "abc", 3); });
    out("read", [&] { return c.read(r, b, sizeof b); });
}

DIFFERENTIAL("a pipe of packets keeps them apart") {
    auto p = test::pipe_pair(O_DIRECT);
    char b[8192] = {};
    out("write", [&] { return c.write(p[1], "abc", 3); });
    out("write", [&] { return c.write(p[1], "defg", 4); });
    out("read", [&] { return c.read(p[0], b, sizeof b); });
    out("read", [&] { return c.read(p[0], b, sizeof b); });
    out("write in two packets", [&] { return c.write(p[1], test::pattern(5000).data(), 5000); });
    out("read", [&] { return c.read(p[0], b, sizeof b); });
    out("read", [&] { return c.read(p[0], b, 10); });
    const later write{c, 30ms, [&] { CHECK(::write(p[1], "xy", 2) + ::write(p[1], "z", 1) == 3); }};
    out("read, waiting", [&] { return c.read(p[0], b, sizeof b); });
    out("read", [&] { return c.read(p[0], b, sizeof b); });
}

DIFFERENTIAL("a terminal hands out line by line") {
    int main_end, line_end;
    CHECK(::openpty(&main_end, &line_end, nullptr, nullptr, nullptr) == 0);
    const descriptor master{main_end}, line{line_end};
    char b[64] = {};
    CHECK(::write(master, "one\ntwo\n", 8) == 8);
    out("first", [&] { return c.read(line, b, sizeof b); });
    out("second", [&] { return c.read(line, b, sizeof b); });
    {
        const later type{c, 30ms, [&] { CHECK(::write(master, "three\n", 6) == 6); }};
        out("third", [&] { return c.read(line, b, 2); });
    }
    out("its rest", [&] { return c.read(line, b, sizeof b); });
    {
        const later type{c, 30ms, [&] { CHECK(::write(master, "\4", 1) == 1); }};
        out("the end of input", [&] { return c.read(line, b, sizeof b); });
    }
    out("write", [&] { return c.write(line, "abc\n", 4); });
    termios raw;
    CHECK(::tcgetattr(line, &raw) == 0);
    ::cfmakeraw(&raw);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 1;
    CHECK(::tcsetattr(line, TCSANOW, &raw) == 0);
    CHECK(::write(master, "k", 1) == 1);
    out("a key", [&] { return c.read(line, b, sizeof b); });
}

DIFFERENTIAL("files and devices that never wait") {
    const test::scratch folder;
    const descriptor file{::open(folder.name("f").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
    const std::string text = test::pattern(300'000);
    std::string room(400'000, 0);
    out("write", [&] { return c.write(file, text.data(), text.size()); });
    out("read at the end", [&] { return c.read(file, room.data(), 10); });
    CHECK(::lseek(file, 0, SEEK_SET) == 0);
    iovec parts[2] = {{room.data(), 100'000}, {room.data() + 100'000, 300'000}};
    out("readv", [&] { return c.readv(file, parts, 2); });
    out.value("equal", room.compare(0, text.size(), text) == 0);
    out.value("position", ::lseek(file, 0, SEEK_CUR));
    const descriptor zero{::open("/dev/zero", O_RDWR | O_CLOEXEC)};
    out("read of zeros", [&] { return c.read(zero, room.data(), 100'000); });
    out("write to zeros", [&] { return c.write(zero, text.data(), 100'000); });
    const descriptor null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    out("read of nothing", [&] { return c.read(null, room.data(), 10); });
    out("write to nothing", [&] { return c.write(null, text.data(), text.size()); });
    const descriptor random{::open("/dev/urandom", O_RDONLY | O_CLOEXEC)};
    out("read of noise", [&] { return c.read(random, room.data(), 5000); });
}
