#include <cerrno>
#include <chrono>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.hpp"
#include "core.hpp"

namespace weft::shim {

namespace sys = weft::detail::sys;

int core::failed(io::outcome how, const char* call, int late) const {
    switch (how) {
        case io::outcome::timed_out: errno = late; break;
        case io::outcome::closed: errno = EBADF; break;
        case io::outcome::interrupted: errno = EINTR; break;
        case io::outcome::killed:
            if (who == caller::foreign) io::refuse(call);
            else detail::exit_fiber();
            errno = ECANCELED;
            break;
        case io::outcome::failed:
        case io::outcome::ready: break;
    }
    return -1;
}

bool core::wait_for(int fd, const io::attempt& seen, io::direction way, const char* call, deadline& by,
                    bool& timed, bool progress) const {
    if (!timed) {
        by = patience_of(seen, way);
        timed = true;
    }
    // signal(7): with a time-out set on the socket, a handler interrupts even with SA_RESTART.
    const auto rule = by.is_never() ? io::signal_rule::restarts : io::signal_rule::ends;
    const io::outcome how = io::wait(fd, seen, way, manner_of(call, by, rule));
    if (how == io::outcome::ready) return true;
    if (how != io::outcome::killed || !progress) failed(how, call, EAGAIN);
    return false;
}

deadline patience_of(const io::attempt& seen, io::direction way) {
    const auto patience = seen.entry->patience[way == io::direction::write].load(std::memory_order_relaxed);
    return patience > 0 ? deadline::after(std::chrono::nanoseconds{patience}) : deadline::never();
}

void relearn(const io::attempt& seen, way_to_try way) noexcept {
    seen.entry->way_to_try.store(static_cast<std::uint8_t>(way), std::memory_order_relaxed);
}

way_to_try way_of(int fd, const io::attempt& seen) noexcept {
    auto way = static_cast<way_to_try>(seen.entry->way_to_try.load(std::memory_order_relaxed));
    if (way != way_to_try::unknown) return way;
    struct stat file;
    if (sys::call(SYS_fstat, fd, sys::word(&file)) < 0) return way_to_try::never_waits;  // the call itself says why
    switch (file.st_mode & S_IFMT) {
        case S_IFSOCK: way = way_to_try::socket; break;
        case S_IFREG:
        case S_IFDIR:
        case S_IFBLK: way = way_to_try::never_waits; break;
        case S_IFCHR: way = way_to_try::look_first; break;
        default: way = way_to_try::nowait; break;  // pipes, and eventfd and its kin, which have no type
    }
    relearn(seen, way);
    return way;
}

bool blocks(int fd, const io::attempt& seen) noexcept {
    const std::uint32_t changes = io::flag_changes();
    if (seen.entry->blocking_seen.load(std::memory_order_relaxed) == changes + 1) return true;
    const long flags = sys::call(SYS_fcntl, fd, F_GETFL);
    if (flags < 0 || (flags & O_NONBLOCK) != 0) return false;
    const int names[2] = {SO_RCVTIMEO, SO_SNDTIMEO};
    for (int i = 0; i < 2; ++i) {
        timeval limit{};
        socklen_t size = sizeof limit;
        std::int64_t ns = 0;
        if (sys::call(SYS_getsockopt, fd, SOL_SOCKET, names[i], sys::word(&limit), sys::word(&size)) == 0)
            ns = std::int64_t{limit.tv_sec} * 1'000'000'000 + std::int64_t{limit.tv_usec} * 1'000;
        seen.entry->patience[i].store(ns, std::memory_order_relaxed);
    }
    io::saw_blocking(seen, changes);
    return true;
}

bool valid(const timespec& span) noexcept {
    return span.tv_sec >= 0 && span.tv_nsec >= 0 && span.tv_nsec < 1'000'000'000;
}

deadline after(const timespec& span) {
    constexpr std::int64_t sane = std::int64_t{1} << 32;  // seconds: 136 years, no overflow in nanoseconds
    if (span.tv_sec >= sane) return deadline::never();
    return deadline::after(std::chrono::seconds{span.tv_sec} + std::chrono::nanoseconds{span.tv_nsec});
}

bool signal_is_due(const sigset_t* mask) noexcept {
    sigset_t due;
    if (!mask || ::sigpending(&due) != 0 || ::sigisemptyset(&due)) return false;
    for (int signal = 1; signal < NSIG; ++signal) {
        struct sigaction action;
        if (::sigismember(&due, signal) != 1 || ::sigismember(mask, signal) != 0) continue;
        if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
            return true;
    }
    return false;
}

signal_mask::signal_mask(const sigset_t* mask) noexcept {
    if (!mask) return;
    changed_ = sys::call(SYS_rt_sigprocmask, SIG_SETMASK, sys::word(mask), sys::word(&before_), 8) == 0;
}

signal_mask::~signal_mask() {
    if (changed_) sys::call(SYS_rt_sigprocmask, SIG_SETMASK, sys::word(&before_), 0, 8);
}

}  // namespace weft::shim
