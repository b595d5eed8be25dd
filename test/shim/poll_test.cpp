// poll, ppoll and epoll_wait.
#include <csignal>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;
using test::descriptor;
using test::later;

namespace {
/// In tasks it is there on every kernel, which a comparison with libc's cannot show.
bool has_epoll_pwait2() {
    epoll_event event;
    return ::syscall(SYS_epoll_pwait2, -1, &event, 1, nullptr, nullptr, 8) == -1 && errno == EBADF;
}
}  // namespace

DIFFERENTIAL("poll waits for what it is asked for, and says what there is") {
    auto s = test::unix_pair();
    auto t = test::tcp_pair();
    pollfd looks[4] = {{s[0], POLLIN, 0}, {-1, POLLIN, 77}, {t[0], POLLIN | POLLPRI | POLLRDHUP, 0}, {s[0], POLLIN, 0}};
    const auto wait = [&](const char* what, nfds_t count, int timeout) {
        out(what, [&] { return c.poll(looks, count, timeout); });
        for (nfds_t i = 0; i < count; ++i) out.value("revents", looks[i].revents);
    };
    wait("nothing, now", 4, 0);
    wait("nothing, in time", 4, 40);
    {
        const later write{c, 30ms, [&] { CHECK(::write(s[1], "x", 1) == 1); }};
        wait("the same one twice", 4, 1000);
    }
    wait("still there", 4, -1);
    looks[0].events = looks[3].events = POLLOUT;
    wait("writable", 4, -1);
    looks[0].events = looks[3].events = 0;
    {
        const later write{c, 30ms, [&] { CHECK(::send(t[1], "!", 1, MSG_OOB) == 1); }};
        wait("an urgent byte", 4, 1000);
    }
    char b[4];
    CHECK(::recv(t[0], b, 1, MSG_OOB) == 1);
    looks[2].events = POLLRDHUP;
    {
        const later shut{c, 30ms, [&] { ::shutdown(t[1], SHUT_WR); }};
        wait("the peer has shut down", 4, 1000);
    }
    looks[2].events = 0;
    {
        const later close{c, 30ms, [&] { s[1].close(); }};
        wait("the peer has gone, asked for nothing", 4, 1000);
    }
    looks[0].fd = 900;
    wait("no descriptor", 4, 1000);
}

DIFFERENTIAL("poll asked by the names of its kinds of data") {
    auto s = test::unix_pair();
    pollfd look{s[0], POLLRDNORM, 0};
    {
        const later write{c, 30ms, [&] { CHECK(::write(s[1], "x", 1) == 1); }};
        out("POLLRDNORM", [&] { return c.poll(&look, 1, 1000); });
    }
    out.value("revents", look.revents);
    const std::string much = test::pattern(1 << 20);
    while (::send(s[1], much.data(), 4096, MSG_DONTWAIT) > 0) {}
    look = {s[1], POLLWRNORM, 0};
    const later read{c, 30ms, [&] {
        std::string room(1 << 20, 0);
        while (::recv(s[0], room.data(), room.size(), MSG_DONTWAIT) > 0) {}
    }};
    out("POLLWRNORM", [&] { return c.poll(&look, 1, 1000); });
    out.value("revents", look.revents);
}

