// pread, pwrite and their kin.
#include <algorithm>
#include <cerrno>
#include <climits>

#include "base/sys.hpp"
#include "file_io.hpp"
#include "../look.hpp"
#include "../parts.hpp"
#include "../transfer.hpp"

namespace weft::shim {
namespace {

// What preadv2 and pwritev2 may be told that is about files alone.
constexpr int of_files = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_APPEND;

// A pipe or a socket: the call says so, whether it is ready or not.
bool has_no_positions(int fd) noexcept { return detail::sys::call(SYS_lseek, fd, 0, SEEK_CUR) == -ESPIPE; }

size_t counted(int count) noexcept { return count < 0 ? size_t{IOV_MAX} + 1 : static_cast<size_t>(count); }

}  // namespace

template <class Native>
ssize_t core::read_at(int fd, const iovec* parts, int count, off_t offset, int flags, const char* call,
                      Native native) const {
    const remaining_parts all{parts, counted(count)};
    const io::attempt first{fd};
    if (!first.entry || !all.possible() || all.total() == 0 || offset < 0) return native();
    if (const auto got = read_file(fd, first, {parts, count, offset, flags}, call)) return *got;
    const way_to_try way = way_of(fd, first);
    if (way == way_to_try::never_waits || has_no_positions(fd)) return native();
    return receive(fd, call, 0, [&](const io::attempt& seen, int) -> ssize_t {
        if (way_of(fd, seen) == way_to_try::nowait) {
            const ssize_t got = original().preadv2(fd, parts, count, offset, flags | RWF_NOWAIT);
            if (got >= 0 || !no_such_try()) return got;
        }
        return look_then(fd, seen, POLLIN, O_WRONLY, all.total(), native);
    });
}

template <class Native>
ssize_t core::write_at(int fd, const iovec* parts, int count, off_t offset, int flags, const char* call,
                       Native native) const {
    const remaining_parts all{parts, counted(count)};
    const io::attempt first{fd};
    if (!first.entry || !all.possible() || all.total() == 0 || offset < 0) return native();
    if (const auto took = write_file(fd, first, {parts, count, offset, flags}, call)) return *took;
    const way_to_try way = way_of(fd, first);
    if (way == way_to_try::never_waits || has_no_positions(fd)) return native();
    // Whatever else has positions takes a write whole, or what it likes of it: once only.
    return send_all(fd, call, [] { return size_t{1}; }, [&](const io::attempt& seen, size_t) -> ssize_t {
        if (way_of(fd, seen) == way_to_try::nowait) {
            const ssize_t took = original().pwritev2(fd, parts, count, offset, flags | RWF_NOWAIT);
            if (took >= 0 || !no_such_try()) return took;
        }
        return look_then(fd, seen, POLLOUT, O_RDONLY, all.total(), native);
    });
}

ssize_t core::pread(int fd, void* data, size_t size, off_t offset) {
    const iovec whole{data, size};
    return read_at(fd, &whole, 1, offset, 0, "pread", [=] { return original().pread(fd, data, size, offset); });
}

ssize_t core::pread64(int fd, void* data, size_t size, off64_t offset) { return pread(fd, data, size, offset); }

ssize_t core::__pread_chk(int fd, void* data, size_t size, off_t offset, size_t room) {
    if (size > room) return original().__pread_chk(fd, data, size, offset, room);  // aborts
    return pread(fd, data, size, offset);
}

ssize_t core::__pread64_chk(int fd, void* data, size_t size, off64_t offset, size_t room) {
    if (size > room) return original().__pread64_chk(fd, data, size, offset, room);  // aborts
    return pread(fd, data, size, offset);
}

ssize_t core::preadv(int fd, const iovec* parts, int count, off_t offset) {
    return read_at(fd, parts, count, offset, 0, "preadv",
                   [=] { return original().preadv(fd, parts, count, offset); });
}

ssize_t core::preadv64(int fd, const iovec* parts, int count, off64_t offset) {
    return preadv(fd, parts, count, offset);
}

ssize_t core::preadv2(int fd, const iovec* parts, int count, off_t offset, int flags) {
    const auto native = [=] { return original().preadv2(fd, parts, count, offset, flags); };
    if ((flags & ~of_files) != 0) return native();  // RWF_NOWAIT among them: it says not to wait
    if (offset == at_position && flags == 0) return read_parts(fd, parts, count, "preadv2");
    if (offset != at_position) return read_at(fd, parts, count, offset, flags, "preadv2", native);
    const io::attempt seen{fd};
    if (seen.entry && is_file(way_of(fd, seen))) return read_parts(fd, parts, count, "preadv2", flags);
    // On what has no position these flags change nothing, if they are known at all.
    const iovec nothing{nullptr, 0};
    if (original().preadv2(fd, &nothing, 1, offset, flags) < 0) return native();
    return read_parts(fd, parts, count, "preadv2");
}

ssize_t core::preadv64v2(int fd, const iovec* parts, int count, off64_t offset, int flags) {
    return preadv2(fd, parts, count, offset, flags);
}

ssize_t core::pwrite(int fd, const void* data, size_t size, off_t offset) {
    const iovec whole{const_cast<void*>(data), size};
    return write_at(fd, &whole, 1, offset, 0, "pwrite", [=] { return original().pwrite(fd, data, size, offset); });
}

ssize_t core::pwrite64(int fd, const void* data, size_t size, off64_t offset) {
    return pwrite(fd, data, size, offset);
}

ssize_t core::pwritev(int fd, const iovec* parts, int count, off_t offset) {
    return write_at(fd, parts, count, offset, 0, "pwritev",
                    [=] { return original().pwritev(fd, parts, count, offset); });
}

ssize_t core::pwritev64(int fd, const iovec* parts, int count, off64_t offset) {
    return pwritev(fd, parts, count, offset);
}

ssize_t core::pwritev2(int fd, const iovec* parts, int count, off_t offset, int flags) {
    const auto native = [=] { return original().pwritev2(fd, parts, count, offset, flags); };
    if ((flags & ~of_files) != 0) return native();
    if (offset == at_position && flags == 0) return write_parts(fd, parts, count, "pwritev2");
    if (offset != at_position) return write_at(fd, parts, count, offset, flags, "pwritev2", native);
    const io::attempt seen{fd};
    if (seen.entry && is_file(way_of(fd, seen))) return write_parts(fd, parts, count, "pwritev2", flags);
    const iovec nothing{nullptr, 0};
    if (original().pwritev2(fd, &nothing, 1, offset, flags) < 0) return native();
    return write_parts(fd, parts, count, "pwritev2");
}

ssize_t core::pwritev64v2(int fd, const iovec* parts, int count, off64_t offset, int flags) {
    return pwritev2(fd, parts, count, offset, flags);
}

}  // namespace weft::shim
