// Waits for signals. Each is sent to the thread, whose task or plain thread waits.
#include <thread>
#include <vector>

#include <sys/signalfd.h>
#include <sys/syscall.h>

#include "shim/children.hpp"
#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;

namespace {

sigset_t set_of(std::initializer_list<int> numbers) {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int number : numbers) ::sigaddset(&set, number);
    return set;
}

/// Blocks signals of this thread for as long as it lives; what is left of them then is dropped.
class blocked {
public:
    blocked(std::initializer_list<int> numbers) : set_{set_of(numbers)} {
        ::pthread_sigmask(SIG_BLOCK, &set_, &before_);
    }
    ~blocked() {
        const timespec no_time{0, 0};
        while (::sigtimedwait(&set_, nullptr, &no_time) > 0) {}
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
    blocked(const blocked&) = delete;
    blocked& operator=(const blocked&) = delete;
    operator const sigset_t*() const { return &set_; }

private:
    sigset_t set_, before_;
};

std::atomic<int> handled{0};

// What sigpause() is compiled to, which is deprecated by its own name.
extern "C" int suspend_for(int number) asm("__xpg_sigpause");

class handler {
public:
    explicit handler(int number, int flags = 0) : number_{number} {
        handled = 0;
        struct sigaction action {};
        action.sa_handler = [](int) { ++handled; };
        action.sa_flags = flags;
        ::sigaction(number, &action, &before_);
    }
    ~handler() { ::sigaction(number_, &before_, nullptr); }
    handler(const handler&) = delete;
    handler& operator=(const handler&) = delete;

private:
    int number_;
    struct sigaction before_ {};
};

void send(pid_t thread, int number) { ::syscall(SYS_tgkill, ::getpid(), thread, number); }

void send_value(int number, int value) {
    sigval carried{};
    carried.sival_int = value;
    ::sigqueue(::getpid(), number, carried);
}

std::int64_t whole_mask() {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    std::int64_t bits;
    std::memcpy(&bits, &mask, sizeof bits);
    return bits;
}

}  // namespace

DIFFERENTIAL("sigwait and its kin take a signal that comes later, or has come") {
    const blocked waited{SIGUSR2, SIGRTMIN};
    const pid_t me = ::gettid();
    siginfo_t info{};
    int number = 0;
    for (const long delay : {0L, 40L}) {
        const auto sends = [&](int which) {
            if (delay == 0) send(me, which);
            return std::make_unique<test::later>(c, std::chrono::milliseconds{delay}, [=] {
                if (delay > 0) send(me, which);
            });
        };
        {
            const auto later = sends(SIGUSR2);
            out("sigwait", [&] { return c.sigwait(waited, &number); });
            out.value("which", number);
        }
        {
            const auto later = sends(SIGRTMIN);
            out("sigwaitinfo", [&] { return c.sigwaitinfo(waited, &info); });
            out.value("by a thread", info.si_code == SI_TKILL && info.si_pid == ::getpid());
        }
        {
            const auto later = sends(SIGUSR2);
            const timespec limit{5, 0};
            out("sigtimedwait", [&] { return c.sigtimedwait(waited, nullptr, &limit); });
        }
    }
}

