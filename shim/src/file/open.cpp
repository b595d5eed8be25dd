// open and its kin. A FIFO's open waits for the other end, a terminal line's perhaps for the other side.
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "../fresh.hpp"
#include "../gate.hpp"
#include "base/sys.hpp"
#include "long_call.hpp"

namespace weft::shim {
namespace {

namespace sys = weft::detail::sys;

// Devices in memory (/dev/null and the like) are open at once, and a FIFO that is its own other end.
bool may_wait(const struct stat& file, int flags) noexcept {
    constexpr unsigned memory = 1;
    if (S_ISFIFO(file.st_mode)) return (flags & O_ACCMODE) != O_RDWR;
    return S_ISCHR(file.st_mode) && major(file.st_rdev) != memory;
}

bool named_may_wait(int folder, const char* path, int flags) noexcept {
    struct stat file;
    const long how = (flags & O_NOFOLLOW) != 0 ? AT_SYMLINK_NOFOLLOW : 0;
    return sys::call(SYS_newfstatat, folder, sys::word(path), sys::word(&file), how) == 0 && may_wait(file, flags);
}

// Our own as yet: nobody else has this descriptor.
void clear_nonblock(int fd) noexcept {
    sys::call(SYS_fcntl, fd, F_SETFL, sys::call(SYS_fcntl, fd, F_GETFL) & ~O_NONBLOCK);
}

bool needs_mode(int flags) noexcept { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

}  // namespace

// The name may come to mean a FIFO between the look and the open: with O_NONBLOCK, which says nothing to files, the
// open does not wait even then, and tells.
template <class Native>
int core::open_any(int folder, const char* path, int flags, const char* call, Native native) const {
    const bool parked = who == caller::ours || parks(monkey::area::fd);
    if (!parked || (flags & (O_NONBLOCK | O_PATH)) != 0) return fresh(native(flags));
    const auto waiting = [&] {
        return call_long(*this, call, io::signal_rule::restarts, true, [&] { return native(flags); });
    };
    const errno_kept kept;
    if (named_may_wait(folder, path, flags)) return fresh(waiting());
    const int fd = native(flags | O_NONBLOCK);
    // ENXIO: a FIFO by now, without a reader; EWOULDBLOCK: somebody has a lease on the file.
    if (fd < 0 && errno != ENXIO && errno != EWOULDBLOCK) return -1;
    struct stat file;
    if (fd >= 0 && sys::call(SYS_fstat, fd, sys::word(&file)) == 0 && !may_wait(file, flags)) {
        clear_nonblock(fd);
        io::spent_turn();
        kept.restore();
        return fresh(fd);
    }
    kept.restore();
    // What is open already stays so meanwhile: a FIFO's other end would see it come and go.
    struct closer {
        int fd;
        ~closer() {
            if (fd >= 0) sys::close(fd);
        }
    } at_end{fresh(fd)};
    return fresh(waiting());
}

int core::open(const char* path, int flags, mode_t mode) {
    return open_any(AT_FDCWD, path, flags, "open", [=](int f) { return original().open(path, f, mode); });
}

int core::open64(const char* path, int flags, mode_t mode) {
    return open_any(AT_FDCWD, path, flags, "open", [=](int f) { return original().open64(path, f, mode); });
}

int core::openat(int folder, const char* path, int flags, mode_t mode) {
    return open_any(folder, path, flags, "openat", [=](int f) { return original().openat(folder, path, f, mode); });
}

int core::openat64(int folder, const char* path, int flags, mode_t mode) {
    return open_any(folder, path, flags, "openat", [=](int f) { return original().openat64(folder, path, f, mode); });
}

int core::__open_2(const char* path, int flags) {
    return needs_mode(flags) ? original().__open_2(path, flags) /* aborts */ : open(path, flags, 0);
}

int core::__open64_2(const char* path, int flags) {
    return needs_mode(flags) ? original().__open64_2(path, flags) /* aborts */ : open64(path, flags, 0);
}

int core::__openat_2(int folder, const char* path, int flags) {
    return needs_mode(flags) ? original().__openat_2(folder, path, flags) /* aborts */ : openat(folder, path, flags, 0);
}

int core::__openat64_2(int folder, const char* path, int flags) {
    return needs_mode(flags) ? original().__openat64_2(folder, path, flags) /* aborts */
                             : openat64(folder, path, flags, 0);
}

int core::creat(const char* path, mode_t mode) {
    return open_any(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, "creat",
                    [=](int f) { return original().open(path, f, mode); });
}

int core::creat64(const char* path, mode_t mode) {
    return open_any(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, "creat",
                    [=](int f) { return original().open64(path, f, mode); });
}

}  // namespace weft::shim
