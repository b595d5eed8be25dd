// select and pselect, by way of poll.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include <fcntl.h>

#include "base/sys.hpp"
#include "core.hpp"
#include "sched/onlooker.hpp"

namespace weft::shim {
namespace {

namespace sys = weft::detail::sys;

// The sets are bitmaps of `count` bits, also beyond FD_SETSIZE.
using word = unsigned long;
constexpr int word_bits = 8 * sizeof(word);

std::size_t words_of(int count) { return static_cast<std::size_t>((count + word_bits - 1) / word_bits); }

bool has(const fd_set* set, int fd) {
    return set && (reinterpret_cast<const word*>(set)[fd / word_bits] >> (fd % word_bits) & 1) != 0;
}

void put(fd_set* set, int fd) { reinterpret_cast<word*>(set)[fd / word_bits] |= word{1} << (fd % word_bits); }

// select(2): what each of poll's bits means for the three sets.
constexpr short means_readable = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR;
constexpr short means_writable = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR;

// The kernel looks at no more bits than the process has room for descriptors, whatever the count says: behind them the
// caller's sets may have ended. FDSize in proc(5) is that room.
int looked_at(int count) noexcept {
    if (count <= FD_SETSIZE) return count;
    const long file = sys::call(SYS_openat, AT_FDCWD, sys::word("/proc/thread-self/status"), O_RDONLY | O_CLOEXEC);
    if (file < 0) return count;
    char text[1024];
    const long size = sys::read(static_cast<int>(file), text, sizeof text - 1);
    sys::close(static_cast<int>(file));
    text[std::max(size, 0L)] = 0;
    const char* line = std::strstr(text, "\nFDSize:");
    const int room = line ? std::atoi(line + std::strlen("\nFDSize:")) : 0;
    return room > 0 ? std::min(count, room) : count;
}

// The kernel is to refuse sets that are not there, and not us to read them.
bool are_there(int count, const fd_set* readable, const fd_set* writable, const fd_set* odd) noexcept {
    const std::size_t size = words_of(count) * sizeof(word);
    for (const fd_set* set : {readable, writable, odd}) {
        const auto* const bytes = reinterpret_cast<const char*>(set);
        char byte;
        if (set && size > 0 && (!detail::peek_at(bytes, byte) || !detail::peek_at(bytes + size - 1, byte))) return false;
    }
    return true;
}

// poll() reports POLLHUP and POLLERR unasked; for select they count only in the sets that they belong to.
int look_as_select(pollfd* fds, nfds_t count, int timeout) {
    const int ready = original().poll(fds, count, timeout);
    if (ready <= 0) return ready;
    int matter = 0;
    for (nfds_t i = 0; i < count; ++i) {
        short wanted = POLLNVAL;
        if (fds[i].events & POLLIN) wanted |= means_readable;
        if (fds[i].events & POLLOUT) wanted |= means_writable;
        if (fds[i].events & POLLPRI) wanted |= POLLPRI;
        fds[i].revents = static_cast<short>(fds[i].revents & wanted);
        if (fds[i].revents != 0) ++matter;
    }
    return matter;
}

}  // namespace

int core::select_until(int count, fd_set* readable, fd_set* writable, fd_set* odd, deadline by,
                       const sigset_t* mask, const char* call) const {
    constexpr nfds_t in_place = 16;
    count = looked_at(count);
    if (!are_there(count, readable, writable, odd)) {
        timeval no_time{};
        return original().select(count, readable, writable, odd, &no_time);
    }
    pollfd few[in_place];
    nfds_t asked = 0;
    for (int fd = 0; fd < count; ++fd) asked += has(readable, fd) || has(writable, fd) || has(odd, fd);
    std::unique_ptr<pollfd[]> many;
    if (asked > in_place) many.reset(new (std::nothrow) pollfd[asked]);
    pollfd* const fds = asked > in_place ? many.get() : few;
    if (!fds) {
        errno = ENOMEM;
        return -1;
    }
    nfds_t used = 0;
    for (int fd = 0; fd < count; ++fd) {
        short events = 0;
        if (has(readable, fd)) events |= POLLIN;
        if (has(writable, fd)) events |= POLLOUT;
        if (has(odd, fd)) events |= POLLPRI;
        if (events != 0) fds[used++] = {fd, events, 0};
    }
    if (mask && look_as_select(fds, used, 0) == 0 && interrupted_by(mask)) return -1;
    const signal_mask during{mask};
    const int ready = wait_for_any(fds, used, by, look_as_select, call);
    if (ready < 0) return -1;
    for (nfds_t i = 0; i < used; ++i) {
        if (fds[i].revents & POLLNVAL) {
            errno = EBADF;
            return -1;
        }
    }
    for (fd_set* set : {readable, writable, odd})
        if (set) std::memset(set, 0, words_of(count) * sizeof(word));
    int bits = 0;
    for (nfds_t i = 0; i < used && ready > 0; ++i) {
        const pollfd& p = fds[i];
        if ((p.events & POLLIN) && (p.revents & means_readable)) put(readable, p.fd), ++bits;
        if ((p.events & POLLOUT) && (p.revents & means_writable)) put(writable, p.fd), ++bits;
        if ((p.events & POLLPRI) && (p.revents & POLLPRI)) put(odd, p.fd), ++bits;
    }
    return bits;
}

int core::select(int count, fd_set* readable, fd_set* writable, fd_set* odd, timeval* timeout) {
    constexpr long us_per_second = 1'000'000;
    const bool bad = timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0);
    const bool now_only = timeout && timeout->tv_sec == 0 && timeout->tv_usec == 0;
    if (count < 0 || bad || now_only) return original().select(count, readable, writable, odd, timeout);
    deadline by;
    if (timeout)
        by = after({timeout->tv_sec + timeout->tv_usec / us_per_second, timeout->tv_usec % us_per_second * 1'000});
    const int ready = select_until(count, readable, writable, odd, by, nullptr, "select");
    if (timeout && !by.is_never()) {
        // Linux tells the time that was left, also after an error.
        const auto us = std::chrono::duration_cast<std::chrono::microseconds>(by.when() - now()).count();
        const auto left = std::max<std::int64_t>(0, us);
        *timeout = {left / us_per_second, left % us_per_second};
    }
    return ready;
}

int core::pselect(int count, fd_set* readable, fd_set* writable, fd_set* odd, const timespec* timeout,
                  const sigset_t* mask) {
    const bool now_only = timeout && timeout->tv_sec == 0 && timeout->tv_nsec == 0;
    if (count < 0 || (timeout && !valid(*timeout)) || now_only)
        return original().pselect(count, readable, writable, odd, timeout, mask);
    return select_until(count, readable, writable, odd, timeout ? after(*timeout) : deadline::never(), mask,
                        "pselect");
}

}  // namespace weft::shim
