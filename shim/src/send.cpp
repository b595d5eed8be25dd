// send and its kin.
#include <cerrno>

#include "parts.hpp"
#include "transfer.hpp"

namespace weft::shim {

ssize_t core::sendto(int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t to_size) {
    const originals& libc = original();
    if ((flags & MSG_DONTWAIT) != 0) return libc.sendto(fd, data, size, flags, to, to_size);
    const auto* bytes = static_cast<const char*>(data);
    return send_all(fd, "send", [=] { return size; }, [&](const io::attempt&, size_t gone) {
        const ssize_t took = libc.sendto(fd, bytes + gone, size - gone, flags | MSG_DONTWAIT, to, to_size);
        if (took < 0 && errno == EINPROGRESS && (flags & MSG_FASTOPEN) != 0) {
            flags &= ~MSG_FASTOPEN;  // the connection is under way; what is left goes as on any other
            to = nullptr;
            to_size = 0;
            errno = EAGAIN;
        }
        return took;
    });
}

ssize_t core::send(int fd, const void* data, size_t size, int flags) {
    return sendto(fd, data, size, flags, nullptr, 0);
}

ssize_t core::send_message(int fd, const msghdr* message, int flags, const char* call) const {
    const originals& libc = original();
    if (!message || (flags & MSG_DONTWAIT) != 0) return libc.sendmsg(fd, message, flags);
    remaining_parts left{nullptr, 0};
    return send_all(fd, call, [&] { return left.total(); }, [&](const io::attempt&, size_t gone) {
        if (gone == 0) {
            const ssize_t took = libc.sendmsg(fd, message, flags | MSG_DONTWAIT);
            if (took > 0) left = {message->msg_iov, message->msg_iovlen};
            return took;
        }
        msghdr rest = *message;
        left.skip_to(gone);
        rest.msg_iov = left.first();
        rest.msg_iovlen = left.count();
        rest.msg_control = nullptr;  // went with the first part
        rest.msg_controllen = 0;
        return libc.sendmsg(fd, &rest, flags | MSG_DONTWAIT);
    });
}

ssize_t core::sendmsg(int fd, const msghdr* message, int flags) { return send_message(fd, message, flags, "sendmsg"); }

int core::sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
    if ((flags & MSG_DONTWAIT) != 0 || count == 0) return original().sendmmsg(fd, messages, count, flags);
    const errno_kept kept;
    unsigned sent = 0;
    for (; sent < count; ++sent) {
        const ssize_t size = send_message(fd, &messages[sent].msg_hdr, flags, "sendmmsg");
        if (size < 0) {
            if (sent == 0) return -1;
            break;
        }
        messages[sent].msg_len = static_cast<unsigned>(size);
    }
    kept.restore();
    return static_cast<int>(sent);
}

}  // namespace weft::shim