DIFFERENTIAL("poll of nothing sleeps, and of files it never waits unless it must") {
    out("no descriptors", [&] { return c.poll(nullptr, 0, 40); });
    const descriptor file{::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
    pollfd looks[2] = {{file, POLLIN | POLLOUT, 0}, {-1, 0, 0}};
    out("a file", [&] { return c.poll(looks, 2, 1000); });
    out.value("revents", looks[0].revents);
    looks[0].events = POLLPRI;
    out("a file, asked for what it never has", [&] { return c.poll(looks, 2, 40); });
    auto s = test::unix_pair();
    looks[1] = {s[0], POLLIN, 0};
    const later write{c, 30ms, [&] { CHECK(::write(s[1], "x", 1) == 1); }};
    out("beside a socket", [&] { return c.poll(looks, 2, 1000); });
    out.value("revents", looks[0].revents + 1000 * looks[1].revents);
}

DIFFERENTIAL("poll of many, and of too many") {
    std::vector<test::ends> pairs;
    std::vector<pollfd> looks;
    for (int i = 0; i < 40; ++i) {
        pairs.push_back(test::pipe_pair());
        looks.push_back({pairs.back()[0], POLLIN, 0});
    }
    const later write{c, 30ms, [&] { CHECK(::write(pairs[33][1], "x", 1) == 1); }};
    out("of 40", [&] { return c.poll(looks.data(), looks.size(), 1000); });
    out.value("revents", looks[33].revents);
    if (test::under_asan) return;  // whose own poll() looks at all that is said to be there
    rlimit limit{};
    CHECK(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    out("more than can be open", [&] { return c.poll(looks.data(), limit.rlim_cur + 1, 1000); });
}

DIFFERENTIAL("ppoll") {
    auto s = test::unix_pair();
    pollfd look{s[0], POLLIN, 0};
    timespec limit{0, 40'000'000};
    out("nothing in time", [&] { return c.ppoll(&look, 1, &limit, nullptr); });
    out.value("its limit is as it was", limit.tv_nsec);
    limit = {0, -1};
    out("a bad limit", [&] { return c.ppoll(&look, 1, &limit, nullptr); });
    limit = {0, 0};
    out("now", [&] { return c.ppoll(&look, 1, &limit, nullptr); });
    sigset_t mask, before, after;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    CHECK(::pthread_sigmask(SIG_SETMASK, nullptr, &before) == 0);
    {
        const later write{c, 30ms, [&] { CHECK(::write(s[1], "x", 1) == 1); }};
        out("for ever", [&] { return c.ppoll(&look, 1, nullptr, &mask); });
    }
    CHECK(::pthread_sigmask(SIG_SETMASK, nullptr, &after) == 0);
    out.value("the mask is back", sigismember(&after, SIGUSR2) == sigismember(&before, SIGUSR2));
}

DIFFERENTIAL_ALONE("a signal that only the mask of ppoll lets in interrupts it, also one that waits already") {
    auto s = test::unix_pair();
    sigset_t block, before;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    CHECK(::pthread_sigmask(SIG_BLOCK, &block, &before) == 0);
    pollfd look{s[0], POLLIN, 0};
    const timespec limit{1, 0};
    fd_set set;
    FD_ZERO(&set);
    epoll_event event{};
    const descriptor epoll{::epoll_create1(EPOLL_CLOEXEC)};
    test::alarm_clock::rang = 0;
    const auto rings = [&](const char* what, auto call) {
        {
            const test::alarm_clock clock{30ms, SA_RESTART};
            out(what, call);
            out.value("handler ran", test::alarm_clock::rang);
        }
        const test::alarm_clock clock{1ms, SA_RESTART};
        std::this_thread::sleep_for(10ms);
        out.value("a blocked one waits", test::alarm_clock::rang);
        out(what, call);
        out.value("handler ran", test::alarm_clock::rang);
    };
    rings("ppoll", [&] { return c.ppoll(&look, 1, &limit, &before); });
    rings("pselect", [&] { return c.pselect(0, &set, nullptr, nullptr, &limit, &before); });
    rings("epoll_pwait", [&] { return c.epoll_pwait(epoll, &event, 1, 1000, &before); });
    if (has_epoll_pwait2()) rings("epoll_pwait2", [&] { return c.epoll_pwait2(epoll, &event, 1, &limit, &before); });
    const test::alarm_clock clock{1ms, SA_RESTART};
    std::this_thread::sleep_for(10ms);
    CHECK(::write(s[1], "x", 1) == 1);
    out("what is ready comes first", [&] { return c.ppoll(&look, 1, &limit, &before); });
    out.value("handler ran", test::alarm_clock::rang);
    CHECK(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
}

DIFFERENTIAL("epoll_wait on a set of the user's") {
    auto s = test::unix_pair();
    auto p = test::pipe_pair();
    const descriptor set{::epoll_create1(EPOLL_CLOEXEC)};
    epoll_event event{EPOLLIN, {.u64 = 11}}, got[4] = {};
    CHECK(::epoll_ctl(set, EPOLL_CTL_ADD, s[0], &event) == 0);
    event = {EPOLLIN | EPOLLET, {.u64 = 22}};
    CHECK(::epoll_ctl(set, EPOLL_CTL_ADD, p[0], &event) == 0);
    out("nothing, now", [&] { return c.epoll_wait(set, got, 4, 0); });
    out("nothing, in time", [&] { return c.epoll_wait(set, got, 4, 40); });
    {
        const later write{c, 30ms, [&] { CHECK(::write(s[1], "x", 1) == 1); }};
        out("one", [&] { return c.epoll_wait(set, got, 4, 1000); });
    }
    out.value("which", static_cast<std::int64_t>(got[0].data.u64));
    out.value("what", got[0].events);
    CHECK(::write(p[1], "x", 1) == 1);
    out("room for one", [&] { return c.epoll_wait(set, got, 1, 1000); });
    out("room for one", [&] { return c.epoll_wait(set, got, 1, 1000); });
    char b[4];
    CHECK(::read(s[0], b, 4) == 1);
    out("the edge has gone", [&] { return c.epoll_wait(set, got, 4, 40); });
    {
        const later write{c, 30ms, [&] { CHECK(::write(p[1], "y", 1) == 1); }};
        out("another edge", [&] { return c.epoll_wait(set, got, 4, -1); });
    }
    {
        const later add{c, 30ms, [&] {
            epoll_event more{EPOLLOUT | EPOLLONESHOT, {.u64 = 33}};
            CHECK(::epoll_ctl(set, EPOLL_CTL_ADD, s[1], &more) == 0);
        }};
        out("what is added meanwhile", [&] { return c.epoll_wait(set, got, 4, 1000); });
    }
    out("one shot", [&] { return c.epoll_wait(set, got, 4, 40); });
    out("no room", [&] { return c.epoll_wait(set, got, 0, 1000); });
    out("no set", [&] { return c.epoll_wait(s[0], got, 4, 1000); });
    out("no descriptor", [&] { return c.epoll_wait(-1, got, 4, 1000); });
    const timespec limit{0, 40'000'000}, bad{0, 2'000'000'000};
    out("epoll_pwait", [&] { return c.epoll_pwait(set, got, 4, 40, nullptr); });
    if (!has_epoll_pwait2()) return;
    out("epoll_pwait2", [&] { return c.epoll_pwait2(set, got, 4, &limit, nullptr); });
    out("epoll_pwait2, a bad limit", [&] { return c.epoll_pwait2(set, got, 4, &bad, nullptr); });
}

HUB_TEST("epoll_pwait2 waits in a task, and looks, whether or not the kernel has it") {
    const test::patched now;
    auto p = test::pipe_pair();
    const descriptor set{::epoll_create1(EPOLL_CLOEXEC)};
    epoll_event event{EPOLLIN, {}}, got{};
    CHECK(::epoll_ctl(set, EPOLL_CTL_ADD, p[0], &event) == 0);
    const timespec none{0, 0}, moment{0, 5'000'000}, bad{0, -1};
    CHECK(::epoll_pwait2(set, &got, 1, &none, nullptr) == 0);
    CHECK(::epoll_pwait2(set, &got, 1, &moment, nullptr) == 0);
    CHECK(::epoll_pwait2(set, &got, 1, &bad, nullptr) == -1);
    CHECK(errno == EINVAL);
    CHECK(::write(p[1], "x", 1) == 1);
    CHECK(::epoll_pwait2(set, &got, 1, &none, nullptr) == 1);
    CHECK(::epoll_pwait2(set, &got, 1, nullptr, nullptr) == 1);
}

HUB_TEST("two tasks wait on one epoll set, and each event wakes one") {
    for (const bool named : {true, false}) {
        const test::calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        const descriptor set{::epoll_create1(EPOLL_CLOEXEC)};
        std::vector<test::ends> pipes;
        for (int i = 0; i < 2; ++i) {
            pipes.push_back(test::pipe_pair());
            epoll_event event{EPOLLIN | EPOLLET, {.u32 = static_cast<std::uint32_t>(i)}};
            CHECK(::epoll_ctl(set, EPOLL_CTL_ADD, pipes.back()[0], &event) == 0);
        }
        const auto wait = [&c, &set] {
            epoll_event got{};
            return c.epoll_wait(set, &got, 1, 2000) == 1 ? static_cast<int>(got.data.u32) : -1;
        };
        auto first = weft::spawn(wait), second = weft::spawn(wait);
        weft::sleep_for(2ms);
        // Both come before the hub looks: the set has one edge for the two.
        for (auto& pipe : pipes) CHECK(::write(pipe[1], "x", 1) == 1);
        CHECK(first.get() + second.get() == 1);
    }
}

DIFFERENTIAL("an array that is not there") {
    auto* const nowhere = reinterpret_cast<pollfd*>(std::uintptr_t{16});
    for (const nfds_t count : {1, 6, 7}) {
        out("poll", [&] { return c.poll(nowhere, count, 1000); });
        out("for ever", [&] { return c.poll(nowhere, count, -1); });
        out("now", [&] { return c.poll(nowhere, count, 0); });
        out("ppoll", [&] { return c.ppoll(nowhere, count, nullptr, nullptr); });
    }
    out("none of it", [&] { return c.poll(nowhere, 0, 20); });
    const descriptor set{::epoll_create1(EPOLL_CLOEXEC)};
    const descriptor event{::eventfd(1, EFD_CLOEXEC)};
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    CHECK(::epoll_ctl(set, EPOLL_CTL_ADD, event, &wanted) == 0);
    out("epoll_wait", [&] { return c.epoll_wait(set, reinterpret_cast<epoll_event*>(nowhere), 1, -1); });
}
