// Locks on files, and waits for asynchronous requests. Each is tried first; what then waits, waits in the kernel, which
// knows of deadlocks and of whose turn it is.
#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "long_call.hpp"

namespace weft::shim {
namespace {

bool is_held() noexcept { return errno == EAGAIN || errno == EACCES; }

constexpr timespec no_time{0, 0};

bool waits(const timespec* timeout) noexcept { return !timeout || timeout->tv_sec != 0 || timeout->tv_nsec != 0; }

}  // namespace

int core::flock(int fd, int operation) {
    const errno_kept kept;
    const int result = original().flock(fd, operation | LOCK_NB);
    if (result == 0) io::spent_turn();
    if (result == 0 || (operation & LOCK_NB) != 0 || errno != EWOULDBLOCK) return result;
    kept.restore();
    return call_long(*this, "flock", io::signal_rule::restarts, false,
                     [=] { return original().flock(fd, operation); });
}

int core::lockf(int fd, int command, off_t size) {
    if (command != F_LOCK) return original().lockf(fd, command, size);
    const errno_kept kept;
    const int result = original().lockf(fd, F_TLOCK, size);
    if (result == 0) io::spent_turn();
    if (result == 0 || !is_held()) return result;
    kept.restore();
    return call_long(*this, "lockf", io::signal_rule::restarts, false,
                     [=] { return original().lockf(fd, F_LOCK, size); });
}

int core::lockf64(int fd, int command, off64_t size) { return lockf(fd, command, size); }

int core::lock_region(int fd, int command, void* argument, bool wide) const {
    const auto native = [=](int which) {
        return wide ? original().fcntl64(fd, which, argument) : original().fcntl(fd, which, argument);
    };
    const errno_kept kept;
    const int result = native(command == F_SETLKW ? F_SETLK : F_OFD_SETLK);
    if (result == 0) io::spent_turn();
    if (result == 0 || !is_held()) return result;
    kept.restore();
    return call_long(*this, "fcntl", io::signal_rule::restarts, false, [=] { return native(command); });
}

int core::aio_suspend(const aiocb* const* requests, int count, const timespec* timeout) {
    const errno_kept kept;
    const int result = original().aio_suspend(requests, count, &no_time);
    if (result == 0 || errno != EAGAIN || !waits(timeout)) return result;
    kept.restore();
    return call_long(*this, "aio_suspend", io::signal_rule::ends, true,
                     [=] { return original().aio_suspend(requests, count, timeout); });
}

int core::aio_suspend64(const aiocb64* const* requests, int count, const timespec* timeout) {
    const errno_kept kept;
    const int result = original().aio_suspend64(requests, count, &no_time);
    if (result == 0 || errno != EAGAIN || !waits(timeout)) return result;
    kept.restore();
    return call_long(*this, "aio_suspend", io::signal_rule::ends, true,
                     [=] { return original().aio_suspend64(requests, count, timeout); });
}

}  // namespace weft::shim
