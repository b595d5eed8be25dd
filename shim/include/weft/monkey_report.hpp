/// @file weft/monkey_report.hpp
/// What has become of patched calls, and what keeps a hub's thread from its tasks.  Floor: shim.
///
/// Both are off until asked for. Off, they cost a patched call nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <weft/detail/export.hpp>
#include <weft/monkey.hpp>

namespace weft::monkey {

/// How often a call ended which way; each is counted once, when it is over.
struct call_count {
    std::string name;           ///< "read"; of calls that name each other (recv and __recv_chk), the one that was made
    std::uint64_t parked = 0;   ///< waited while other tasks could run
    std::uint64_t pooled = 0;   ///< went to a pool of threads, whether or not it parked besides
    std::uint64_t direct = 0;   ///< was answered in a task without waiting
    std::uint64_t passed = 0;   ///< was libc's: in a thread without tasks, a native scope or a callback of the hub, or unpatched
    /// The longest stretch in which such a call kept a hub's thread, so that no task of it could run. Threads without a
    /// hub keep nobody waiting.
    std::chrono::nanoseconds longest_block{0};
};

/// Counts from now on, or stops. The counts so far stay. With `WEFT_REPORT` set in the environment to anything but 0 it is
/// on from the start, and the counts are printed on standard error when the process exits.
///
/// A counted call takes some 50 ns more: it looks at the clock twice.
/// Threads:  any; holds for the whole process.
WEFT_API void count_calls(bool on = true) noexcept;
WEFT_API bool counts_calls() noexcept;

/// @par Locks
/// Of locks, conditions, semaphores, once and static variables only waits are counted, under the name of pthread's call
/// (C11's under its counterpart): what is had at once is too short to be told of. futex waits are under "syscall".
///
/// The calls that were made while they were counted, in the order of the shim's table. One that is under way is not in it.
/// @throws std::bad_alloc
WEFT_API std::vector<call_count> report();

/// The same as a table for people, a line for each call; its form may change.
/// @throws std::bad_alloc
WEFT_API std::string report_text();

/// All counts are 0 again.
WEFT_API void forget_counts() noexcept;

/// What a block_watch has found.
struct blocked {
    std::uint64_t task = 0;             ///< its id; that of the hub's fiber for a callback
    std::string who;                    ///< "task 7 'name'", "a callback of hub 2"
    std::string call;                   ///< the patched call that it is in; empty for any other and for computations
    std::chrono::nanoseconds so_far{};  ///< for at least this long it has let nobody run
    /// Where it stands, innermost first: addresses to return to, the first of them perhaps where it computes. Empty if nothing
    /// could be found out.
    std::vector<void*> frames;

    /// Two lines and more: who, how long, and a line for each frame with its function and module.
    WEFT_API std::string text() const;
};

/// While it lives, whatever keeps this thread's hub from its tasks for longer than the limit is reported once, while it still
/// does: calls that went native (devices that are looked at and then read, files on slow disks, native scopes, hooks that
/// pass through), other libraries' system calls, and computations.
///
/// The blocked thread is not disturbed. Where it waits in the kernel, its stack is read from outside, from the frame of the
/// patched call or from what the kernel tells of its stack pointer; no system call is interrupted, nothing is cut short.
/// Where it computes, a timer of its own CPU time stops it for the length of a look, at an instant at which it is in no
/// system call. That takes a real-time signal that nobody has a handler for, which is put back afterwards; a program that blocks
/// it loses the frames, and nothing else.
///
/// Not promised: frames beyond one for which the compiler has left no unwinding table. Where there is no patched call, a frame
/// whose register the kernel does not tell is looked for on the stack, and may be one that has returned.
/// Threads:   watches the one that made it, which gets a hub if it has none. May be destroyed on any.
/// Lifetime:  it ends by itself with the thread; a forked child watches nobody.
/// Cancel:    the destructor blocks the thread until an action in progress is over, unless it is called in it.
/// gevent:    the monitor thread (GEVENT_MONITOR_THREAD_ENABLE)
class WEFT_API block_watch {
public:
    /// @param limit   a block is told at most a quarter later, and 2 ms
    /// @param action  runs on the watching thread, where it must not rely on the hub; by default text() goes to standard error.
    ///                What it throws is dropped
    /// @throws std::invalid_argument             the limit is not above 0
    /// @throws std::system_error, std::bad_alloc no thread, or no memory
    explicit block_watch(std::chrono::nanoseconds limit, std::function<void(const blocked&)> action = {});
    ~block_watch();
    block_watch(const block_watch&) = delete;
    block_watch& operator=(const block_watch&) = delete;

    std::uint64_t reports() const noexcept;  ///< so far

private:
    struct state;
    std::shared_ptr<state> state_;
};

}  // namespace weft::monkey
