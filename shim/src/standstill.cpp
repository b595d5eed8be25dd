// A signal would end a poll() or a sleep with EINTR, and cut a large write short, whatever SA_RESTART says. So a thread that
// waits in the kernel is not signalled: the kernel tells where it went there. One that computes is stopped by a timer of its
// own CPU time, which does not run while it waits; the kernel looks at such a timer as the thread returns to user mode,
// where no system call is left to be interrupted.
#include "standstill.hpp"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <ucontext.h>

#include "base/sys.hpp"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace weft::shim {
namespace {

namespace sys = detail::sys;

// One look at a time. The word is a futex, on which both sides wait for the other.
enum : std::uint32_t { idle, asked, stopping, stopped, released };
std::atomic<std::uint32_t> phase{idle};
std::atomic<int> asked_of{0};  // a signal that comes late is of another thread
standpoint stopped_at;
std::mutex one_at_a_time;
int users = 0;         // with the mutex held
int signal_number = 0;  // 0: none is free
struct sigaction before;

constexpr timespec milliseconds(long n) noexcept { return {n / 1000, n % 1000 * 1'000'000}; }

standpoint standpoint_of(const ucontext_t& c) noexcept {
#if defined(__x86_64__)
    const auto& r = c.uc_mcontext.gregs;
    return {static_cast<std::uintptr_t>(r[REG_RIP]), static_cast<std::uintptr_t>(r[REG_RSP]),
            static_cast<std::uintptr_t>(r[REG_RBP])};
#elif defined(__aarch64__)
    const auto& m = c.uc_mcontext;
    return {m.pc, m.sp, m.regs[29]};
#endif
}

// On the stopped thread: system calls of the library's own only, which leave errno alone.
void stand_still(int, siginfo_t* info, void* context) {
    std::uint32_t expected = asked;
    if (info->si_code != SI_TIMER || info->si_value.sival_ptr != &phase) return;
    if (asked_of.load() != sys::call(SYS_gettid) || !phase.compare_exchange_strong(expected, stopping)) return;
    stopped_at = standpoint_of(*static_cast<const ucontext_t*>(context));
    phase.store(stopped);
    sys::futex_wake(phase, 1);
    const timespec limit = milliseconds(100);
    while (phase.load() == stopped && sys::futex_wait(phase, stopped, &limit) != -ETIMEDOUT) {
    }
    phase.store(idle);
    sys::futex_wake(phase, 1);
}

// From the end of the range, where nobody begins to look.
void take_signal() noexcept {
    for (int number = SIGRTMAX; number >= SIGRTMIN; --number) {
        if (::sigaction(number, nullptr, &before) != 0 || (before.sa_flags & SA_SIGINFO) != 0 ||
            before.sa_handler != SIG_DFL)
            continue;
        struct sigaction ours {};
        ours.sa_sigaction = stand_still;
        ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
        sigfillset(&ours.sa_mask);
        if (::sigaction(number, &ours, nullptr) == 0) signal_number = number;
        return;
    }
}

void give_signal_back() noexcept {
    // Ignoring it first drops what is pending of it, also where it is blocked.
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(signal_number, &ignore, nullptr);
    ::sigaction(signal_number, &before, nullptr);
    signal_number = 0;
}

clockid_t cpu_clock_of(int tid) noexcept {
    constexpr clockid_t of_a_thread = 4, as_scheduled = 2;  // clock_getres(2), "kernel/posix-cpu-timers"
    return static_cast<clockid_t>(~static_cast<unsigned>(tid) << 3) | of_a_thread | as_scheduled;
}

/// @returns whether the thread stands still; release() is due then
bool arrives(long patience_ms) noexcept {
    const timespec limit = milliseconds(patience_ms);
    sys::futex_wait(phase, asked, &limit);
    std::uint32_t expected = asked;
    if (phase.compare_exchange_strong(expected, idle)) return false;
    const timespec moment = milliseconds(1);
    while (phase.load() == stopping) sys::futex_wait(phase, stopping, &moment);
    return true;
}

void release() noexcept {
    std::uint32_t expected = stopped;
    if (phase.compare_exchange_strong(expected, released)) sys::futex_wake(phase, 1);
    while (phase.load() != idle) {
        const timespec limit = milliseconds(1);
        sys::futex_wait(phase, released, &limit);
    }
}

}  // namespace

bool waits_in_kernel(int tid, standpoint& where, long& call) noexcept {
    char path[64], text[256] = "";
    std::snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
    const long file = sys::call(SYS_openat, AT_FDCWD, sys::word(path), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    const long size = sys::read(static_cast<int>(file), text, sizeof text - 1);
    sys::close(static_cast<int>(file));
    if (size <= 0 || std::strncmp(text, "running", 7) == 0) return false;
    // "0 0x3 0x7ffc... 0x1 ... sp pc": the last two words.
    char* last = std::strrchr(text, ' ');
    if (!last) return false;
    where.pc = std::strtoull(last + 1, nullptr, 16);
    *last = '\0';
    char* const before_last = std::strrchr(text, ' ');
    if (!before_last) return false;
    where.sp = std::strtoull(before_last + 1, nullptr, 16);
    where.fp = 0;
    where.calls = false;
    call = std::strtol(text, nullptr, 10);
    return where.pc != 0 && where.sp != 0;
}

stopper::stopper() noexcept {
    const std::lock_guard guard{one_at_a_time};
    if (users++ == 0) take_signal();
}

stopper::~stopper() {
    const std::lock_guard guard{one_at_a_time};
    if (--users == 0 && signal_number != 0) give_signal_back();
}

bool stopper::stop(int tid, void (*look)(const standpoint& where, void* argument), void* argument) noexcept {
    const std::lock_guard guard{one_at_a_time};
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = signal_number;
    event.sigev_notify_thread_id = tid;
    event.sigev_value.sival_ptr = &phase;
    timer_t timer;
    if (signal_number == 0 || ::timer_create(cpu_clock_of(tid), &event, &timer) != 0) return false;
    asked_of.store(tid);
    phase.store(asked);
    itimerspec when{};
    when.it_value = milliseconds(1);  // not yet over when it is set, or the signal would come from here, at any instant
    const bool set = ::timer_settime(timer, 0, &when, nullptr) == 0;
    const bool standing = arrives(set ? 200 : 0);
    if (standing) {
        look(stopped_at, argument);
        release();
    }
    ::timer_delete(timer);
    return standing;
}

}  // namespace weft::shim
