// The forms that -D_FORTIFY_SOURCE makes of calls: the same, after a check of the caller's room.
#include "shim/fortified_body.hpp"

#include <sys/wait.h>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::later;

namespace {

void run(const test::calls& c, test::journal& out) {
    auto s = test::unix_pair();
    const auto soon = [&](auto call) {
        const later write{c, 20ms, [&] { CHECK(::write(s[1], "abc", 3) == 3); }};
        out("waits", call);
    };
    const timespec limit{1, 0}, short_limit{0, 30'000'000};
    soon([&] { return test::checked_read(s[0], 3); });
    soon([&] { return test::checked_recv(s[0], 3, MSG_WAITALL); });
    soon([&] { return test::checked_recvfrom(s[0], 64); });
    soon([&] { return test::checked_poll(s[0], 2, 1000); });
    out("read", [&] { return test::checked_read(s[0], 64); });
    soon([&] { return test::checked_ppoll(s[0], 2, &limit); });
    out("read", [&] { return test::checked_read(s[0], 64); });
    out("poll in time", [&] { return test::checked_poll(s[0], 1, 30); });
    out("ppoll in time", [&] { return test::checked_ppoll(s[0], 1, &short_limit); });
    // With 64-bit offsets this goes out as fcntl64().
    out("F_GETFL", [&] { return ::fcntl(s[0], F_GETFL) & O_NONBLOCK; });
    const test::descriptor file{test::checked_open("/etc/passwd", O_RDONLY | O_CLOEXEC)};
    out("pread", [&] { return test::checked_pread(file, 64, 3); });
    out("pread from a socket", [&] { return test::checked_pread(s[0], 64, 3); });
    out("open of nothing", [&] { return test::checked_open("", O_RDONLY); });
    out("openat of nothing", [&] { return test::checked_openat(-1, "x", O_RDONLY); });
    out("read(-1)", [&] { return test::checked_read(-1, 10); });
}

/// How a child ends that asks for more than its room holds.
int end_of(void (*call)(int fd)) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::signal(SIGABRT, SIG_DFL);
        ::dup2(::open("/dev/null", O_WRONLY), 2);
        auto s = test::unix_pair();
        call(s[0]);
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

HUB_TEST("checked calls park a task as the plain ones do") {
    // By name there are none: the plain thread and the interposed symbols are compared.
    test::journal native, interposed;
    std::thread{[&] { run(test::plain_calls(), native); }}.join();
    {
        const test::patched now;
        test::beside_ticker ticks;
        run(test::plain_calls(), interposed);
        CHECK(ticks.stop() < 20ms * test::patience());
    }
    REQUIRE(native.rows().size() == interposed.rows().size());
    for (std::size_t i = 0; i < native.rows().size(); ++i) {
        CAPTURE(i);
        CHECK(native.rows()[i].outcome == interposed.rows()[i].outcome);
    }
}

HUB_TEST("a call into too little room still ends the process") {
    const test::patched now;
    volatile std::size_t much = 65;
    static std::size_t too_much;
    too_much = much;
    CHECK(end_of([](int fd) { test::checked_read(fd, too_much); }) == SIGABRT);
    CHECK(end_of([](int fd) { test::checked_pread(fd, too_much, 0); }) == SIGABRT);
    CHECK(end_of([](int) { test::checked_open("/tmp/none", O_CREAT | (static_cast<int>(too_much) & 2)); }) == SIGABRT);
    CHECK(end_of([](int fd) { test::checked_recv(fd, too_much, 0); }) == SIGABRT);
    CHECK(end_of([](int fd) { test::checked_recvfrom(fd, too_much); }) == SIGABRT);
    CHECK(end_of([](int fd) { test::checked_poll(fd, 3, 0); }) == SIGABRT);
    CHECK(end_of([](int fd) { test::checked_ppoll(fd, 3, nullptr); }) == SIGABRT);
}
