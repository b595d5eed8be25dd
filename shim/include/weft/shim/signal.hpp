/// @file weft/shim/signal.hpp
/// weft::shim: waits for signals. What holds for all is in weft/shim.hpp.  Floor: shim.
#pragma once

#include <signal.h>
#include <time.h>

#include <weft/detail/export.hpp>

namespace weft::shim {

// Signals that are blocked: sent to the process, or to the thread whose task waits. Several tasks may wait for one; one
// of them takes it. A handler of another signal that runs while the thread sleeps ends the second and third with EINTR.
// A kill ends all three.
/// @returns 0 or an error number; ECANCELED after a kill where it is interposed
WEFT_API int sigwait(const sigset_t* set, int* number);
WEFT_API int sigwaitinfo(const sigset_t* set, siginfo_t* info);
WEFT_API int sigtimedwait(const sigset_t* set, siginfo_t* info, const timespec* timeout);

/// Until a handler has run while the thread sleeps; one that runs while another task does ends nothing. Where that may
/// happen, block the signal and use sigsuspend().
WEFT_API int pause();
/// As pause(); but what the thread blocks and `mask` does not ends it whenever it comes, and its handler runs in the
/// calling task. What only `mask` blocks is blocked for the thread's other tasks, too, meanwhile.
WEFT_API int sigsuspend(const sigset_t* mask);

}  // namespace weft::shim
