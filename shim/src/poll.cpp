// poll and epoll_wait.
#include <cerrno>
#include <chrono>

#include "core.hpp"

namespace weft::shim {
namespace {

int look_with_poll(pollfd* fds, nfds_t count, int timeout) { return original().poll(fds, count, timeout); }

deadline after_ms(int timeout) {
    return timeout < 0 ? deadline::never() : deadline::after(std::chrono::milliseconds{timeout});
}

}  // namespace

int core::wait_for_any(pollfd* fds, nfds_t count, deadline by, io::real_poll look, const char* call) const {
    const errno_kept kept;
    const io::poll_result end = io::wait_any(fds, count, look, manner_of(call, by, io::signal_rule::ends));
    if (end.count < 0) return -1;
    if (end.count == 0 && end.how != io::outcome::timed_out) return failed(end.how, call, 0);
    kept.restore();
    io::spent_turn();
    return end.count;
}

int core::poll(pollfd* fds, nfds_t count, int timeout) {
    if (timeout == 0) return original().poll(fds, count, timeout);
    return wait_for_any(fds, count, after_ms(timeout), look_with_poll, "poll");
}

int core::__poll_chk(pollfd* fds, nfds_t count, int timeout, size_t room) {
    if (room / sizeof *fds < count) return original().__poll_chk(fds, count, timeout, room);  // aborts
    return poll(fds, count, timeout);
}

int core::ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
    if (timeout && (!valid(*timeout) || (timeout->tv_sec == 0 && timeout->tv_nsec == 0)))
        return original().ppoll(fds, count, timeout, mask);
    if (mask) {
        // The kernel's own look: what is ready comes first, then a signal that only this mask lets in.
        const timespec no_time{0, 0};
        const int found = original().ppoll(fds, count, &no_time, mask);
        if (found != 0) return found;
    }
    const signal_mask during{mask};
    return wait_for_any(fds, count, timeout ? after(*timeout) : deadline::never(), look_with_poll, "ppoll");
}

int core::__ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask, size_t room) {
    if (room / sizeof *fds < count) return original().__ppoll_chk(fds, count, timeout, mask, room);  // aborts
    return ppoll(fds, count, timeout, mask);
}

// The user's set is itself a descriptor that becomes readable; another fiber may drain it first.
int core::epoll_until(int set, epoll_event* events, int room, deadline by, const char* call) const {
    const errno_kept kept;
    const io::attempt first{set};
    for (io::attempt seen = first;; seen = io::attempt{set}) {
        if (io::replaced(first, seen)) return failed(io::outcome::closed, call, 0);
        const int ready = original().epoll_wait(set, events, room, 0);
        if (ready < 0 || !seen.entry) return ready;
        if (ready > 0 || by.is_past()) {
            io::took(set, seen, io::direction::read, false);
            kept.restore();
            return ready;
        }
        const io::outcome how = io::wait(set, seen, io::direction::read, manner_of(call, by, io::signal_rule::ends));
        if (how == io::outcome::ready || how == io::outcome::timed_out) continue;
        return failed(how, call, 0);
    }
}

int core::epoll_wait(int set, epoll_event* events, int room, int timeout) {
    if (timeout == 0) return original().epoll_wait(set, events, room, timeout);
    return epoll_until(set, events, room, after_ms(timeout), "epoll_wait");
}

int core::epoll_pwait(int set, epoll_event* events, int room, int timeout, const sigset_t* mask) {
    if (timeout == 0) return original().epoll_pwait(set, events, room, timeout, mask);
    const int found = mask ? original().epoll_wait(set, events, room, 0) : 0;
    if (found != 0) return found;
    if (interrupted_by(mask)) return -1;
    const signal_mask during{mask};
    return epoll_until(set, events, room, after_ms(timeout), "epoll_pwait");
}

int core::epoll_pwait2(int set, epoll_event* events, int room, const timespec* timeout, const sigset_t* mask) {
    if (timeout && !valid(*timeout)) {
        errno = EINVAL;
        return -1;
    }
    // Not libc's, which a kernel may lack.
    if (timeout && timeout->tv_sec == 0 && timeout->tv_nsec == 0)
        return original().epoll_pwait(set, events, room, 0, mask);
    const int found = mask ? original().epoll_wait(set, events, room, 0) : 0;
    if (found != 0) return found;
    if (interrupted_by(mask)) return -1;
    const signal_mask during{mask};
    return epoll_until(set, events, room, timeout ? after(*timeout) : deadline::never(), "epoll_pwait2");
}

}  // namespace weft::shim
