// sigwait and its kin: libc's own call takes the signal, with a limit of no time; a signalfd tells when to try again.
#include <algorithm>
#include <cerrno>
#include <chrono>

#include <sys/signalfd.h>

#include "base/sys.hpp"
#include "signal_set.hpp"

namespace weft::shim {
namespace {

constexpr timespec no_time{0, 0};

// A fault must find its handler.
constexpr std::uint64_t faults =
    bit_of(SIGSEGV) | bit_of(SIGBUS) | bit_of(SIGFPE) | bit_of(SIGILL) | bit_of(SIGTRAP) | bit_of(SIGSYS);

int look_with_poll(pollfd* fds, nfds_t count, int timeout) { return original().poll(fds, count, timeout); }

// Without a descriptor, by the clock.
io::outcome wait_a_little(const io::manner& how) {
    const deadline soon = deadline::after(std::chrono::milliseconds{10});
    io::manner brief = how;
    const bool sooner = how.by.is_never() || soon.when() < how.by.when();
    if (sooner) brief.by = soon;
    const io::outcome end = io::pause(brief);
    return sooner && end == io::outcome::timed_out ? io::outcome::ready : end;
}

/// @returns the signal's number, or -1 with errno
int take_signal(const core& c, const sigset_t* set, siginfo_t* info, const io::manner& how) {
    const originals& libc = original();
    const errno_kept kept;
    int got = libc.sigtimedwait(set, info, &no_time);
    if (got < 0 && errno == EAGAIN) {
        // What is not blocked is still for this call rather than for its handler.
        const std::uint64_t wanted = bits_of(*set), own = bits_of(own_signal_mask());
        const sigset_t held_back = set_of(own | (wanted & ~faults));
        const signal_mask during{(wanted & ~faults & ~own) != 0 ? &held_back : nullptr};
        own_descriptor there;
        there.take(new_signalfd(wanted));
        io::outcome end = io::outcome::ready;
        while (got < 0 && errno == EAGAIN && end == io::outcome::ready) {
            end = wait_for_signal(there, how);
            if (end != io::outcome::killed) got = libc.sigtimedwait(set, info, &no_time);
        }
        if (got < 0 && end != io::outcome::ready && (end == io::outcome::killed || errno == EAGAIN))
            return c.failed(end, how.what, EAGAIN);
    }
    if (got >= 0) kept.restore();
    return got;
}

}  // namespace

long new_signalfd(std::uint64_t bits) noexcept {
    return detail::sys::call(SYS_signalfd4, -1, detail::sys::word(&bits), sizeof bits, SFD_CLOEXEC | SFD_NONBLOCK);
}

io::outcome wait_for_signal(const own_descriptor& signals, const io::manner& how) {
    if (!signals.is_open()) return wait_a_little(how);
    pollfd fd{signals.number(), POLLIN, 0};
    const io::poll_result end = io::wait_any(&fd, 1, look_with_poll, how);
    if (end.count < 0) return wait_a_little(how);
    return end.count > 0 ? io::outcome::ready : end.how;
}

int core::sigtimedwait(const sigset_t* set, siginfo_t* info, const timespec* timeout) {
    if (timeout && (!valid(*timeout) || (timeout->tv_sec == 0 && timeout->tv_nsec == 0)))
        return original().sigtimedwait(set, info, timeout);
    const deadline by = timeout ? after(*timeout) : deadline::never();
    return take_signal(*this, set, info, manner_of("sigtimedwait", by, io::signal_rule::ends));
}

int core::sigwaitinfo(const sigset_t* set, siginfo_t* info) {
    return take_signal(*this, set, info, manner_of("sigwaitinfo", deadline::never(), io::signal_rule::ends));
}

int core::sigwait(const sigset_t* set, int* number) {
    const errno_kept kept;
    int got;
    do got = take_signal(*this, set, nullptr, manner_of("sigwait", deadline::never(), io::signal_rule::ignores));
    while (got < 0 && errno == EINTR);
    const int error = got < 0 ? errno : 0;
    if (got >= 0) *number = got;
    kept.restore();
    return error;
}

}  // namespace weft::shim
