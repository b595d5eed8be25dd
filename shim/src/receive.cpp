// recv and its kin.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>

#include <netinet/in.h>
#include <sys/ioctl.h>

#include "fresh.hpp"
#include "parts.hpp"
#include "sched/onlooker.hpp"
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

constinit std::atomic<bool> marks_used{false};

/// How much a call waits for on a stream; 0: whatever comes. MSG_PEEK changes nothing of it, but on AF_UNIX there is no
/// such waiting with it.
size_t least_of(int fd, int flags, size_t size) noexcept {
    const bool all = (flags & MSG_WAITALL) != 0;
    if (size == 0 || (!all && !marks_are_used()) || option_of(fd, SO_TYPE) != SOCK_STREAM) return 0;
    if ((flags & MSG_PEEK) != 0 && option_of(fd, SO_DOMAIN) == AF_UNIX) return 0;
    if (all) return size;
    const int mark = option_of(fd, SO_RCVLOWAT);
    return mark > 1 ? std::min(size, static_cast<size_t>(mark)) : 0;
}

// TCP tells of data below the mark by no event: none is taken before there is enough, or no more to come.
bool below_mark(int fd, size_t least) noexcept {
    pollfd look{fd, POLLIN | POLLRDHUP, 0};
    int there = 0;
    return original().poll(&look, 1, 0) == 0 && original().ioctl(fd, FIONREAD, &there) == 0 &&
           static_cast<size_t>(there) < least;
}

bool has_ended(int fd) noexcept { return ready_now(fd, POLLRDHUP); }

// What a message has brought with it is new here.
void welcome(msghdr& message) noexcept {
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
            int came;
            std::memcpy(&came, CMSG_DATA(c) + at, sizeof came);
            fresh(came);
        }
    }
}

bool parts_are_there(const msghdr& message) noexcept {
    iovec part;
    return message.msg_iovlen == 0 || (detail::peek_at(message.msg_iov, part) &&
                                       detail::peek_at(message.msg_iov + message.msg_iovlen - 1, part));
}

ssize_t welcomed(ssize_t got, msghdr* message) noexcept {
    if (got >= 0 && message->msg_controllen > 0) welcome(*message);
    return got;
}

}  // namespace

bool marks_are_used() noexcept { return marks_used.load(std::memory_order_relaxed); }
void marks_are_used_now() noexcept { marks_used.store(true, std::memory_order_relaxed); }

// On a stream: until `least` of `size` has come, the end, an error or the time-out; what has come is then the result.
// `once` is told how much has come, and asked for `more` whether to go on after a part.
template <class Try, class More>
ssize_t core::receive_whole(int fd, const char* call, size_t size, size_t least, bool peek, Try once, More more) const {
    const errno_kept kept;
    deadline by;
    bool timed = false;
    size_t got = 0;
    const bool by_mark = least < size && option_of(fd, SO_DOMAIN) != AF_UNIX;
    const io::attempt first{fd};
    for (io::attempt seen = first;; seen = io::attempt{fd}) {
        if (!seen.entry) return once(0);
        if (io::replaced(first, seen)) {
            if (got == 0) return failed(io::outcome::closed, call, 0);
            break;
        }
        ssize_t part = -1;
        errno = EAGAIN;
        if (!by_mark || !below_mark(fd, least) || !blocks(fd, seen)) part = once(peek ? 0 : got);
        if (part > 0) {
            got = peek ? static_cast<size_t>(part) : got + static_cast<size_t>(part);
            io::took(fd, seen, io::direction::read, !peek && got < size);
            if (got >= least || !more() || !blocks(fd, seen) || (peek && has_ended(fd))) break;
            if (!peek) continue;
        }
        if (part == 0) break;
        const bool empty = part < 0 && would_block() && blocks(fd, seen);
        if ((part < 0 && !empty) || !wait_for(fd, seen, io::direction::read, call, by, timed, got > 0)) {
            // The time is up, or a signal came: what lies below the mark is the result.
            if (got == 0 && by_mark && empty && (would_block() || errno == EINTR)) {
                const int why = errno;
                part = once(0);
                if (part > 0) got = static_cast<size_t>(part);
                else errno = why;
            }
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
    if (const size_t least = least_of(fd, flags, size)) {
        auto* const bytes = static_cast<char*>(data);
        const int now = (flags & ~MSG_WAITALL) | MSG_DONTWAIT;
        return receive_whole(fd, "recv", size, least, peek, [&](size_t got) {
            return libc.recvfrom(fd, bytes + got, size - got, now, from, from_size);
        }, [] { return true; });
    }
    return receive(fd, "recv", peek ? 0 : static_cast<ssize_t>(size), [&](const io::attempt&, int how) {
        return libc.recvfrom(fd, data, size, flags | how, from, from_size);
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

// The kernel is the first to look at the header, and leaves it alone where it finds nothing.
ssize_t core::receive_message(int fd, msghdr* message, int flags, const char* call) const {
    const originals& libc = original();
    msghdr asked;
    if (((flags & MSG_WAITALL) != 0 || marks_are_used()) && detail::peek_at(message, asked) &&
        asked.msg_iovlen <= IOV_MAX && parts_are_there(asked)) {
        remaining_parts left{asked.msg_iov, asked.msg_iovlen};
        if (const size_t least = least_of(fd, flags, left.total())) {
            const int now = (flags & ~MSG_WAITALL) | MSG_DONTWAIT;
            return receive_whole(fd, call, left.total(), least, (flags & MSG_PEEK) != 0, [&](size_t got) {
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
    }
    // Control data ends a read early: its size says nothing about what is left.
    return receive(fd, call, 0, [&](const io::attempt&, int how) { return libc.recvmsg(fd, message, flags | how); });
}

ssize_t core::recvmsg(int fd, msghdr* message, int flags) {
    return welcomed(passes(flags) ? original().recvmsg(fd, message, flags) : receive_message(fd, message, flags, "recvmsg"),
                    message);
}

int core::recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* limit) {
    timespec span{};
    if (passes(flags) || count == 0 || (limit && (!detail::peek_at(limit, span) || !valid(span)))) {
        const int came = original().recvmmsg(fd, messages, count, flags, limit);
        for (int i = 0; i < came; ++i) welcomed(0, &messages[i].msg_hdr);
        return came;
    }
    const deadline by = limit ? after(span) : deadline::never();
    // recvmmsg(2): the limit is looked at only after a message has come.
    const errno_kept kept;
    unsigned got = 0;
    while (got < count) {
        const int now = got > 0 && (flags & MSG_WAITFORONE) != 0 ? MSG_DONTWAIT : 0;
        const ssize_t size = recvmsg(fd, &messages[got].msg_hdr, (flags & ~MSG_WAITFORONE) | now);
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
