// wait and its kin: every child goes to one of those who wait, as between threads, and to nobody else.
#include <climits>
#include <set>
#include <thread>
#include <vector>

#include <sys/resource.h>

#include "shim/children.hpp"
#include "shim/differential.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;
using test::child_that;
using test::child_that_exits;
using test::nap_ms;

namespace {

constexpr int none = -1234;

std::atomic<int> child_signals{0};

/// What to do with SIGCHLD, for as long as it lives.
class on_child {
public:
    explicit on_child(void (*handler)(int), int flags = 0) {
        struct sigaction action {};
        action.sa_handler = handler;
        action.sa_flags = flags;
        ::sigaction(SIGCHLD, &action, &before_);
    }
    ~on_child() { ::sigaction(SIGCHLD, &before_, nullptr); }
    on_child(const on_child&) = delete;
    on_child& operator=(const on_child&) = delete;

private:
    struct sigaction before_ {};
};

constexpr auto by_pidfd = static_cast<idtype_t>(3);  // P_PIDFD

}  // namespace

DIFFERENTIAL("each way to wait for one's only child") {
    int status = none;
    rusage usage{};
    siginfo_t info{};
    const auto told = [&](const char* what, bool right) {
        out.value(what, right);
        out.value("status", status);
        status = none;
    };
    pid_t child = child_that_exits(7, 30);
    told("waitpid(pid)", c.waitpid(child, &status, 0) == child);
    child = child_that_exits(8, 30);
    told("waitpid(-1)", c.waitpid(-1, &status, 0) == child);
    child = child_that_exits(9, 30);
    told("waitpid(0)", c.waitpid(0, &status, 0) == child);
    child = child_that_exits(10, 30);
    told("wait", c.wait(&status) == child);
    child = child_that_exits(11, 30);
    told("wait3", c.wait3(&status, 0, &usage) == child);
    out.value("its usage", usage.ru_maxrss > 0);
    usage = {};
    child = child_that_exits(12, 30);
    told("wait4", c.wait4(child, &status, 0, &usage) == child);
    out.value("its usage", usage.ru_maxrss > 0);
    child = child_that([] {
        nap_ms(30);
        ::kill(::getpid(), SIGKILL);
        return 0;
    });
    told("a killed one", c.waitpid(child, &status, 0) == child);
    child = child_that_exits(13, 30);
    out("without a status", [&] { return c.waitpid(child, nullptr, 0) == child; });
    child = child_that_exits(14, 30);
    told("__WALL", c.waitpid(child, &status, __WALL) == child);
    child = child_that_exits(15, 30);
    told("__WNOTHREAD", c.waitpid(-1, &status, __WNOTHREAD) == child);
    child = child_that_exits(16);
    c.usleep(20'000);
    told("one that has ended", c.waitpid(child, &status, 0) == child);
    for (const idtype_t kind : {P_PID, P_ALL, P_PGID}) {
        child = child_that_exits(17, 30);
        const id_t id = kind == P_PID ? static_cast<id_t>(child) : 0;
        out("waitid", [&] { return c.waitid(kind, id, &info, WEXITED); });
        told("its child", info.si_pid == child && info.si_status == 17 && info.si_signo == SIGCHLD);
        info = {};
    }
}

DIFFERENTIAL("what has no child to wait for") {
    int status = none;
    siginfo_t info{};
    out("waitpid(-1)", [&] { return c.waitpid(-1, &status, 0); });
    out("wait", [&] { return c.wait(&status); });
    out("wait3", [&] { return c.wait3(&status, 0, nullptr); });
    out("not one's own", [&] { return c.waitpid(1, &status, 0); });
    out("this process", [&] { return c.waitpid(::getpid(), &status, 0); });
    out("no such group", [&] { return c.waitpid(-INT_MAX, &status, 0); });
    out("no process can have it", [&] { return c.waitpid(INT_MIN, &status, 0); });
    out("odd options", [&] { return c.waitpid(-1, &status, 0x40); });
    out("waitid", [&] { return c.waitid(P_ALL, 0, &info, WEXITED); });
    out("waitid for nothing", [&] { return c.waitid(P_ALL, 0, &info, 0); });
    if (!test::under_asan)  // to C++ there is no such value
        out("waitid, an odd kind", [&] { return c.waitid(static_cast<idtype_t>(77), 0, &info, WEXITED); });
    out("waitid, no descriptor", [&] { return c.waitid(by_pidfd, static_cast<id_t>(-1), &info, WEXITED); });
    out("waitid, not such a descriptor", [&] { return c.waitid(by_pidfd, 0, &info, WEXITED); });
    const pid_t child = child_that_exits(1, 50);
    out("not that kind", [&] { return c.waitpid(child, &status, __WCLONE); });
    out("not yet", [&] { return c.waitpid(child, &status, WNOHANG); });
    out("not yet, any", [&] { return c.waitpid(-1, &status, WNOHANG); });
    out("not yet, waitid", [&] { return c.waitid(P_ALL, 0, &info, WEXITED | WNOHANG); });
    out("not in the group", [&] { return c.waitpid(-child, &status, 0); });
    out("in the end", [&] { return c.waitpid(child, &status, 0) == child; });
    out("never again", [&] { return c.waitpid(child, &status, 0); });
    out.value("status", status);
}

DIFFERENTIAL("stops, continuations and looks that leave the child") {
    int status = none;
    siginfo_t info{};
    const pid_t child = child_that([] {
        nap_ms(30);
        ::kill(::getpid(), SIGSTOP);
        nap_ms(30);
        return 5;
    });
    out("stopped", [&] { return c.waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status); });
    const test::later goes_on{c, 30ms, [child] { ::kill(child, SIGCONT); }};
    out("continued", [&] { return c.waitpid(-1, &status, WCONTINUED) == child && WIFCONTINUED(status); });
    out("seen", [&] { return c.waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT); });
    out.value("how", info.si_status);
    out("seen again", [&] { return c.waitid(P_ALL, 0, nullptr, WEXITED | WNOWAIT); });
    out("taken", [&] { return c.waitid(P_PID, static_cast<id_t>(child), &info, WEXITED); });
    out("gone", [&] { return c.waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT); });
}

