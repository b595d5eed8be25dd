// splice, tee, vmsplice. Pipes have a try that does not wait; a socket has none here, and is looked at first.
#include <algorithm>
#include <cerrno>
#include <chrono>

#include <fcntl.h>
#include <linux/sock_diag.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "../transfer.hpp"
#include "base/sys.hpp"
#include "ends.hpp"
#include "long_call.hpp"

namespace weft::shim {
namespace {

namespace sys = weft::detail::sys;

int option_of(int fd, int name) noexcept {
    int value = 0;
    socklen_t size = sizeof value;
    sys::call(SYS_getsockopt, fd, SOL_SOCKET, name, sys::word(&value), sys::word(&size));
    return value;
}

bool is_ready(int fd, short event) noexcept {
    pollfd look{fd, event, 0};
    return original().poll(&look, 1, 0) != 0;
}

// What a socket takes now without waiting; 0 if it might wait. poll() calls it writable only while a third of its buffer
// or more is free, and the kernel takes what there is room for.
size_t sure_room(int fd) noexcept {
    std::uint32_t memory[SK_MEMINFO_VARS] = {};
    socklen_t size = sizeof memory;
    const bool known = sys::call(SYS_getsockopt, fd, SOL_SOCKET, SO_MEMINFO, sys::word(memory), sys::word(&size)) == 0;
    const std::uint32_t used = std::max(memory[SK_MEMINFO_WMEM_ALLOC], memory[SK_MEMINFO_WMEM_QUEUED]);
    const std::uint32_t all = known ? memory[SK_MEMINFO_SNDBUF] : 0;
    if (is_ready(fd, POLLOUT)) return std::max(all / 4, 1024U);
    return used > 0 && used < all ? std::max((all - used) / 2, 1024U) : 0;  // unused: not connected yet
}

bool refused_to_wait() noexcept {
    errno = EAGAIN;
    return false;
}

/// Both ends, as a step from one to the other finds them.
struct two_ends {
    two_ends(int in_fd, int out_fd) noexcept : in{in_fd}, out{out_fd} {}
    io::attempt in, out;
};

}  // namespace

end_kind kind_of(int fd) noexcept {
    constexpr unsigned memory = 1;
    struct stat file;
    if (sys::call(SYS_fstat, fd, sys::word(&file)) < 0) return end_kind::none;
    switch (file.st_mode & S_IFMT) {
        case S_IFIFO: return end_kind::pipe;
        case S_IFREG:
        case S_IFBLK: return end_kind::file;
        case S_IFCHR: return major(file.st_rdev) == memory ? end_kind::file : end_kind::other;
        case S_IFSOCK: return option_of(fd, SO_TYPE) == SOCK_STREAM ? end_kind::stream : end_kind::other;
        default: return end_kind::other;
    }
}

// Until `once` has moved something, which is what these calls then return; with `whole`, until `size` have gone or the
// source has nothing more just now. `once` never waits.
template <class Once>
ssize_t core::move_between(int in, int out, size_t size, bool whole, const char* call, Once once) const {
    const errno_kept kept;
    deadline by[2];
    bool timed[2] = {false, false};
    size_t gone = 0;
    const two_ends first{in, out};
    for (two_ends seen = first;; seen = two_ends{in, out}) {
        if (!seen.in.entry || !seen.out.entry) return once(gone, seen.in, seen.out);
        if (io::replaced(first.in, seen.in) || io::replaced(first.out, seen.out)) {
            if (gone == 0) return failed(io::outcome::closed, call, 0);
            break;
        }
        const ssize_t moved = once(gone, seen.in, seen.out);
        if (moved >= 0) {
            gone += static_cast<size_t>(moved);
            io::took(out, seen.out, io::direction::write, false);
            io::took(in, seen.in, io::direction::read, false);
            if (moved == 0 || !whole || gone >= size) break;
            continue;
        }
        const bool would_wait = would_block();
        const bool empty = would_wait && !is_ready(in, POLLIN);
        if (would_wait && !empty && is_ready(out, POLLOUT)) {
            // Between the step and the look somebody else has been there.
            const deadline soon = deadline::after(std::chrono::milliseconds{1});
            const io::outcome how = io::pause(manner_of(call, soon, io::signal_rule::restarts));
            if (how == io::outcome::timed_out) continue;
            if (gone == 0) return failed(how, call, EAGAIN);
            break;
        }
        const int fd = empty ? in : out;
        const io::attempt& end = empty ? seen.in : seen.out;
        const auto way = empty ? io::direction::read : io::direction::write;
        const bool stops = !would_wait || (empty && gone > 0) || (!blocks(fd, end) && !refused_to_wait());
        if (stops || !wait_for(fd, end, way, call, by[!empty], timed[!empty], gone > 0)) {
            if (stops) {
                io::passed(seen.in, io::direction::read);
                io::passed(seen.out, io::direction::write);
            }
            if (gone == 0) return -1;
            break;
        }
    }
    kept.restore();
    return static_cast<ssize_t>(gone);
}

ssize_t core::splice_waiting(int in, off64_t* in_at, int out, off64_t* out_at, size_t size, unsigned flags,
                             const char* call) const {
    const auto native = [=](size_t most, unsigned how) {
        return original().splice(in, in_at, out, out_at, most, how);
    };
    const end_kind from = kind_of(in), to = kind_of(out);
    const bool possible = from == end_kind::pipe || to == end_kind::pipe;
    if (!possible || from == end_kind::none || to == end_kind::none) return native(size, flags);  // EINVAL, EBADF
    if (from == end_kind::other || to == end_kind::other)
        return call_long(*this, call, io::signal_rule::restarts, true, [=] { return native(size, flags); });
    const unsigned now = flags | SPLICE_F_NONBLOCK;
    const bool to_stream = to == end_kind::stream;
    return move_between(in, out, size, to_stream, call,
                        [=](size_t gone, const io::attempt& seen_in, const io::attempt& seen_out) -> ssize_t {
        const size_t left = size - gone;
        if (from == end_kind::file || to == end_kind::file)
            return in_pool(call, seen_in, seen_out, [=] { return native(left, now); });
        const size_t room = to_stream ? sure_room(out) : left;
        const bool waits = room == 0 || (from == end_kind::stream && !is_ready(in, POLLIN));
        if (waits && !refused_to_wait()) return -1;
        return native(std::min(left, room), now);
    });
}

ssize_t core::splice(int in, off64_t* in_at, int out, off64_t* out_at, size_t size, unsigned flags) {
    if (size == 0 || (flags & SPLICE_F_NONBLOCK) != 0)
        return original().splice(in, in_at, out, out_at, size, flags);
    return splice_waiting(in, in_at, out, out_at, size, flags, "splice");
}

ssize_t core::tee(int in, int out, size_t size, unsigned flags) {
    const auto native = [=](unsigned how) { return original().tee(in, out, size, how); };
    const bool pipes = kind_of(in) == end_kind::pipe && kind_of(out) == end_kind::pipe;
    if (!pipes || size == 0 || (flags & SPLICE_F_NONBLOCK) != 0) return native(flags);
    return move_between(in, out, size, false, "tee", [=](size_t, const io::attempt&, const io::attempt&) {
        return native(flags | SPLICE_F_NONBLOCK);
    });
}

ssize_t core::vmsplice(int fd, const iovec* parts, size_t count, unsigned flags) {
    const auto once = [=](const auto&...) {
        return original().vmsplice(fd, parts, count, flags | SPLICE_F_NONBLOCK);
    };
    if (kind_of(fd) != end_kind::pipe || (flags & SPLICE_F_NONBLOCK) != 0)
        return original().vmsplice(fd, parts, count, flags);
    const long how = sys::call(SYS_fcntl, fd, F_GETFL);
    if (how >= 0 && (how & O_ACCMODE) == O_RDONLY) return receive(fd, "vmsplice", 0, once);
    return send_all(fd, "vmsplice", [] { return size_t{1}; }, once);  // what there was room for is the result
}

}  // namespace weft::shim
