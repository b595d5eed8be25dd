// Try first, then wait on a descriptor that is registered once.  Floor: io.
#pragma once

#include <cstdint>

#include <poll.h>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>
#include <weft/detail/wait_list.hpp>

#include "io/fd_table.hpp"

namespace weft::detail::io {

/// When a signal handler that ran on this thread ends a wait.
enum class signal_rule : std::uint8_t {
    ignores,   // never: weft's own waits
    restarts,  // if a handler without SA_RESTART is installed (signal(7), the calls that restart)
    ends,      // always: poll, select, sleep and what has a timeout of its own
};

/// How a call waits.
struct manner {
    const char* what;             // for reports, of static lifetime
    deadline by{};
    signal_rule signals = signal_rule::ignores;
    bool foreign = false;         // between the caller and weft stand frames that no exception may cross
    bool interruptible = true;
};

/// What was known of a descriptor before a call was tried on it.
struct attempt {
    explicit attempt(int fd) noexcept
        : entry{entry_of(fd)}, generation{entry ? entry->generation.load(std::memory_order_acquire) : 0},
          edges{entry ? entry->edges.load(std::memory_order_acquire) : 0} {}

    fd_entry* entry;  // null: no such descriptor, or no memory
    std::uint32_t generation;
    std::uint32_t edges;
};

/// Between two tries of one call the descriptor was closed: the number may name another file by now, which the call does
/// not mean. `first` is the call's first attempt.
inline bool replaced(const attempt& first, const attempt& now) noexcept { return first.generation != now.generation; }

/// The caller can park: it runs on a thread with a hub, and not in the hub's own fiber or a native scope.
WEFT_API bool may_park() noexcept;
/// While > 0 on this thread's running fiber, may_park() says no. @returns the previous depth
WEFT_API int enter_native() noexcept;
WEFT_API void leave_native() noexcept;

/// Gives the thread a hub if it has none. @returns whether the running fiber is in a native scope
WEFT_API bool in_native_scope();
/// Lets every ready fiber run first, whatever is pending for the caller.
WEFT_API void yield_on();

/// False where a read is known to find nothing: the last one drained a stream, and nothing has come since.
WEFT_API bool worth_reading(const attempt& a) noexcept;

/// The call found nothing (EAGAIN) and O_NONBLOCK is known to be clear: waits until it is worth trying again.
/// @throws blocking_in_hub
WEFT_API outcome wait(int fd, const attempt& a, direction way, const manner& how);

/// The call took something. `emptied`: a consuming read got less than it asked for. Wakes the next in line if
/// more may be there, and lets others run if this fiber has succeeded many times in a row.
WEFT_API void took(int fd, const attempt& a, direction way, bool emptied);

/// The call leaves with an error: what woke it may be for the next in line.
WEFT_API void passed(const attempt& a, direction way) noexcept;

/// As took(), for calls that are not of one descriptor.
WEFT_API void spent_turn();

/// An interposed call is about to answer a kill with ECANCELED: lets others run, and brakes a caller that goes
/// on for ever.
WEFT_API void refuse(const char* call);

/// O_NONBLOCK was seen clear.
inline void saw_blocking(const attempt& a, std::uint32_t changes) noexcept {
    a.entry->blocking_seen.store(changes + 1, std::memory_order_relaxed);
}

/// poll(2) with a real poll of no timeout as its eyes. @returns as poll: the count, 0, or -1 with errno
using real_poll = int (*)(pollfd* fds, nfds_t count, int timeout);
struct poll_result {
    int count;         // of ready descriptors; -1 for an error of the real poll, in errno
    outcome how;       // if count is 0
};
WEFT_API poll_result wait_any(pollfd* fds, nfds_t count, real_poll look, const manner& how);

/// Parks for time only. @returns timed_out, interrupted or killed
WEFT_API outcome pause(const manner& how);

/// The descriptor is about to be closed: forgets it and ends every wait on it with outcome::closed.
WEFT_API void closing(int fd) noexcept;

/// Something was done to the descriptor that its waiters are to see, and of which the kernel tells nobody: they try again.
WEFT_API void changed(int fd) noexcept;

/// A hub's own descriptor, which the program does not know of.
WEFT_API bool is_own(int fd) noexcept;

/// A short read says nothing about this descriptor from now on.
WEFT_API void never_drains(int fd) noexcept;

}  // namespace weft::detail::io