DIFFERENTIAL("groups and descriptors of children") {
    int status = none;
    siginfo_t info{};
    pid_t child = child_that([] {
        ::setpgid(0, 0);
        nap_ms(40);
        return 3;
    });
    c.usleep(20'000);
    out("of another group", [&] { return c.waitpid(0, &status, 0); });
    out("the group", [&] { return c.waitpid(-child, &status, 0) == child; });
    out.value("status", status);
    if (!test::has_pidfds()) return;
    child = child_that_exits(4, 40);
    const int fd = test::pidfd_of(child);
    out("the descriptor", [&] { return c.waitid(by_pidfd, static_cast<id_t>(fd), &info, WEXITED); });
    out.value("status", info.si_status);
    ::close(fd);
    child = child_that_exits(6, 40);
    const int never_waits = test::pidfd_of(child, O_NONBLOCK);
    out("O_NONBLOCK", [&] { return c.waitid(by_pidfd, static_cast<id_t>(never_waits), &info, WEXITED); });
    ::close(never_waits);
    out("in the end", [&] { return c.wait(&status) == child; });
}

DIFFERENTIAL("where SIGCHLD is ignored children are not kept, and the last one's end is ECHILD") {
    const on_child ignore{SIG_IGN};
    int status = none;
    const pid_t child = child_that_exits(1, 30);
    out("its end", [&] { return c.waitpid(child, &status, 0); });
    child_that_exits(1, 30);
    child_that_exits(1, 60);
    out("all ends", [&] { return c.wait(&status); });
    const on_child not_kept{[](int) {}, SA_NOCLDWAIT | SA_RESTART};
    child_that_exits(1, 30);
    out("SA_NOCLDWAIT", [&] { return c.waitpid(-1, &status, 0); });
    out.value("status", status);
}

DIFFERENTIAL_ALONE("a handler without SA_RESTART ends a wait for a child with EINTR") {
    int status = none;
    for (const int flags : {0, SA_RESTART}) {
        for (const bool any : {false, true}) {
            test::alarm_clock::rang = 0;
            const pid_t child = child_that_exits(2, 120);
            const test::alarm_clock clock{40ms, flags};
            out("first", [&] { return c.waitpid(any ? -1 : child, &status, 0) == child; });
            out.value("handler ran", test::alarm_clock::rang);
            if (flags == 0) out("then", [&] { return c.waitpid(any ? -1 : child, &status, 0) == child; });
        }
    }
}

DIFFERENTIAL_ALONE("a child's own SIGCHLD does not end the wait for it with EINTR") {
    child_signals = 0;
    const on_child count{[](int) { ++child_signals; }};
    int status = none;
    for (const bool any : {false, true}) {
        const pid_t child = child_that_exits(2, 40);
        out("wait", [&] { return c.waitpid(any ? -1 : child, &status, 0) == child; });
    }
    out.value("handler ran", child_signals);
}

HUB_TEST("tasks that wait for any child and for certain ones get each child once") {
    for (const bool named : {true, false}) {
        const test::calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        const pid_t certain = child_that_exits(1, 60);
        auto for_certain = weft::spawn([&] { return c.waitpid(certain, nullptr, 0); });
        weft::yield();
        const pid_t a = child_that_exits(2, 20), b = child_that_exits(3, 40);
        std::vector<weft::task<pid_t>> for_any;
        for (int i = 0; i < 2; ++i) for_any.push_back(weft::spawn([&] { return c.waitpid(-1, nullptr, 0); }));
        const std::set<pid_t> got{for_any[0].get(), for_any[1].get()};
        CHECK(got == std::set<pid_t>{a, b});
        CHECK(for_certain.get() == certain);
    }
}

HUB_TEST("a child that a plain thread has taken is ECHILD for the task that waited") {
    const test::patched now;
    for (const bool any : {true, false}) {
        const pid_t child = child_that_exits(1, 50);
        int error = 0;
        pid_t taken = 0;
        std::thread thread{[&] { taken = ::waitpid(child, nullptr, 0); }};
        auto task = weft::spawn([&] {
            const pid_t got = ::waitpid(any ? -1 : child, nullptr, 0);
            error = errno;
            return got;
        });
        const pid_t got = task.get();
        thread.join();
        CHECK((got == child) != (taken == child));
        if (got != child) CHECK(error == ECHILD);
    }
}

HUB_TEST("a thousand short children are waited for at once, each by a task, while others run") {
    const test::patched now;
    test::beside_ticker ticks;
    std::chrono::steady_clock::duration longest_fork{};
    std::atomic<int> right{0};
    std::vector<weft::task<void>> tasks;
    for (int i = 0; i < 1000; ++i) {
        tasks.push_back(weft::spawn([&, i] {
            const auto start = std::chrono::steady_clock::now();
            const pid_t child = child_that_exits(i % 100, i % 7);
            longest_fork = std::max(longest_fork, std::chrono::steady_clock::now() - start);
            int status = none;
            if (::waitpid(child, &status, 0) == child && WEXITSTATUS(status) == i % 100) ++right;
        }));
        weft::yield();
    }
    for (auto& task : tasks) task.join();
    CHECK(right == 1000);
    CHECK(ticks.stop() < 20ms * test::patience() + 4 * longest_fork);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

HUB_TEST("hundreds of tasks wait for any child, and each gets one") {
    const test::patched now;
    std::set<pid_t> made, got;
    for (int i = 0; i < 300; ++i) made.insert(child_that_exits(0, 20 + i % 50));
    test::beside_ticker ticks;
    std::vector<weft::task<void>> tasks;
    for (int i = 0; i < 300; ++i) tasks.push_back(weft::spawn([&] { got.insert(::wait(nullptr)); }));
    for (auto& task : tasks) task.join();
    CHECK(got == made);
    CHECK(ticks.stop() < 20ms * test::patience());
}

HUB_TEST("tasks of several threads, and plain ones, wait for any child together") {
    const test::patched now;
    constexpr int each = 40, threads = 3;
    for (int i = 0; i < each * (threads + 1); ++i) child_that_exits(0, 10 + i % 50);
    std::atomic<int> reaped{0};
    std::vector<std::thread> others;
    for (int i = 0; i < threads; ++i) {
        others.emplace_back([&] {
            std::vector<weft::task<void>> tasks;
            for (int j = 0; j < each; ++j) tasks.push_back(weft::spawn([&] { reaped += ::wait(nullptr) > 0; }));
            for (auto& task : tasks) task.join();
        });
    }
    std::thread plain{[&] {
        for (int j = 0; j < each; ++j) reaped += ::wait(nullptr) > 0;
    }};
    for (auto& thread : others) thread.join();
    plain.join();
    CHECK(reaped == each * (threads + 1));
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

HUB_TEST("the program's handler of SIGCHLD runs once for each child, and finds its mask") {
    const test::patched now;
    child_signals = 0;
    const on_child count{[](int) { ++child_signals; }, SA_RESTART};
    for (int i = 0; i < 20; ++i) {
        const pid_t child = child_that_exits(0, 1);
        CHECK(weft::spawn([&] { return ::waitpid(i % 2 ? child : -1, nullptr, 0); }).get() == child);
    }
    CHECK(child_signals == 20);
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    CHECK(::sigismember(&mask, SIGCHLD) == 0);
}
