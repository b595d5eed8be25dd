// socket, accept, connect.
#include <cerrno>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

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

bool readable_now(int fd) noexcept {
    pollfd look{fd, POLLIN, 0};
    return original().poll(&look, 1, 0) != 0;
}

}  // namespace

void fresh(int fd) noexcept {
    if (fd >= 0) io::closing(fd);  // what is known of this number is of an earlier file, closed behind our back
}

int core::socket(int domain, int type, int protocol) {
    const int fd = original().socket(domain, type, protocol);
    fresh(fd);
    if (io::fd_entry* entry = fd >= 0 ? io::entry_of(fd) : nullptr)
        entry->made_here.store(forks() + 1, std::memory_order_relaxed);
    return fd;
}

template <class Native>
int core::accept_one(int fd, const char* call, Native native) const {
    if (who == caller::foreign && !parks(monkey::area::socket)) {
        // A plain thread is about to wait here: from now on poll() promises a task nothing.
        if (io::fd_entry* entry = io::entry_if_any(fd)) entry->shared.store(true, std::memory_order_relaxed);
        const int got = native();
        fresh(got);
        return got;
    }
    const errno_kept kept;
    deadline by;
    bool timed = false;
    for (;;) {
        const io::attempt seen{fd};
        if (!seen.entry || !blocks(fd, seen)) return native();
        int got = -1;
        errno = EAGAIN;
        if (ours_alone(*seen.entry)) {
            // Between the look and the call no other hub of ours may take what was seen.
            seen.entry->lock.lock();
            if (readable_now(fd)) got = native();
            seen.entry->lock.unlock();
        } else if (readable_now(fd)) {
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
            if (!detail::offload(detail::offload_kind::accept, run, &work, "accept")) run(&work);
            got = work.got;
            errno = work.error;
        }
        if (got >= 0) {
            fresh(got);
            io::took(fd, seen, io::direction::read, false);
            kept.restore();
            return got;
        }
        if (!would_block()) return -1;
        if (!wait_for(fd, seen, io::direction::read, call, by, timed, false)) return -1;
    }
}

int core::accept(int fd, sockaddr* address, socklen_t* size) {
    return accept_one(fd, "accept", [=] { return original().accept(fd, address, size); });
}

int core::accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
    return accept_one(fd, "accept4", [=] { return original().accept4(fd, address, size, flags); });
}

int core::connect(int fd, const sockaddr* address, socklen_t size) {
    const originals& libc = original();
    const errno_kept kept;
    std::chrono::milliseconds pause{1};
    deadline by;
    for (bool timed = false;;) {
        const io::attempt seen{fd};
        if (!seen.entry || !blocks(fd, seen)) return libc.connect(fd, address, size);
        // connect has no non-blocking form: the flag is set for the length of one call, under the entry's lock,
        // and is back before anybody else runs.
        seen.entry->lock.lock();
        const int flags = libc.fcntl(fd, F_GETFL, nullptr);
        libc.fcntl(fd, F_SETFL, reinterpret_cast<void*>(static_cast<long>(flags | O_NONBLOCK)));
        const int result = libc.connect(fd, address, size);
        const int error = errno;
        libc.fcntl(fd, F_SETFL, reinterpret_cast<void*>(static_cast<long>(flags)));
        seen.entry->lock.unlock();
        errno = error;
        if (result == 0) {
            kept.restore();
            return 0;
        }
        if (!timed) {
            const auto patience = seen.entry->patience[1].load(std::memory_order_relaxed);
            if (patience > 0) by = deadline::after(std::chrono::nanoseconds{patience});
            timed = true;
        }
        if (error == EINPROGRESS) {
            if (!connect_finished(fd, seen)) return -1;
            kept.restore();
            return 0;
        }
        if (error != EAGAIN || address->sa_family != AF_UNIX) return -1;
        // unix(7): the listener's backlog is full, and no event tells when it is not.
        const deadline step = deadline::after(pause);
        const bool last = by.when() <= step.when();
        const io::outcome how = io::pause(manner_of("connect", last ? by : step, io::signal_rule::restarts));
        if (how != io::outcome::timed_out) return failed(how, "connect", EAGAIN);
        if (last) {
            errno = EAGAIN;
            return -1;
        }
        pause = std::min(pause * 2, std::chrono::milliseconds{50});
    }
}

bool core::connect_finished(int fd, const io::attempt& first) const {
    deadline by;
    bool timed = false;
    for (io::attempt seen = first;; seen = io::attempt{fd}) {
        pollfd look{fd, POLLOUT, 0};
        if (original().poll(&look, 1, 0) > 0) break;
        if (!wait_for(fd, seen, io::direction::write, "connect", by, timed, false)) {
            if (errno == EAGAIN) errno = EINPROGRESS;  // connect(2) under SO_SNDTIMEO
            return false;
        }
    }
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0) return true;
    if (error != 0) errno = error;
    return false;
}

int core::setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
    const int result = original().setsockopt(fd, level, name, value, size);
    if (result == 0 && level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO)) io::flags_changed();
    // Kernel TLS hands out records: a short read no longer says that nothing is left.
    if (result == 0 && level == IPPROTO_TCP && name == TCP_ULP) io::never_drains(fd);
    return result;
}

}  // namespace weft::shim
