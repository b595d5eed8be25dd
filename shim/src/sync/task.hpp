// Who asks for a lock, and whether it may park for it.  Floor: shim.
#pragma once

#include <cerrno>
#include <chrono>

#include "fiber/thread.hpp"
#include "gate.hpp"
#include "io/lot.hpp"
#include "original.hpp"
#include "told.hpp"

// An interposed symbol that does its own gating.
#define WEFT_INTERPOSED(result, name, parameters)                            \
    extern "C" WEFT_API result weft_interposed_##name parameters asm(#name); \
    extern "C" result weft_interposed_##name parameters

// At the start of a function that is about to wait for what `name` waits for.
#define WEFT_TELL_WAIT(name) \
    const told_wait told { call_index::name, monkey::area::sync, __builtin_frame_address(0) }

namespace weft::shim::sync {

namespace io = detail::io;
namespace lot = detail::io::lot;

inline bool on() noexcept { return (gate_of(monkey::area::sync) & is_patched) != 0; }

/// This thread's tasks, or null for a thread without any.
inline detail::thread* tasks_here() noexcept {
    detail::thread* const t = detail::this_thread_if_any();
    return t && t->sched ? t : nullptr;
}

/// As io::may_park(), for a thread that has tasks.
inline bool may_park(const detail::thread& t) noexcept {
    const detail::record& me = *t.current;
    if (me.native > 0 || ((me.attention & me.special) != 0 && me.is_hub)) return false;
    return !t.unwinding || t.current != &t.main;
}

/// Until when, by which clock; null for ever.
struct time_limit {
    clockid_t clock = CLOCK_REALTIME;
    const timespec* until = nullptr;

    bool valid() const noexcept { return !until || (until->tv_nsec >= 0 && until->tv_nsec < 1'000'000'000); }
    bool is_before_all_time() const noexcept { return until && until->tv_sec < 0; }
    bool known_clock() const noexcept { return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC; }
    deadline as_deadline() const;
};

/// How somebody waits for a lock.
struct asking {
    time_limit limit{};
    const void* from = nullptr;  // the caller's address: an allocator's own locks are waited for by the thread
    bool foreign = true;         // an interposed call: no exception may cross its caller

    io::manner manner(const char* what, io::signal_rule signals = io::signal_rule::ignores) const {
        return {what, limit.as_deadline(), signals, foreign, false};
    }
};

/// Where the thread parks its tasks for a lock that another process may give back, it looks again.
inline constexpr std::chrono::milliseconds look_again{5};

/// As gettid(), without the call.
pid_t thread_id() noexcept;

/// The address lies in the module that malloc comes from, if that has no other purpose.
bool in_allocator(const void* address) noexcept;
void find_allocator() noexcept;

/// For weft::shim: gives the thread its tasks. @returns them, or null where the call is to be libc's
detail::thread* by_name();
/// The same for calls that ask themselves whether they may park.
detail::thread& tasks_by_name();

}  // namespace weft::shim::sync
