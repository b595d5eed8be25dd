// Children that do as they are told.
#pragma once

#include <cerrno>
#include <stdexcept>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/sanitizers.hpp"

namespace test {

/// By the kernel, whoever has patched what.
inline void nap_ms(long ms) {
    const timespec span{ms / 1000, ms % 1000 * 1'000'000};
    ::syscall(SYS_nanosleep, &span, nullptr);
}

/// Runs `body` in a child, which exits with what it returns, and does not outlive the thread that made it.
template <class Body>
pid_t child_that(Body body) {
    const int before = errno;
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("fork");
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::_exit(body());
    }
    errno = before;
    return child;
}

inline pid_t child_that_exits(int code, long after_ms = 0) {
    return child_that([=] {
        if (after_ms > 0) nap_ms(after_ms);
        return code;
    });
}

/// @returns -1 on a kernel that has none
inline int pidfd_of(pid_t child, unsigned flags = 0) { return static_cast<int>(::syscall(SYS_pidfd_open, child, flags)); }

inline bool has_pidfds() {
    const int fd = pidfd_of(::getpid());
    if (fd >= 0) ::close(fd);
    return fd >= 0;
}

}  // namespace test
