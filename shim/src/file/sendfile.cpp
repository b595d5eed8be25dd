// sendfile. To a socket the kernel's own cannot be told not to wait, so what it would do is done with send().
#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>

#include <unistd.h>

#include "../transfer.hpp"
#include "ends.hpp"
#include "file_io.hpp"
#include "long_call.hpp"

namespace weft::shim {
namespace {

constexpr size_t chunk = size_t{128} << 10;
constexpr size_t at_once = 8 * chunk;  // before others are let run; what O_NONBLOCK may cut a transfer to
constexpr size_t most_at_once = 0x7ffff000;  // sendfile(2)

/// The part of a file that is on its way.
class window {
public:
    window(int fd, off_t start, size_t size)
        : fd_{fd}, start_{start}, size_{size}, room_{new (std::nothrow) char[std::min(size, chunk)]} {}

    bool possible() const noexcept { return room_ != nullptr; }
    bool closed() const noexcept { return closed_since(seen_); }

    /// Makes data() what stands at `gone`, of which there are available() bytes. May park.
    /// @returns available(), 0 at the end of the file, or -1
    ssize_t move_to(size_t gone) {
        if (gone >= at_ && gone < at_ + filled_) return available(gone);
        const iovec part{room_.get(), std::min(size_ - gone, chunk)};
        const off_t from = start_ + static_cast<off_t>(gone);
        const auto cached = read_file(fd_, seen_, {&part, 1, from, 0}, "sendfile");
        const ssize_t got = cached ? *cached : original().pread(fd_, part.iov_base, part.iov_len, from);
        if (got >= 0 && closed()) {
            errno = EBADF;
            return -1;
        }
        at_ = gone;
        filled_ = static_cast<size_t>(std::max<ssize_t>(got, 0));
        return got;
    }
    const char* data(size_t gone) const noexcept { return room_.get() + (gone - at_); }
    ssize_t available(size_t gone) const noexcept { return static_cast<ssize_t>(at_ + filled_ - gone); }

private:
    int fd_;
    io::attempt seen_{fd_};
    off_t start_;
    size_t size_;
    std::unique_ptr<char[]> room_;
    size_t at_ = 0;      // how far the transfer has gone where the room begins
    size_t filled_ = 0;
};

}  // namespace

ssize_t core::send_file(int out, int in, off_t* offset, size_t size) const {
    const originals& libc = original();
    const off_t start = offset ? *offset : ::lseek(in, 0, SEEK_CUR);
    window part{in, start, size};
    if (!part.possible()) {
        errno = ENOMEM;
        return -1;
    }
    const errno_kept kept;
    const auto all = [=] { return size; };
    const ssize_t sent = send_all(out, "sendfile", all, [&](const io::attempt& seen, size_t gone) -> ssize_t {
        size_t more = 0;
        while (more < at_once && gone + more < size) {
            const ssize_t available = part.move_to(gone + more);
            ssize_t took = available;
            if (available > 0 && closed_since(seen)) {  // while we were at the disk
                errno = EBADF;
                took = -1;
            } else if (available > 0) {
                took = libc.send(out, part.data(gone + more), static_cast<size_t>(available), MSG_DONTWAIT);
            }
            if (took < 0 && more == 0) return -1;
            if (took > 0) more += static_cast<size_t>(took);
            if (took <= 0 || took < available) break;
        }
        return static_cast<ssize_t>(more);
    });
    if (sent < 0) return -1;
    if (offset) *offset = start + sent;
    else if (sent > 0 && !part.closed()) ::lseek(in, start + sent, SEEK_SET);
    kept.restore();
    return sent;
}

ssize_t core::sendfile(int out, int in, off_t* offset, size_t size) {
    const auto native = [=] { return original().sendfile(out, in, offset, size); };
    const size_t most = std::min(size, most_at_once);
    const end_kind from = kind_of(in), to = kind_of(out);
    if (size > 0 && from == end_kind::file && to == end_kind::pipe)
        return splice_waiting(in, offset, out, nullptr, most, 0, "sendfile");
    // What libc refuses it refuses of nothing at all, too.
    if (to != end_kind::pipe && (size == 0 || original().sendfile(out, in, offset, 0) < 0)) return native();
    if (to == end_kind::file) return in_pool("sendfile", io::attempt{in}, io::attempt{out}, native);
    if (from == end_kind::file && to == end_kind::stream) return send_file(out, in, offset, most);
    return call_long(*this, "sendfile", io::signal_rule::restarts, true, native);
}

ssize_t core::sendfile64(int out, int in, off64_t* offset, size_t size) { return sendfile(out, in, offset, size); }

}  // namespace weft::shim
