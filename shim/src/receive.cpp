// recv and its kin.
#include <algorithm>
#include <cerrno>
#include <chrono>

#include <netinet/in.h>

#include "transfer.hpp"

namespace weft::shim {
namespace {

// These never wait, and so need nothing from us.
bool passes(int flags) noexcept { return (flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE)) != 0; }

bool is_stream(int fd) noexcept {
    int type = 0;
    socklen_t size = sizeof type;
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

}  // namespace

ssize_t core::recvfrom(int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* from_size) {
    const originals& libc = original();
    if (passes(flags)) return libc.recvfrom(fd, data, size, flags, from, from_size);
    const bool whole = (flags & MSG_WAITALL) != 0 && (flags & MSG_PEEK) == 0 && size > 0 && is_stream(fd);
    if (!whole) {
        const ssize_t wanted = (flags & MSG_PEEK) != 0 ? 0 : static_cast<ssize_t>(size);
        return receive(fd, "recv", wanted, [&](const io::attempt&) {
            return libc.recvfrom(fd, data, size, flags | MSG_DONTWAIT, from, from_size);
        });
    }
    // MSG_WAITALL on a stream: until full, the end, an error or the time-out; what has come is then the result.
    const errno_kept kept;
    deadline by;
    bool timed = false;
    size_t got = 0;
    auto* const bytes = static_cast<char*>(data);
    for (;;) {
        const io::attempt seen{fd};
        if (!seen.entry) return libc.recvfrom(fd, data, size, flags, from, from_size);
        const ssize_t part = libc.recvfrom(fd, bytes + got, size - got, (flags & ~MSG_WAITALL) | MSG_DONTWAIT, from,
                                           from_size);
        if (part > 0) {
            got += static_cast<size_t>(part);
            io::took(fd, seen, io::direction::read, got < size);
            if (got == size || !blocks(fd, seen)) break;
            continue;
        }
        if (part == 0) break;
        if (!would_block() || !blocks(fd, seen) ||
            !wait_for(fd, seen, io::direction::read, "recv", by, timed, got > 0)) {
            if (got == 0) return -1;
            break;
        }
    }
    kept.restore();
    return static_cast<ssize_t>(got);
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
    const bool whole = (flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL && asked.msg_controllen == 0 && is_stream(fd);
    if (whole) {
        size_t total = 0;
        for (size_t i = 0; i < asked.msg_iovlen; ++i) total += asked.msg_iov[i].iov_len;
        size_t got = 0;
        for (size_t i = 0; i < asked.msg_iovlen; ++i) {
            const iovec& part = asked.msg_iov[i];
            if (part.iov_len == 0) continue;
            const ssize_t n = recvfrom(fd, part.iov_base, part.iov_len, flags, nullptr, nullptr);
            if (n < 0 && got == 0) return -1;
            if (n > 0) got += static_cast<size_t>(n);
            if (n < static_cast<ssize_t>(part.iov_len)) break;
        }
        message->msg_flags = 0;
        message->msg_namelen = 0;
        return static_cast<ssize_t>(got);
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
