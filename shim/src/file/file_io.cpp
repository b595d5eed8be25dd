#include "file_io.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/sys.hpp"
#include "pooled.hpp"
#include "../look.hpp"
#include "../parts.hpp"

namespace weft::shim {

namespace sys = weft::detail::sys;

int take_signal_of(int error) noexcept {
    const int signal = error == EFBIG ? SIGXFSZ : error == EPIPE ? SIGPIPE : 0;
    if (signal == 0) return 0;
    const std::uint64_t set = std::uint64_t{1} << (signal - 1);
    const timespec no_time{0, 0};
    return sys::call(SYS_rt_sigtimedwait, sys::word(&set), 0, sys::word(&no_time), sizeof set) > 0 ? signal : 0;
}

void raise_here(int signal) noexcept {
    if (signal != 0) sys::call(SYS_tgkill, sys::call(SYS_getpid), sys::call(SYS_gettid), signal);
}

namespace {

// A copy of this much takes 0.1 to 0.3 ms. With more the thread would be away for too long, cached or not.
constexpr size_t copied_at_once = size_t{1} << 20;

/// What lies behind a file that has no RWF_NOWAIT.
enum class storage { memory, made_up, disk, elsewhere };

storage storage_of(int fd) noexcept {
    struct stat file;
    if (sys::call(SYS_fstat, fd, sys::word(&file)) == 0 && S_ISBLK(file.st_mode)) return storage::disk;
    struct statfs system;
    if (sys::call(SYS_fstatfs, fd, sys::word(&system)) < 0) return storage::elsewhere;
    switch (static_cast<unsigned long>(system.f_type)) {
        case TMPFS_MAGIC:
        case RAMFS_MAGIC:
        case HUGETLBFS_MAGIC: return storage::memory;
        case PROC_SUPER_MAGIC:
        case SYSFS_MAGIC:
        case CGROUP_SUPER_MAGIC:
        case CGROUP2_SUPER_MAGIC:
        case DEBUGFS_MAGIC:
        case TRACEFS_MAGIC:
        case SECURITYFS_MAGIC: return storage::made_up;
        case EXT4_SUPER_MAGIC:
        case XFS_SUPER_MAGIC:
        case BTRFS_SUPER_MAGIC:
        case F2FS_SUPER_MAGIC:
        case OVERLAYFS_SUPER_MAGIC:
        case MSDOS_SUPER_MAGIC: return storage::disk;
        default: return storage::elsewhere;
    }
}

// The try was refused as such. The kernel makes up the files of procfs and its kin as they are read, and some (kmsg,
// trace_pipe) wait for something to tell: poll() knows of which.
void learn(int fd, const io::attempt& seen, io::direction way) noexcept {
    switch (storage_of(fd)) {
        case storage::memory: return relearn(seen, way_to_try::never_waits);
        case storage::made_up: return relearn(seen, way_to_try::look_first);
        case storage::disk:
            return relearn(seen, way == io::direction::write ? way_to_try::file_copies : way_to_try::file_pooled);
        case storage::elsewhere: return relearn(seen, way_to_try::file_pooled);
    }
}

// O_DIRECT and O_DSYNC (O_SYNC has that bit) wait for the disk, also with RWF_NOWAIT.
bool uses_cache(int fd, const io::attempt& seen) noexcept {
    const std::uint32_t changes = io::flag_changes();
    if (seen.entry->blocking_seen.load(std::memory_order_relaxed) == changes + 1) return true;
    const long flags = sys::call(SYS_fcntl, fd, F_GETFL);
    if (flags < 0 || (flags & (O_DIRECT | O_DSYNC)) != 0) return false;
    if ((flags & O_NONBLOCK) == 0) io::saw_blocking(seen, changes);
    return true;
}

// Meanwhile, or behind our back, the number has come to mean something else: a pool thread might never get away from that.
bool still_file(int fd, const io::attempt& seen) noexcept {
    struct stat file;
    if (sys::call(SYS_fstat, fd, sys::word(&file)) < 0 || S_ISREG(file.st_mode) || S_ISBLK(file.st_mode)) return true;
    relearn(seen, way_to_try::unknown);
    return false;
}

off_t position_of(int fd, off_t offset) noexcept {
    return offset == at_position ? sys::call(SYS_lseek, fd, 0, SEEK_CUR) : offset;
}

// Linux 5.9 and 5.10 answer some tries with 0 before the end.
bool at_end(int fd, off_t offset) noexcept {
    struct stat file;
    if (sys::call(SYS_fstat, fd, sys::word(&file)) < 0 || !S_ISREG(file.st_mode)) return true;
    return position_of(fd, offset) >= file.st_size;
}

// What was written ends there because RLIMIT_FSIZE does: one more write would raise SIGXFSZ.
bool at_size_limit(int fd, off_t offset) noexcept {
    rlimit limit;
    if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
    return static_cast<rlim_t>(position_of(fd, offset)) >= limit.rlim_cur;
}

off_t advanced(off_t offset, size_t by) noexcept {
    return offset == at_position ? at_position : offset + static_cast<off_t>(by);
}

// The flagless calls go by those that every kernel has.
ssize_t native_read(int fd, const iovec* parts, int count, off_t offset, int flags) noexcept {
    const originals& libc = original();
    if (flags != 0) return libc.preadv2(fd, parts, count, offset, flags);
    return offset == at_position ? libc.readv(fd, parts, count) : libc.preadv(fd, parts, count, offset);
}
ssize_t native_write(int fd, const iovec* parts, int count, off_t offset, int flags) noexcept {
    const originals& libc = original();
    if (flags != 0) return libc.pwritev2(fd, parts, count, offset, flags);
    return offset == at_position ? libc.writev(fd, parts, count) : libc.pwritev(fd, parts, count, offset);
}

using transfer = ssize_t (*)(int fd, const iovec* parts, int count, off_t offset, int flags) noexcept;

// The rest of a call of which `done` bytes have gone. An error after that is for the next call to report.
ssize_t in_pool_from(size_t done, int fd, const io::attempt& seen, const file_range& range, transfer native,
                     const char* call) {
    remaining_parts left{range.parts, static_cast<size_t>(range.count)};
    const errno_kept kept;
    const ssize_t rest = in_pool(call, seen, seen, [&]() -> ssize_t {
        size_t more = 0;
        for (;;) {
            left.skip_to(done + more);
            const iovec* const parts = left.first();
            const auto count = static_cast<int>(left.count());
            size_t asked = 0;
            for (int i = 0; i < count; ++i) asked += parts[i].iov_len;
            const ssize_t part = native(fd, parts, count, advanced(range.offset, done + more), range.flags);
            if (part < 0 && more == 0) return -1;
            if (part <= 0) return static_cast<ssize_t>(more);
            more += static_cast<size_t>(part);
            if (static_cast<size_t>(part) < asked || done + more >= left.total()) return static_cast<ssize_t>(more);
        }
    });
    if (rest < 0 && done == 0) return -1;
    kept.restore();
    return static_cast<ssize_t>(done) + std::max<ssize_t>(rest, 0);
}

ssize_t done_here(size_t count, const errno_kept& kept) {
    io::spent_turn();
    kept.restore();
    return static_cast<ssize_t>(count);
}

// Disks are quick to take a copy until the kernel holds writers up. For a while after that the pool has it. A thread that
// merely lost the processor is back sooner.
constexpr std::chrono::milliseconds long_write{8};
constexpr std::chrono::seconds then_pooled{1};
std::atomic<clock::rep> pooled_until{0};

bool disks_keep_up() noexcept {
    const clock::rep until = pooled_until.load(std::memory_order_relaxed);
    return until == 0 || now().time_since_epoch().count() >= until;
}

ssize_t timed_write(int fd, const file_range& range) noexcept {
    const clock::time_point start = now();
    const ssize_t took = native_write(fd, range.parts, range.count, range.offset, range.flags);
    const clock::time_point end = now();
    if (end - start > long_write)
        pooled_until.store((end + then_pooled).time_since_epoch().count(), std::memory_order_relaxed);
    return took;
}

}  // namespace

std::optional<ssize_t> read_file(int fd, const io::attempt& seen, const file_range& range, const char* call) {
    const way_to_try way = way_of(fd, seen);
    if (!is_file(way)) return std::nullopt;
    remaining_parts left{range.parts, static_cast<size_t>(range.count)};
    const errno_kept kept;
    size_t got = 0;
    bool tries = way != way_to_try::file_pooled && left.total() <= copied_at_once && uses_cache(fd, seen);
    while (tries) {
        left.skip_to(got);
        const ssize_t part = original().preadv2(fd, left.first(), static_cast<int>(left.count()),
                                                advanced(range.offset, got), range.flags | RWF_NOWAIT);
        if (part > 0) {
            got += static_cast<size_t>(part);
            if (got >= left.total()) return done_here(got, kept);
        } else if (part == 0) {
            if (at_end(fd, advanced(range.offset, got))) return done_here(got, kept);
            break;
        } else if (errno == EAGAIN) {
            break;
        } else if (no_such_try() && got == 0) {
            // With flags of the caller's, it may be these that are refused.
            if (range.flags == 0) learn(fd, seen, io::direction::read);
            kept.restore();
            if (!is_file(way_of(fd, seen))) return std::nullopt;
            break;
        } else {
            return got > 0 ? done_here(got, kept) : -1;
        }
    }
    kept.restore();
    if (got == 0 && !still_file(fd, seen)) return std::nullopt;
    return in_pool_from(got, fd, seen, range, native_read, call);
}

std::optional<ssize_t> write_file(int fd, const io::attempt& seen, const file_range& range, const char* call) {
    way_to_try way = way_of(fd, seen);
    if (!is_file(way)) return std::nullopt;
    const remaining_parts all{range.parts, static_cast<size_t>(range.count)};
    const errno_kept kept;
    size_t gone = 0;
    const bool copies = all.total() <= copied_at_once && (range.flags & (RWF_DSYNC | RWF_SYNC)) == 0 &&
                        uses_cache(fd, seen);
    if (copies && way == way_to_try::file) {
        const ssize_t took = original().pwritev2(fd, range.parts, range.count, range.offset, range.flags | RWF_NOWAIT);
        const bool refused = took < 0 && no_such_try();
        if (took < 0 && !refused && errno != EAGAIN) return -1;
        if (took >= 0) {
            gone = static_cast<size_t>(took);
            if (gone == all.total() || took == 0 || at_size_limit(fd, advanced(range.offset, gone)))
                return done_here(gone, kept);
        }
        if (refused && range.flags == 0) learn(fd, seen, io::direction::write);
        kept.restore();
        way = way_of(fd, seen);
        if (!is_file(way)) return std::nullopt;
    }
    if (copies && way == way_to_try::file_copies && disks_keep_up()) {
        const ssize_t took = timed_write(fd, range);
        if (took < 0) return -1;
        return done_here(static_cast<size_t>(took), kept);
    }
    if (gone == 0 && !still_file(fd, seen)) return std::nullopt;
    return in_pool_from(gone, fd, seen, range, native_write, call);
}

}  // namespace weft::shim
