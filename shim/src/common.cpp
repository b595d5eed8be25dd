#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.hpp"
#include "core.hpp"
#include "sched/cancel.hpp"

namespace weft::shim {

namespace sys = weft::detail::sys;

int core::failed(io::outcome how, const char* call, int late) const {
    switch (how) {
        case io::outcome::timed_out: errno = late; break;
        case io::outcome::closed: errno = EBADF; break;
        case io::outcome::interrupted: errno = EINTR; break;
        case io::outcome::killed:
            if (who == caller::foreign) {
                const bool late_by_scope = detail::answer_for_timeout();
                io::refuse(call);
                errno = late_by_scope ? ETIMEDOUT : ECANCELED;
            } else {
                detail::exit_fiber();
                errno = ECANCELED;
            }
            break;
        case io::outcome::failed:
        case io::outcome::ready: break;
    }
    return -1;
}

// One patience for all waits of a call, counted from the first. signal(7): with a time-out set on the socket, a handler
// interrupts even with SA_RESTART.
io::manner core::patient_manner(const io::attempt& seen, io::direction way, const char* call, deadline& by,
                                bool& timed) const {
    if (!timed) {
        by = patience_of(seen, way);
        timed = true;
    }
    return manner_of(call, by, by.is_never() ? io::signal_rule::restarts : io::signal_rule::ends);
}

bool core::wait_for(int fd, const io::attempt& seen, io::direction way, const char* call, deadline& by,
                    bool& timed, bool progress) const {
    const io::outcome how = io::wait(fd, seen, way, patient_manner(seen, way, call, by, timed));
    if (how == io::outcome::ready) return true;
    if (how != io::outcome::killed || !progress) failed(how, call, EAGAIN);
    return false;
}

bool core::wait_for_ticket(io::write_ticket& ticket, const io::attempt& seen, const char* call, deadline& by,
                           bool& timed) const {
    const io::outcome how = ticket.wait(seen, patient_manner(seen, io::direction::write, call, by, timed));
    if (how == io::outcome::ready) return true;
    failed(how, call, EAGAIN);
    return false;
}

deadline patience_of(const io::attempt& seen, io::direction way) {
    if (seen.entry->patient.load(std::memory_order_relaxed)) return deadline::never();
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
        case S_IFDIR: way = way_to_try::never_waits; break;
        case S_IFREG:
        case S_IFBLK: way = way_to_try::file; break;
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
    bool patient = true;
    for (int i = 0; i < 2; ++i) {
        timeval limit{};
        socklen_t size = sizeof limit;
        std::int64_t ns = 0;
        if (sys::call(SYS_getsockopt, fd, SOL_SOCKET, names[i], sys::word(&limit), sys::word(&size)) == 0)
            ns = std::int64_t{limit.tv_sec} * 1'000'000'000 + std::int64_t{limit.tv_usec} * 1'000;
        seen.entry->patience[i].store(ns, std::memory_order_relaxed);
        if (ns != 0) patient = false;
    }
    seen.entry->patient.store(patient, std::memory_order_relaxed);
    io::saw_blocking(seen, changes);
    return true;
}

bool ready_now(int fd, short events) noexcept {
    const errno_kept kept;
    pollfd look{fd, events, 0};
    int found;
    do {
        found = original().poll(&look, 1, 0);
    } while (found < 0 && errno == EINTR);
    kept.restore();
    return found > 0;
}

bool valid(const timespec& span) noexcept {
    return span.tv_sec >= 0 && span.tv_nsec >= 0 && span.tv_nsec < 1'000'000'000;
}

deadline after(const timespec& span) {
    constexpr std::int64_t sane = std::int64_t{1} << 32;  // seconds: 136 years, no overflow in nanoseconds
    if (span.tv_sec >= sane) return deadline::never();
    return deadline::after(std::chrono::seconds{span.tv_sec} + std::chrono::nanoseconds{span.tv_nsec});
}

bool interrupted_by(const sigset_t* mask) noexcept {
    const timespec no_time{0, 0};
    return mask && original().ppoll(nullptr, 0, &no_time, mask) < 0;
}

namespace {

// Of this thread: the masks in force, and what the mask is without them.
thread_local constinit signal_mask* newest_mask = nullptr;
thread_local constinit std::uint64_t own_mask = 0;
constexpr long kernel_mask_size = sizeof own_mask;

void set_mask(const void* mask, void* before) noexcept {
    sys::call(SYS_rt_sigprocmask, SIG_SETMASK, sys::word(mask), sys::word(before), kernel_mask_size);
}

}  // namespace

sigset_t own_signal_mask() noexcept {
    sigset_t mask;
    ::sigemptyset(&mask);
    if (newest_mask) std::memcpy(&mask, &own_mask, sizeof own_mask);
    else sys::call(SYS_rt_sigprocmask, SIG_SETMASK, 0, sys::word(&mask), kernel_mask_size);
    return mask;
}

void forget_signal_masks() noexcept {
    if (std::exchange(newest_mask, nullptr)) set_mask(&own_mask, nullptr);
}

signal_mask::signal_mask(const sigset_t* mask) noexcept : mask_{mask} {
    if (!mask_) return;
    std::uint64_t before = 0;
    set_mask(mask_, &before);
    older_ = newest_mask;
    if (older_) older_->newer_ = this;
    else own_mask = before;
    newest_mask = this;
}

signal_mask::~signal_mask() {
    if (!mask_) return;
    if (older_) older_->newer_ = newer_;
    if (newer_) {
        newer_->older_ = older_;
        return;
    }
    newest_mask = older_;
    set_mask(older_ ? static_cast<const void*>(older_->mask_) : &own_mask, nullptr);
}

}  // namespace weft::shim
