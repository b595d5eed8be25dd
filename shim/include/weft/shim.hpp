/// @file weft/shim.hpp
/// The blocking calls of POSIX and Linux, by the same names, for tasks that ask for them.  Floor: shim.
///
/// Each behaves as the call of that name in section 2 or 3 of the manual, for results, errno, partial
/// transfers, time-outs (SO_RCVTIMEO, SO_SNDTIMEO), signals and O_NONBLOCK, with one exception: where
/// that would block the thread, it parks the fiber. No patching is needed, and no flag of a descriptor is ever
/// left changed. shim/README.md lists each call with its deviations.
///
/// Order:    fibers that wait on one descriptor for one direction are served first come, first served.
/// Threads:  any descriptor from any thread and any hub.
/// Lifetime: close() here ends every wait on the descriptor with EBADF; whoever closes it behind weft's back
///           (a raw system call) leaves waiters waiting, as the kernel does.
/// Cancel:   a kill throws fiber_exit out of what would return -1; nothing was transferred then. What had
///           transferred something returns its count, and the kill is met at the next wait.
/// Throws:   besides that, blocking_in_hub in a callback of the hub.
/// gevent:   gevent.socket, gevent.select, gevent.os
#pragma once

#include <weft/shim/dns.hpp>
#include <weft/shim/fd.hpp>
#include <weft/shim/file.hpp>
#include <weft/shim/poll.hpp>
#include <weft/shim/process.hpp>
#include <weft/shim/signal.hpp>
#include <weft/shim/socket.hpp>
#include <weft/shim/sync.hpp>
#include <weft/shim/time.hpp>
