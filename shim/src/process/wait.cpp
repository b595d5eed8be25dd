// wait and its kin: a try that does not wait, then a place where news of children is waited for, and the next try.
#include <cerrno>
#include <utility>

#include <fcntl.h>

#include "child_wait.hpp"
#include "reap.hpp"

namespace weft::shim {
namespace {

/// `once` makes one try with WNOHANG: @returns 0 for nothing yet, else what the call is to return
template <class Once>
pid_t until_there(const core& c, const children& which, const char* call, Once once) {
    const errno_kept kept;
    pid_t got = once();
    if (got == 0) {
        child_wait place{which};
        io::manner how = c.manner_of(call, deadline::never(), io::signal_rule::restarts);
        how.interruptible = false;
        while (got == 0) {
            const io::outcome end = place.wait(how);
            // First, as in the kernel: the handler may be SIGCHLD's for the very child.
            got = once();
            if (got == 0 && end != io::outcome::ready) return c.failed(end, call, 0);
        }
    }
    if (got < 0) return got;
    kept.restore();
    io::spent_turn();
    return got;
}

int as_for_waitid(int options) noexcept { return WEXITED | (options & ~(WNOHANG | WNOWAIT)); }

}  // namespace

pid_t core::wait4(pid_t pid, int* status, int options, rusage* usage) {
    const originals& libc = original();
    if (options & WNOHANG) return libc.wait4(pid, status, options, usage);
    // The group is that of the moment of the call.
    if (pid == 0 && ::getpgrp() > 1) pid = -::getpgrp();
    children which{P_ALL, 0, as_for_waitid(options)};
    if (pid > 0) which = {P_PID, static_cast<id_t>(pid), which.options};
    else if (pid != -1) which = {P_PGID, pid == 0 ? static_cast<id_t>(::getpgrp()) : -static_cast<id_t>(pid), which.options};
    return until_there(*this, which, "waitpid", [&] { return libc.wait4(pid, status, options | WNOHANG, usage); });
}

pid_t core::waitpid(pid_t pid, int* status, int options) { return wait4(pid, status, options, nullptr); }
pid_t core::wait3(int* status, int options, rusage* usage) { return wait4(-1, status, options, usage); }
pid_t core::wait(int* status) { return wait4(-1, status, 0, nullptr); }

int core::waitid(idtype_t kind, id_t id, siginfo_t* info, int options) {
    const originals& libc = original();
    if (options & WNOHANG) return libc.waitid(kind, id, info, options);
    if (kind == P_PGID && id == 0) id = static_cast<id_t>(::getpgrp());
    siginfo_t here;
    siginfo_t* const found = info ? info : &here;
    const auto once = [&]() -> pid_t {
        found->si_pid = 0;
        const int result = libc.waitid(kind, id, found, options | WNOHANG);
        return result < 0 ? -1 : found->si_pid;
    };
    // O_NONBLOCK of a pidfd, which WNOHANG covers up.
    if (kind == P_PIDFD && (libc.fcntl(static_cast<int>(id), F_GETFL, nullptr) & O_NONBLOCK) != 0)
        return libc.waitid(kind, id, info, options);
    return until_there(*this, {kind, id, options & ~WNOWAIT}, "waitid", once) < 0 ? -1 : 0;
}

pid_t reap(core& c, bool parks, pid_t child, int* status) {
    pid_t got;
    do got = parks ? c.wait4(child, status, 0, nullptr) : original().wait4(child, status, 0, nullptr);
    while (got < 0 && errno == EINTR);
    return got;
}

}  // namespace weft::shim
