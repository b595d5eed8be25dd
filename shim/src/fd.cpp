// read, write, and the life of a descriptor.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/ioctl.h>

#include "base/sys.hpp"
#include "file/file_io.hpp"
#include "fresh.hpp"
#include "gate.hpp"
#include "look.hpp"
#include "parts.hpp"
#include "transfer.hpp"

namespace weft::shim {
namespace {

namespace sys = weft::detail::sys;

constexpr short in = POLLIN, out = POLLOUT;

// eventfd(2): a write that the counter has no room for waits, and poll() says nothing of that. Only after a large number
// can it happen.
bool waits_for_room(int fd, const iovec& part) noexcept {
    constexpr std::uint64_t large = std::uint64_t{1} << 32, most = ~std::uint64_t{0} - 1;
    static std::atomic<bool> large_seen{false};
    std::uint64_t value;
    std::memcpy(&value, part.iov_base, sizeof value);
    if (value >= large) large_seen.store(true, std::memory_order_relaxed);
    if (value > most || !large_seen.load(std::memory_order_relaxed)) return false;
    char text[256];
    std::snprintf(text, sizeof text, "/proc/thread-self/fdinfo/%d", fd);
    const long file = sys::call(SYS_openat, AT_FDCWD, sys::word(text), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    const long size = sys::read(static_cast<int>(file), text, sizeof text - 1);
    sys::close(static_cast<int>(file));
    text[std::max(size, 0L)] = 0;
    constexpr char name[] = "\neventfd-count:";
    const char* const line = std::strstr(text, name);
    return line && value > most - std::strtoull(line + sizeof name - 1, nullptr, 16);
}

}  // namespace

ssize_t core::read_parts(int fd, const iovec* parts, int count, const char* call, int flags) const {
    const originals& libc = original();
    const remaining_parts all{parts, count < 0 ? size_t{IOV_MAX} + 1 : static_cast<size_t>(count)};
    const io::attempt first{fd};
    if (!first.entry || !all.possible() || all.total() == 0) return libc.readv(fd, parts, count);
    if (marks_are_used() && way_of(fd, first) == way_to_try::socket) {
        msghdr message{};
        message.msg_iov = const_cast<iovec*>(parts);
        message.msg_iovlen = static_cast<size_t>(count);
        return receive_message(fd, &message, 0, call);
    }
    if (const auto got = read_file(fd, first, {parts, count, at_position, flags}, call)) return *got;
    const auto wanted = static_cast<ssize_t>(std::min<size_t>(all.total(), SSIZE_MAX));
    const auto once = [&](const io::attempt& seen, int how) -> ssize_t {
        switch (way_of(fd, seen)) {
            case way_to_try::socket: {
                msghdr message{};
                message.msg_iov = const_cast<iovec*>(parts);
                message.msg_iovlen = static_cast<size_t>(count);
                const ssize_t got = count == 1 ? libc.recv(fd, parts->iov_base, parts->iov_len, how)
                                               : libc.recvmsg(fd, &message, how);
                if (got >= 0 || errno != ENOTSOCK) return got;
                relearn(seen, way_to_try::look_first);
                break;
            }
            case way_to_try::nowait: {
                const ssize_t got = libc.preadv2(fd, parts, count, -1, RWF_NOWAIT);
                if (got >= 0 || !no_such_try()) return got;
                relearn(seen, way_to_try::look_first);
                break;
            }
            case way_to_try::never_waits: return libc.readv(fd, parts, count);
            default: break;
        }
        return look_then(fd, seen, in, O_WRONLY, all.total(), [&] { return libc.readv(fd, parts, count); });
    };
    return receive(fd, call, wanted, once);
}

ssize_t core::read(int fd, void* data, size_t size) {
    if (size == 0) return original().read(fd, data, size);
    const iovec whole{data, size};
    return read_parts(fd, &whole, 1, "read");
}

ssize_t core::__read_chk(int fd, void* data, size_t size, size_t room) {
    if (size > room) return original().__read_chk(fd, data, size, room);  // aborts
    return read(fd, data, size);
}

ssize_t core::readv(int fd, const iovec* parts, int count) { return read_parts(fd, parts, count, "readv"); }

ssize_t core::write_parts(int fd, const iovec* parts, int count, const char* call, int flags) const {
    const originals& libc = original();
    remaining_parts left{parts, count < 0 ? size_t{IOV_MAX} + 1 : static_cast<size_t>(count)};
    const io::attempt first{fd};
    if (!first.entry || !left.possible() || left.total() == 0) return libc.writev(fd, parts, count);
    if (const auto took = write_file(fd, first, {parts, count, at_position, flags}, call)) return *took;
    if (way_of(fd, first) == way_to_try::never_waits) {
        // Once only: after a write that the file's size limit cut short, the next one raises SIGXFSZ.
        const ssize_t took = libc.writev(fd, parts, count);
        if (took >= 0) io::spent_turn();
        return took;
    }
    const auto once = [&](const io::attempt& seen, size_t gone) -> ssize_t {
        left.skip_to(gone);
        iovec* const rest = left.first();
        const int rest_count = static_cast<int>(left.count());
        switch (way_of(fd, seen)) {
            case way_to_try::socket: {
                msghdr message{};
                message.msg_iov = rest;
                message.msg_iovlen = static_cast<size_t>(rest_count);
                const ssize_t took = rest_count == 1 ? libc.send(fd, rest->iov_base, rest->iov_len, MSG_DONTWAIT)
                                                     : libc.sendmsg(fd, &message, MSG_DONTWAIT);
                if (took >= 0 || errno != ENOTSOCK) return took;
                relearn(seen, way_to_try::look_first);
                break;
            }
            case way_to_try::nowait: {
                const ssize_t took = libc.pwritev2(fd, rest, rest_count, -1, RWF_NOWAIT);
                if (took >= 0 || !no_such_try()) return took;
                relearn(seen, way_to_try::look_first);
                break;
            }
            default: break;
        }
        if (gone == 0 && count == 1 && parts->iov_len == sizeof(std::uint64_t) && waits_for_room(fd, *parts)) {
            errno = EAGAIN;
            return -1;
        }
        return look_then(fd, seen, out, O_RDONLY, left.total() - gone, [&]() -> ssize_t {
            if (left.total() - gone <= PIPE_BUF || !blocks(fd, seen)) return libc.writev(fd, rest, rest_count);
            // Ready means room for this much; more would wait in the kernel.
            return libc.write(fd, rest->iov_base, std::min<size_t>(rest->iov_len, PIPE_BUF));
        });
    };
    return send_all(fd, call, [&] { return left.total(); }, once);
}

ssize_t core::write(int fd, const void* data, size_t size) {
    if (size == 0) return original().write(fd, data, size);
    const iovec whole{const_cast<void*>(data), size};
    return write_parts(fd, &whole, 1, "write");
}

ssize_t core::writev(int fd, const iovec* parts, int count) { return write_parts(fd, parts, count, "writev"); }

int core::close(int fd) {
    if (io::is_own(fd)) {
        errno = EBADF;  // it is open only as far as weft is concerned
        return -1;
    }
    io::closing(fd);
    return original().close(fd);
}

// Around weft's own descriptors, which such a sweep does not mean.
int core::close_range(unsigned first, unsigned last, int flags) {
    // Nobody is told of closes that a kernel without this call does not make.
    if (original().close_range(1, 0, 0) < 0 && errno != EINVAL) return -1;
    const auto end = std::min<unsigned>(last, static_cast<unsigned>(std::max(io::known_limit() - 1, 0)));
    unsigned from = first;
    for (unsigned fd = first; fd <= end && first <= last; ++fd) {
        if (io::is_own(static_cast<int>(fd))) {
            if (from < fd && original().close_range(from, fd - 1, flags) < 0) return -1;
            from = fd + 1;
        } else if ((flags & CLOSE_RANGE_CLOEXEC) == 0) {
            io::closing(static_cast<int>(fd));
        }
    }
    return from <= last || from == first ? original().close_range(from, last, flags) : 0;
}

// As libc does on a kernel without close_range, but past weft's own. Only what /proc lists is open.
void core::close_each_from(int first) {
    namespace sys = detail::sys;
    const long folder = sys::call(SYS_openat, AT_FDCWD, sys::word("/proc/self/fd"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return original().closefrom(first);
    alignas(8) char entries[1024];
    for (bool closed = true; closed;) {
        closed = false;
        sys::call(SYS_lseek, folder, 0, SEEK_SET);
        for (long size; (size = sys::call(SYS_getdents64, folder, sys::word(entries), sizeof entries)) > 0;) {
            for (long at = 0; at < size;) {
                constexpr int length_at = 16, name_at = 19;  // getdents(2)
                std::uint16_t length;
                std::memcpy(&length, entries + at + length_at, sizeof length);
                const char* const name = entries + at + name_at;
                at += length;
                const int fd = std::isdigit(static_cast<unsigned char>(*name)) ? std::atoi(name) : -1;
                if (fd < first || fd == folder || io::is_own(fd)) continue;
                closed = close(fd) == 0 || closed;
            }
        }
    }
    sys::close(static_cast<int>(folder));
}

void core::closefrom(int first) {
    const errno_kept kept;
    if (close_range(static_cast<unsigned>(std::max(first, 0)), ~0u, 0) < 0) close_each_from(std::max(first, 0));
    kept.restore();
}

int core::dup(int fd) { return duplicated(fd, fresh(original().dup(fd))); }

// `onto` is closed by this. @returns whether it may be: weft's own descriptors are not the program's to replace
bool core::clear_for(int fd, int onto) const {
    if (io::is_own(onto)) {
        errno = EBUSY;
        return false;
    }
    const errno_kept kept;
    if (fd != onto && original().fcntl(fd, F_GETFD, nullptr) >= 0) io::closing(onto);
    kept.restore();
    return true;
}

int core::dup2(int fd, int onto) {
    if (!clear_for(fd, onto)) return -1;
    const int made = original().dup2(fd, onto);
    return fd == onto ? made : duplicated(fd, made);
}

int core::dup3(int fd, int onto, int flags) {
    if ((flags & ~O_CLOEXEC) != 0 || fd == onto) return original().dup3(fd, onto, flags);  // EINVAL
    return clear_for(fd, onto) ? duplicated(fd, original().dup3(fd, onto, flags)) : -1;
}

int core::fcntl_any(int fd, int command, void* argument, bool wide) const {
    const originals& libc = original();
    const bool may_wait = command == F_SETLKW || command == F_OFD_SETLKW;
    if (may_wait && (who == caller::ours || parks(monkey::area::fd))) return lock_region(fd, command, argument, wide);
    const int result = wide ? libc.fcntl64(fd, command, argument) : libc.fcntl(fd, command, argument);
    if (command == F_SETFL) io::flags_changed();
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) duplicated(fd, fresh(result));
    return result;
}

int core::fcntl(int fd, int command, void* argument) { return fcntl_any(fd, command, argument, false); }
int core::fcntl64(int fd, int command, void* argument) { return fcntl_any(fd, command, argument, true); }

int core::ioctl(int fd, unsigned long request, void* argument) {
    const int result = original().ioctl(fd, request, argument);
    if (request == FIONBIO) io::flags_changed();
    return result;
}

}  // namespace weft::shim
