// A call on a thread of the pool for files.  Floor: shim.
#pragma once

#include <cerrno>

#include "../core.hpp"
#include "hub/offload.hpp"

namespace weft::shim {

/// The kernel sends SIGXFSZ and SIGPIPE to the thread that made the call, and a pool thread blocks them: taken from
/// there, they are raised where they belong. @returns the signal that came with this error, or 0
int take_signal_of(int error) noexcept;
void raise_here(int signal) noexcept;

/// Since the attempt the descriptor was closed: its number means another file, or none.
inline bool closed_since(const io::attempt& seen) noexcept {
    return seen.entry && seen.entry->generation.load(std::memory_order_acquire) != seen.generation;
}

/// Makes `call` on a thread of that kind while the caller is parked; no kill ends that. A descriptor that is closed before its turn
/// has come is not touched any more: EBADF. Without any thread the caller's own makes the call.
/// @returns the call's result, with its errno
template <class Call>
auto offloaded(detail::offload_kind kind, const char* what, const io::attempt& one, const io::attempt& other, Call call)
    -> decltype(call()) {
    struct job {
        Call& call;
        const io::attempt& one;
        const io::attempt& other;
        decltype(call()) result;
        int error;
        int signal;
    } work{call, one, other, -1, 0, 0};
    const auto run = [](void* at) {
        auto& j = *static_cast<job*>(at);
        if (closed_since(j.one) || closed_since(j.other)) {
            j.error = EBADF;
            return;
        }
        j.result = j.call();
        if (j.result >= 0) return;
        j.error = errno;
        j.signal = take_signal_of(j.error);
    };
    const errno_kept kept;
    if (!detail::offload(kind, run, &work, what)) return call();
    raise_here(work.signal);
    if (work.result < 0) errno = work.error;
    else kept.restore();
    return work.result;
}

template <class Call>
auto in_pool(const char* what, const io::attempt& one, const io::attempt& other, Call call) -> decltype(call()) {
    return offloaded(detail::offload_kind::file, what, one, other, call);
}

template <class Call>
auto in_pool(const char* what, int fd, Call call) -> decltype(call()) {
    const io::attempt seen{fd};
    return in_pool(what, seen, seen, call);
}

}  // namespace weft::shim