DIFFERENTIAL("limits of sigtimedwait") {
    const blocked waited{SIGUSR2};
    siginfo_t info{};
    const timespec brief{0, 40'000'000}, none{0, 0}, bad{0, 1'000'000'000}, negative{-1, 0};
    out("passes", [&] { return c.sigtimedwait(waited, &info, &brief); });
    out("no time", [&] { return c.sigtimedwait(waited, &info, &none); });
    out("not a time", [&] { return c.sigtimedwait(waited, &info, &bad); });
    out("negative", [&] { return c.sigtimedwait(waited, &info, &negative); });
    out("no set", [&] { return c.sigtimedwait(nullptr, &info, &brief); });
    out("no set", [&] { return c.sigwaitinfo(nullptr, &info); });
    const sigset_t empty = set_of({});
    out("an empty set", [&] { return c.sigtimedwait(&empty, &info, &brief); });
    out.value("mask", whole_mask());
}

DIFFERENTIAL_ALONE("an unrelated handler ends sigwaitinfo and sigtimedwait with EINTR, and not sigwait") {
    const blocked waited{SIGUSR2};
    const pid_t me = ::gettid();
    for (const int flags : {0, SA_RESTART}) {
        {
            const test::alarm_clock clock{30ms, flags};
            out("sigwaitinfo", [&] { return c.sigwaitinfo(waited, nullptr); });
        }
        {
            const test::alarm_clock clock{30ms, flags};
            const timespec limit{5, 0};
            out("sigtimedwait", [&] { return c.sigtimedwait(waited, nullptr, &limit); });
        }
        const test::alarm_clock clock{30ms, flags};
        const test::later sends{c, 80ms, [=] { send(me, SIGUSR2); }};
        int number = 0;
        out.value("sigwait", c.sigwait(waited, &number));
        out.value("which", number);
    }
}

DIFFERENTIAL("a signal that is waited for is taken though the thread does not block it") {
    const pid_t me = ::gettid();
    const handler not_this{SIGUSR2};
    const sigset_t set = set_of({SIGUSR2});
    const test::later sends{c, 40ms, [=] { send(me, SIGUSR2); }};
    out("sigwaitinfo", [&] { return c.sigwaitinfo(&set, nullptr); });
    out.value("handled", handled);
}

HUB_TEST("values sent to the process come in their order, each to one of the tasks that wait") {
    for (const bool named : {true, false}) {
        const test::calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        const blocked waited{SIGRTMIN};
        constexpr int tasks = 50;
        std::vector<weft::task<int>> waiting;
        for (int i = 0; i < tasks; ++i) {
            waiting.push_back(weft::spawn([&] {
                siginfo_t info{};
                return c.sigwaitinfo(waited, &info) == SIGRTMIN ? info.si_value.sival_int : -1;
            }));
        }
        weft::sleep_for(2ms);
        for (int i = 0; i < tasks; ++i) {
            send_value(SIGRTMIN, i);
            if (i % 5 == 0) weft::yield();
        }
        std::vector<bool> seen(tasks);
        for (auto& task : waiting) {
            const int value = task.get();
            REQUIRE(value >= 0);
            CHECK_FALSE(seen[static_cast<std::size_t>(value)]);
            seen[static_cast<std::size_t>(value)] = true;
        }
    }
}

HUB_TEST("a task in sigwait is woken by another task, and by a plain thread") {
    const test::patched now;
    const blocked waited{SIGUSR2};
    const pthread_t me = ::pthread_self();
    for (const bool to_process : {true, false}) {
        for (const bool by_thread : {true, false}) {
            int number = 0;
            auto task = weft::spawn([&] { return ::sigwait(waited, &number); });
            weft::sleep_for(2ms);
            const auto raise = [&] { to_process ? ::kill(::getpid(), SIGUSR2) : ::pthread_kill(me, SIGUSR2); };
            if (by_thread) std::thread{raise}.join();
            else raise();
            CHECK(task.get() == 0);
            CHECK(number == SIGUSR2);
        }
    }
}

HUB_TEST("a kill ends waits for signals, and what comes later is for others") {
    const test::patched now;
    const blocked waited{SIGUSR2};
    int first = 0, second = 0, third = 0, number = 0;
    std::vector<weft::task<void>> tasks;
    tasks.push_back(weft::spawn([&] { first = ::sigwait(waited, &number); }));
    tasks.push_back(weft::spawn([&] { second = ::sigwaitinfo(waited, nullptr) < 0 ? errno : 0; }));
    tasks.push_back(weft::spawn([&] { third = ::pause() < 0 ? errno : 0; }));
    weft::sleep_for(2ms);
    for (auto& task : tasks) CHECK(task.kill(1s));
    CHECK(first == ECANCELED);
    CHECK(second == ECANCELED);
    CHECK(third == ECANCELED);
    bool returned = false;
    auto named = weft::spawn([&] {
        weft::shim::sigwait(waited, &number);
        returned = true;
    });
    auto suspended = weft::spawn([&] {
        const sigset_t nothing = set_of({});
        weft::shim::sigsuspend(&nothing);
        returned = true;
    });
    weft::sleep_for(2ms);
    CHECK(named.kill(1s));
    CHECK(suspended.kill(1s));
    CHECK_FALSE(returned);
    ::kill(::getpid(), SIGUSR2);
    CHECK(weft::shim::sigwait(waited, &number) == 0);
    CHECK(number == SIGUSR2);
}

DIFFERENTIAL_ALONE("pause ends with EINTR when a handler has run") {
    for (const int flags : {0, SA_RESTART}) {
        test::alarm_clock::rang = 0;
        const test::alarm_clock clock{40ms, flags};
        out("pause", [&] { return c.pause(); });
        out.value("handler ran", test::alarm_clock::rang);
    }
}

DIFFERENTIAL("sigsuspend lets in what the thread blocks, when it comes or has come") {
    const handler counts{SIGUSR2, SA_RESTART};
    const blocked held{SIGUSR2};
    const pid_t me = ::gettid();
    const sigset_t nothing = set_of({});
    {
        const test::later sends{c, 40ms, [=] { send(me, SIGUSR2); }};
        out("it comes", [&] { return c.sigsuspend(&nothing); });
        out.value("handled", handled);
    }
    send(me, SIGUSR2);
    out.value("held back", handled);
    out("it has come", [&] { return c.sigsuspend(&nothing); });
    out.value("handled", handled);
    {
        const test::later sends{c, 40ms, [=] { send(me, SIGUSR2); }};
        out("sigpause", [&] { return c.named ? c.sigsuspend(&nothing) : suspend_for(SIGUSR2); });
        out.value("handled", handled);
    }
    out.value("mask", whole_mask());
    out("no mask", [&] { return c.sigsuspend(nullptr); });
}

DIFFERENTIAL("sigsuspend goes on for what has no handler or is blocked by its mask") {
    const handler counts{SIGUSR2, SA_RESTART};
    const blocked held{SIGUSR2, SIGWINCH};
    const pid_t me = ::gettid();
    const sigset_t all_but = [] {
        sigset_t set;
        ::sigfillset(&set);
        ::sigdelset(&set, SIGUSR2);
        ::sigdelset(&set, SIGWINCH);
        ::sigdelset(&set, SIGALRM);
        return set;
    }();
    const test::later sends{c, 20ms, [=] {
                                send(me, SIGUSR1);
                                send(me, SIGWINCH);
                                std::this_thread::sleep_for(40ms);
                                send(me, SIGUSR2);
                            }};
    const handler also{SIGUSR1, SA_RESTART};
    out("sigsuspend", [&] { return c.sigsuspend(&all_but); });
    out.value("handled", handled);
}

HUB_TEST("a handler that sigsuspend lets in runs in its task, however busy the others are") {
    const test::patched now;
    const handler counts{SIGUSR2};
    const blocked held{SIGUSR2};
    bool stop = false;
    auto busy = weft::spawn([&] {
        while (!stop) weft::yield();
    });
    const sigset_t nothing = set_of({});
    auto task = weft::spawn([&] { return ::sigsuspend(&nothing) == -1 && errno == EINTR; });
    weft::sleep_for(2ms);
    std::thread{[] { ::kill(::getpid(), SIGUSR2); }}.join();
    CHECK(task.get());
    CHECK(handled == 1);
    stop = true;
    busy.join();
}

HUB_TEST("a signalfd is read as any descriptor, and an own one is gone after each wait") {
    const test::patched now;
    const blocked waited{SIGUSR2};
    const int before = test::open_descriptors();
    {
        const test::descriptor fd{::signalfd(-1, waited, SFD_CLOEXEC)};
        auto task = weft::spawn([&] {
            signalfd_siginfo info{};
            return ::read(fd, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : -1;
        });
        weft::sleep_for(2ms);
        CHECK_FALSE(task.ready());
        ::kill(::getpid(), SIGUSR2);
        CHECK(task.get() == SIGUSR2);
    }
    auto waiter = weft::spawn([&] {
        int number;
        return ::sigwait(waited, &number);
    });
    weft::sleep_for(2ms);
    CHECK(test::open_descriptors() == before + 1);
    ::kill(::getpid(), SIGUSR2);
    CHECK(waiter.get() == 0);
    CHECK(test::open_descriptors() == before);
}
