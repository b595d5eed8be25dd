// Blocking work on threads of the library's own.  Floor: hub.
#pragma once

#include <memory>

#include <weft/detail/export.hpp>
#include <weft/detail/work.hpp>

namespace weft::detail {

/// Each kind has threads and a limit of its own, so that slow name servers do not hold up anything else.
enum class offload_kind {
    dns,
    file,       // ends by itself, however slow the disk
    unbounded,  // may wait for ever: a thread for each, or the one that would end the others might never get one
};

/// Runs `function(argument)` on a pool thread with every signal blocked and parks the caller until it is done. The
/// wait cannot be killed: what the function works on stays the pool's until then. The function must not throw.
/// While its thread ends, a fiber that waits for something unbounded is left behind with its stack after some seconds.
/// Threads are made on demand and end after some idle seconds.
/// @returns false if not even one thread can be made; nothing was run
WEFT_API bool offload(offload_kind kind, void (*function)(void*), void* argument, const char* what);

/// Hands work in and does not wait for it.
/// @returns 0, or an error number: why it will not be run; it is the caller's again then
/// @throws blocking_in_hub
WEFT_API int hand_in(offload_kind kind, work& w, const char* what);

/// Work that may outlive whoever asked for it, with everything that it reads and writes.
struct errand {
    virtual ~errand() = default;
    virtual void run() noexcept = 0;  // on the pool thread; destroyed there or on the asking one
};

enum class errand_end { done, killed, no_thread };

/// As offload(), but a kill ends the wait: the errand is then finished and destroyed by the pool. Where it is not
/// `interruptible`, only the end of the thread does.
WEFT_API errand_end send_out(offload_kind kind, std::shared_ptr<errand> work, const char* what, bool foreign,
                             bool interruptible = true);

}  // namespace weft::detail
