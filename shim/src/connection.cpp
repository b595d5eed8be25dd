// socket, accept, connect.
#include <cerrno>
#include <mutex>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "fresh.hpp"
#include "gate.hpp"
#include "hub/offload.hpp"
#include "transfer.hpp"

namespace weft::shim {
namespace {

// A listener that only weft's tasks of this process can accept on: what poll() sees stays until one takes it.
bool ours_alone(const io::fd_entry& entry) noexcept {
    return entry.made_here.load(std::memory_order_relaxed) == forks() + 1 &&
           !entry.shared.load(std::memory_order_relaxed);
}

// On anything else accept fails at once, while poll() might say nothing for ever.
bool is_listening(int fd) noexcept {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value != 0;
}

// From now on what poll() sees may be gone when a task calls accept.
void share(int fd) noexcept {
    io::fd_entry* entry = io::entry_if_any(fd);
    if (!entry || entry->shared.load(std::memory_order_relaxed)) return;
    // Under the lock: no task is between its look and its call then.
    const std::lock_guard guard{entry->lock};
    entry->shared.store(true, std::memory_order_relaxed);
}

}  // namespace

int fresh(int fd) noexcept {
    if (fd >= 0) io::closing(fd);  // what is known of this number is of an earlier file, closed behind our back
    return fd;
}

int duplicated(int fd, int made) noexcept {
    if (made < 0) return made;
    io::entry_of(made);
    share(fd);
    share(made);
    return made;
}

int core::socket(int domain, int type, int protocol) {
    const int fd = original().socket(domain, type, protocol);
    fresh(fd);
    if (fd < 0) return fd;
    const io::attempt made{fd};
    if (!made.entry) return fd;
    made.entry->made_here.store(forks() + 1, std::memory_order_relaxed);
    if ((type & SOCK_NONBLOCK) != 0) return fd;
    // What blocks() would ask for.
    made.entry->patient.store(true, std::memory_order_relaxed);
    io::saw_blocking(made, io::flag_changes());
    return fd;
}

template <class Native>
int core::accept_one(int fd, const char* call, Native native) const {
    if (who == caller::foreign && !parks(monkey::area::socket)) {
        share(fd);
        const int got = native();
        fresh(got);
        return got;
    }
    const errno_kept kept;
    deadline by;
    bool timed = false;
    const io::attempt first{fd};
    for (io::attempt seen = first;; seen = io::attempt{fd}) {
        if (!seen.entry) return native();
        if (io::replaced(first, seen)) return failed(io::outcome::closed, call, 0);
        if (!blocks(fd, seen)) return native();
        int got = -1;
        errno = EAGAIN;
        // Between the look and the call no other hub of ours may take what was seen.
        seen.entry->lock.lock();
        const bool alone = ours_alone(*seen.entry);
        if (alone && ready_now(fd, POLLIN)) got = native();
        seen.entry->lock.unlock();
        if (!alone && ready_now(fd, POLLIN)) {
            struct job {
                Native& native;
                int got;
                int error;
            } work{native, -1, 0};
            const auto run = [](void* p) {
                auto& j = *static_cast<job*>(p);
                j.got = j.native();
                j.error = errno;
            };
            if (!detail::offload(detail::offload_kind::unbounded, run, &work, "accept")) run(&work);
            got = work.got;
            errno = work.error;
        }
        if (got >= 0) {
            fresh(got);
            io::took(fd, seen, io::direction::read, false);
            kept.restore();
            return got;
        }
        if (!would_block()) {
            io::passed(seen, io::direction::read);
            return -1;
        }
        if (!is_listening(fd)) return native();
        if (!wait_for(fd, seen, io::direction::read, call, by, timed, false)) return -1;
    }
}

int core::accept(int fd, sockaddr* address, socklen_t* size) {
    return accept_one(fd, "accept", [=] { return original().accept(fd, address, size); });
}

int core::accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
    if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0) return original().accept4(fd, address, size, flags);
    return accept_one(fd, "accept4", [=] { return original().accept4(fd, address, size, flags); });
}

// connect has no non-blocking form: the flag is set for the length of one call, under the entry's lock, and is back
// before anybody else runs.
int core::try_connect(int fd, io::fd_entry& entry, const sockaddr* address, socklen_t size) {
    const originals& libc = original();
    int on = 1, off = 0;
    entry.lock.lock();
    libc.ioctl(fd, FIONBIO, &on);
    int result = libc.connect(fd, address, size);
    // Within one machine it is often done by then, which a second question tells.
    if (result < 0 && errno == EINPROGRESS) {
        result = libc.connect(fd, address, size);
        if (result < 0 && errno == EALREADY) errno = EINPROGRESS;
    }
    const int error = errno;
    libc.ioctl(fd, FIONBIO, &off);
    entry.lock.unlock();
    errno = error;
    return result;
}

int core::connect(int fd, const sockaddr* address, socklen_t size) {
    const errno_kept kept;
    std::chrono::milliseconds pause{1};
    deadline by;
    bool timed = false, last = false;
    int under_way = 0;
    const io::attempt first{fd};
    for (io::attempt seen = first;; seen = io::attempt{fd}) {
        if (seen.entry && io::replaced(first, seen)) return failed(io::outcome::closed, "connect", 0);
        if (!seen.entry || !blocks(fd, seen)) return original().connect(fd, address, size);
        // Asked again when it is done, connect tells how it ended, and only then is the socket connected or free
        // for another try.
        const int result = try_connect(fd, *seen.entry, address, size);
        if (under_way != 0) io::passed(seen, io::direction::write);  // the event is for a waiting send, too
        if (result == 0 || (under_way != 0 && errno == EISCONN)) {
            kept.restore();
            return 0;
        }
        // EALREADY: one that was given up before is still under way, and a blocking call waits for it.
        if (errno == EINPROGRESS || errno == EALREADY) {
            if (under_way == 0) under_way = errno;
            if (wait_for_connect(fd, by, timed)) continue;
            if (errno == EAGAIN) errno = under_way;  // connect(2) under SO_SNDTIMEO
            return -1;
        }
        if (errno != EAGAIN || address->sa_family != AF_UNIX || last) return -1;
        // unix(7): the listener's backlog is full, and no event tells when it is not.
        if (!timed) by = patience_of(seen, io::direction::write);
        timed = true;
        const deadline step = deadline::after(pause);
        last = by.when() <= step.when();
        const io::outcome how = io::pause(manner_of("connect", last ? by : step, io::signal_rule::restarts));
        if (how != io::outcome::timed_out) return failed(how, "connect", EAGAIN);
        pause = std::min(pause * 2, std::chrono::milliseconds{16});
    }
}

bool core::wait_for_connect(int fd, deadline& by, bool& timed) const {
    for (;;) {
        const io::attempt seen{fd};
        if (!seen.entry || ready_now(fd, POLLOUT)) return true;
        if (!wait_for(fd, seen, io::direction::write, "connect", by, timed, false)) return false;
    }
}

// Of the own end that writes no event tells: a write that waits for room would wait on.
int core::shutdown(int fd, int how) {
    const int result = original().shutdown(fd, how);
    if (result == 0) io::changed(fd);
    return result;
}

int core::setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
    const int result = original().setsockopt(fd, level, name, value, size);
    if (result == 0 && level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO)) io::flags_changed();
    if (result == 0 && level == SOL_SOCKET && name == SO_RCVLOWAT) marks_are_used_now();
    // Kernel TLS hands out records: a short read no longer says that nothing is left.
    if (result == 0 && level == IPPROTO_TCP && name == TCP_ULP) io::never_drains(fd);
    return result;
}

}  // namespace weft::shim
