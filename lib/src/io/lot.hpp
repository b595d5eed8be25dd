// Where fibers and threads sleep by an address: locks and conditions that are not weft's own.  Floor: io.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include <weft/detail/export.hpp>
#include <weft/detail/small_lock.hpp>

#include "base/fence.hpp"
#include "io/readiness.hpp"
#include "sched/waiter.hpp"

namespace weft::detail::io::lot {

/// In the line of one address. Lives on its sleeper's stack and has left the line before the wait returns.
struct sleeper {
    sleeper(const void* what, std::uint32_t mask) noexcept : address{what}, bits{mask} {}

    /// Under the bucket's lock. @returns whether mailbox::wake_owed() is due once it has been let go
    virtual bool rouse() noexcept = 0;

    std::atomic<const void*> address;  // changes with a requeue, under the locks of both buckets
    std::uint32_t bits;   // awaken() takes those that share one with its own
    sleeper* prev = nullptr;
    sleeper* next = nullptr;
    bool taken = false;     // out of the line, by awaken()
    bool summoned = false;  // told to try again, and has not yet
    bool strict = false;    // has tried in vain: nobody may pass it any more

protected:
    ~sleeper() = default;
};

/// The lines of all addresses with the same hash, in one.
struct alignas(64) bucket {
    std::atomic<std::uint32_t> count{0};
    small_lock lock;
    sleeper* first = nullptr;
    sleeper* last = nullptr;
};

inline constexpr unsigned bucket_bits = 10;
WEFT_API extern bucket buckets[std::size_t{1} << bucket_bits];

inline bucket& bucket_of(const void* address) noexcept {
    const auto number = reinterpret_cast<std::uintptr_t>(address) * 0x9e3779b97f4a7c15U;
    return buckets[number >> (64 - bucket_bits)];
}

/// Maybe somebody sleeps there.
inline bool anybody(const void* address) noexcept {
    return bucket_of(address).count.load(std::memory_order_relaxed) != 0;
}

/// One try that does not wait. @returns whether the wait is over, `with` knows how
using attempt_of = bool (*)(void* with);

struct turn {
    attempt_of attempt;
    void* with;
    bool passes = false;           // may try also where a strict one waits
    attempt_of more = nullptr;     // whether the next may have it, too, now that this one has got it; null: no
    std::chrono::nanoseconds again{0};  // if not 0, tries at least this often: not everybody who gives it back can tell
};

/// Takes turns with whoever waits at the address. In a fiber that may park.
/// Order: first come, first served, but that newcomers may pass a sleeper once. `attempt` runs under the bucket's lock.
/// @returns ready, timed_out, interrupted or killed; the fiber is in no line any more
WEFT_API outcome take_turn(const void* address, const turn& mine, const manner& how);

/// The address has something to give: its first sleeper tries.
WEFT_API void summon(const void* address) noexcept;
/// After a lock has been given back, whose memory is not touched any more. x86's locked instruction in that was the fence
/// without which one that lines up and this could both miss the other.
inline void summon_if_any(const void* address) noexcept {
#if !defined(__x86_64__)
    full_fence();
#endif
    if (anybody(address)) [[unlikely]] summon(address);
}

/// A thread without tasks is about to take what may be another's turn: lets a strict sleeper go first, for a
/// millisecond at most.
WEFT_API void give_way(const void* address) noexcept;

// Conditions and futexes: who sleeps is woken, and has then been given what it wanted.

WEFT_API void line_up(sleeper& who) noexcept;
/// With the bucket's lock held from before `unchanged` is asked until `who` stands in line. @returns what it said
WEFT_API bool line_up_if(sleeper& who, attempt_of unchanged, void* with) noexcept;
/// The `size`-th to come takes all who stand there; the others line up. @returns whether `who` is that one
WEFT_API bool complete(sleeper& who, unsigned size) noexcept;
/// Leaves the line, if it is still in one. @returns false if it had been taken
WEFT_API bool step_out(sleeper& who) noexcept;
/// Takes up to `most` sleepers of the address. @returns how many
WEFT_API int awaken(const void* address, int most, std::uint32_t bits) noexcept;
struct requeued {
    int woken;  // -1: it had changed, and nothing was done
    int moved;
};
/// Wakes up to `most`, and lets up to `moved` others wait at `to` from now on, behind those who do, if `unchanged` says so
/// under the lock of the first address.
WEFT_API requeued requeue(const void* from, const void* to, int most, int moved, attempt_of unchanged, void* with) noexcept;

/// A fiber in a line.
struct WEFT_API fiber_sleeper final : sleeper {
    explicit fiber_sleeper(const void* what, std::uint32_t mask = ~0u) noexcept;
    ~fiber_sleeper();
    bool rouse() noexcept override;
    /// It stands in line, or has been taken already: parks until it is, or for another reason. @returns ready if it was
    /// taken; it is in no line any more
    outcome wait(const manner& how);
    /// The same, but that it still stands in line when the time is up; then it may doze on, or must leave().
    outcome doze(const manner& how);
    void leave();

    waiter node;
};

/// summon() that a handler of a signal may call: takes no lock there that the interrupted code may hold, but leaves it to
/// a thread of the library's own, which start_courier() has made.
WEFT_API void summon_safely(const void* address) noexcept;
/// @returns 0, or an error number: there can be no such thread
WEFT_API int start_courier() noexcept;

/// The thread ends, and the fiber would wait: as scheduler::look_at_end().
WEFT_API void refuse(const char* what);

/// In a forked child: who slept is the parent's.
WEFT_API void after_fork() noexcept;

}  // namespace weft::detail::io::lot
