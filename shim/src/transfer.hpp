// The two loops of every transfer: try without blocking, park, try again.  Floor: shim.
#pragma once

#include <cerrno>

#include "core.hpp"

namespace weft::shim {

inline bool would_block() noexcept { return errno == EAGAIN || errno == EWOULDBLOCK; }

// Each write of such a socket is whole, and may have a receiver of its own.
inline bool sends_messages(int fd) noexcept {
    int type = SOCK_STREAM;
    socklen_t size = sizeof type;
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type != SOCK_STREAM;
}

// Its end that reads was shut down. A try says EAGAIN of that, as of nothing there, and a plain call the end, at once.
inline bool is_shut(int fd, const io::attempt& seen) noexcept {
    if (!seen.entry->odd_event.load(std::memory_order_relaxed)) return false;
    pollfd look{fd, POLLRDHUP, 0};
    return original().poll(&look, 1, 0) == 1 && (look.revents & POLLRDHUP) != 0 && sends_messages(fd);
}

template <class Try>
ssize_t core::receive(int fd, const char* call, ssize_t wanted, Try once) const {
    const errno_kept kept;
    deadline by;
    bool timed = false;
    const io::attempt first{fd};
    for (io::attempt seen = first;; seen = io::attempt{fd}) {
        if (!seen.entry) return once(seen, MSG_DONTWAIT);  // no such descriptor: the kernel says so
        if (io::replaced(first, seen)) return failed(io::outcome::closed, call, 0);
        if (io::worth_reading(seen)) {
            ssize_t got = once(seen, MSG_DONTWAIT);
            if (got < 0 && would_block() && is_shut(fd, seen)) got = once(seen, 0);
            if (got >= 0) {
                io::took(fd, seen, io::direction::read, got > 0 && got < wanted);
                kept.restore();
                return got;
            }
            if (!would_block()) {
                io::passed(seen, io::direction::read);
                return -1;
            }
            if (!blocks(fd, seen)) {
                errno = EAGAIN;
                return -1;
            }
        }
        if (!wait_for(fd, seen, io::direction::read, call, by, timed, false)) return -1;
    }
}

template <class Total, class Try>
ssize_t core::send_all(int fd, const char* call, Total total, Try once) const {
    const errno_kept kept;
    deadline by;
    bool timed = false;
    size_t gone = 0;
    io::write_ticket ticket;
    const io::attempt first{fd};
    for (io::attempt seen = first;; seen = io::attempt{fd}) {
        if (!seen.entry) return once(seen, gone);
        if (io::replaced(first, seen)) {
            if (gone == 0) return failed(io::outcome::closed, call, 0);
            break;
        }
        if (!ticket.had() && !ticket.take(seen) && blocks(fd, seen)) {
            io::passed(seen, io::direction::write);  // room is for whoever has the ticket
            if (!wait_for_ticket(ticket, seen, call, by, timed)) return -1;
            continue;
        }
        const ssize_t took = once(seen, gone);
        if (took >= 0) {
            gone += static_cast<size_t>(took);
            io::took(fd, seen, io::direction::write, false);
            // A transfer of nothing, or one that the user wants cut short by O_NONBLOCK, ends here, too.
            if (gone >= total() || took == 0 || !blocks(fd, seen)) break;
            continue;
        }
        // An error after some progress is for the next call to report.
        if (!would_block() || !blocks(fd, seen)) {
            io::passed(seen, io::direction::write);
            if (gone == 0) return -1;
            break;
        }
        if (gone == 0 && sends_messages(fd)) ticket.give();  // there may be room elsewhere for the next one's
        if (!wait_for(fd, seen, io::direction::write, call, by, timed, gone > 0)) {
            if (gone == 0) return -1;
            break;
        }
    }
    kept.restore();
    return static_cast<ssize_t>(gone);
}

}  // namespace weft::shim
