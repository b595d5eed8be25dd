// recv and its kin.
#include <algorithm>
#include <cerrno>
#include <chrono>

#include <netinet/in.h>

#include "parts.hpp"
#include "transfer.hpp"

namespace weft::shim {
namespace {

// These never wait, and so need nothing from us.
bool passes(int flags) noexcept { return (flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE)) != 0; }

int option_of(int fd, int name) noexcept {
    const errno_kept kept;
    int value = -1;
    socklen_t size = sizeof value;
    ::getsockopt(fd, SOL_SOCKET, name, &value, &size);
    kept.restore();
    return value;
}

// MSG_WAITALL means something on streams; with MSG_PEEK not on AF_UNIX.
bool waits_for_all(int fd, int flags, size_t size) noexcept {
    if ((flags & MSG_WAITALL) == 0 || size == 0 || option_of(fd, SO_TYPE) != SOCK_STREAM) return false;
    return (flags & MSG_PEEK) == 0 || option_of(fd, SO_DOMAIN) != AF_UNIX;
}

bool has_ended(int fd) noexcept { return ready_now(fd, POLLRDHUP); }

}  // namespace

// MSG_WAITALL on a stream: until `size`, the end, an error or the time-out; what has come is then the result.
// `once` is told how much has come, and asked for `more` whether to go on after a part.
template <class Try, class More>
ssize_t core::receive_whole(int fd, const char* call, size_t size, bool peek, Try once, More more) const {
    const errno_kept kept;
    deadline by;
    bool timed = false;
    size_t got = 0;
    const io::attempt first{fd};
    for (io::attempt seen = first;; seen = io::attempt{fd}) {
        if (!seen.entry) return once(0);
        if (io::replaced(first, seen)) {
            if (got == 0) return failed(io::outcome::closed, call, 0);
            break;
        }
        const ssize_t part = once(peek ? 0 : got);
        if (part > 0) {
            got = peek ? static_cast<size_t>(part) : got + static_cast<size_t>(part);
            io::took(fd, seen, io::direction::read, !peek && got < size);
            if (got >= size || !more() || !blocks(fd, seen) || (peek && has_ended(fd))) break;
            if (!peek) continue;
        }
        if (part == 0) break;
        const bool empty = part < 0 && would_block() && blocks(fd, seen);
        if ((part < 0 && !empty) || !wait_for(fd, seen, io::direction::read, call, by, timed, got > 0)) {
            if (got == 0) return -1;
            break;
        }
    }
    kept.restore();
    return static_cast<ssize_t>(got);
}

ssize_t core::recvfrom(int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* from_size) {
    const originals& libc = original();
    if (passes(flags)) return libc.recvfrom(fd, data, size, flags, from, from_size);
    const bool peek = (flags & MSG_PEEK) != 0;
    if (waits_for_all(fd, flags, size)) {
        auto* const bytes = static_cast<char*>(data);
        const int now = (flags & ~MSG_WAITALL) | MSG_DONTWAIT;
        return receive_whole(fd, "recv", size, peek, [&](size_t got) {
            return libc.recvfrom(fd, bytes + got, size - got, now, from, from_size);
        }, [] { return true; });
    }
    return receive(fd, "recv", peek ? 0 : static_cast<ssize_t>(size), [&](const io::attempt&) {
        return libc.recvfrom(fd, data, size, flags | MSG_DONTWAIT, from, from_size);
    });
}

ssize_t core::recv(int fd, void* data, size_t size, int flags) {
    return recvfrom(fd, data, size, flags, nullptr, nullptr);
}

ssize_t core::__recv_chk(int fd, void* data, size_t size, size_t room, int flags) {
    if (size > room) return original().__recv_chk(fd, data, size, room, flags);  // aborts
    return recv(fd, data, size, flags);
}

ssize_t core::__recvfrom_chk(int fd, void* data, size_t size, size_t room, int flags, sockaddr* from,
                             socklen_t* from_size) {
    if (size > room) return original().__recvfrom_chk(fd, data, size, room, flags, from, from_size);  // aborts
    return recvfrom(fd, data, size, flags, from, from_size);
}

ssize_t core::recvmsg(int fd, msghdr* message, int flags) {
    const originals& libc = original();
    // The kernel writes into the header; a try that found nothing must not be seen in it.
    if (passes(flags) || !message) return libc.recvmsg(fd, message, flags);
    const msghdr asked = *message;
    remaining_parts left{asked.msg_iov, asked.msg_iovlen};
    if (!left.possible()) return libc.recvmsg(fd, message, flags | MSG_DONTWAIT);
    if (waits_for_all(fd, flags, left.total())) {
        const int now = (flags & ~MSG_WAITALL) | MSG_DONTWAIT;
        return receive_whole(fd, "recvmsg", left.total(), (flags & MSG_PEEK) != 0, [&](size_t got) {
            msghdr rest = asked;
            left.skip_to(got);
            rest.msg_iov = left.first();
            rest.msg_iovlen = left.count();
            const ssize_t part = libc.recvmsg(fd, &rest, now);
            if (part < 0) return part;
            message->msg_namelen = rest.msg_namelen;
            message->msg_controllen = rest.msg_controllen;
            message->msg_flags = rest.msg_flags;
            return part;
        }, [&] { return message->msg_controllen == 0 && (message->msg_flags & MSG_CTRUNC) == 0; });
    }
    // Control data ends a read early: its size says nothing about what is left.
    return receive(fd, "recvmsg", 0, [&](const io::attempt&) {
        *message = asked;
        const ssize_t got = libc.recvmsg(fd, message, flags | MSG_DONTWAIT);
        if (got < 0) *message = asked;
        return got;
    });
}

int core::recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* limit) {
    const originals& libc = original();
    if (passes(flags) || count == 0 || (limit && !valid(*limit)))
        return libc.recvmmsg(fd, messages, count, flags, limit);
    const deadline by = limit ? after(*limit) : deadline::never();
    // recvmmsg(2): the limit is looked at only after a message has come.
    const errno_kept kept;
    unsigned got = 0;
    while (got < count) {
        const ssize_t size = got > 0 && (flags & MSG_WAITFORONE) != 0
                                 ? libc.recvmsg(fd, &messages[got].msg_hdr, (flags & ~MSG_WAITFORONE) | MSG_DONTWAIT)
                                 : recvmsg(fd, &messages[got].msg_hdr, flags & ~MSG_WAITFORONE);
        if (size < 0) {
            if (got == 0) return -1;
            break;
        }
        messages[got++].msg_len = static_cast<unsigned>(size);
        if (limit && by.is_past()) break;
    }
    if (limit) {
        const auto left = by.is_never() ? clock::duration::zero() : by.when() - now();
        const auto ns = std::max<std::int64_t>(0, std::chrono::nanoseconds{left}.count());
        *limit = {ns / 1'000'000'000, ns % 1'000'000'000};
    }
    kept.restore();
    return static_cast<int>(got);
}

}  // namespace weft::shim
