// What weft knows of each descriptor of the process.  Floor: io.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>
#include <weft/detail/small_lock.hpp>

namespace weft::detail::io {

enum class direction : std::uint8_t { read, write };

/// How a wait for a descriptor ends.
enum class outcome : std::uint8_t {
    ready,        // try again
    timed_out,
    closed,       // by another task or thread meanwhile: EBADF
    killed,       // ECANCELED
    interrupted,  // a signal handler without SA_RESTART has run: EINTR
    failed,       // the descriptor cannot be watched: errno says why
};

struct fd_waiter;

/// A hub whose set holds the descriptor. The first is part of the entry.
struct registration {
    int set = -1;  // -1: free
    registration* next = nullptr;
};

/// One per descriptor number, never freed. `lock` guards everything that is not atomic. What a transfer and an event
/// touch is the first cache line.
struct alignas(64) fd_entry {
    static constexpr std::uint8_t unknown = 0, other = 1, drains = 2;  // kinds

    small_lock lock;
    std::atomic<std::uint32_t> generation{0};  // counts closes; what was learned before one is void
    std::atomic<std::uint32_t> edges{0};       // counts events: one that came during a try forbids to park on it
    // Learned of the open file, for `generation`.
    std::atomic<std::uint8_t> kind{unknown};
    std::atomic<bool> drained{false};     // the last read proved that nothing is left, and no edge came since
    std::atomic<bool> odd_event{false};   // PRI, ERR, HUP or RDHUP was seen: a short read proves nothing any more
    std::atomic<std::uint8_t> way_to_try{0};       // how the shim tries a call on it; 0: not known
    std::atomic<std::uint32_t> blocking_seen{0};  // flag_changes() + 1 when O_NONBLOCK was seen clear
    std::atomic<int> waiters{0};
    std::atomic<bool> patient{true};               // it has neither SO_RCVTIMEO nor SO_SNDTIMEO
    std::atomic<bool> own{false};                  // the library's: not the program's to close
    std::atomic<bool> shared{false};               // somebody outside weft's tasks accepts on it, too
    std::atomic<std::uint32_t> writer{0};          // who is amid a write, and whether others wait (write_ticket)
    fd_waiter* first = nullptr;
    fd_waiter* last = nullptr;
    registration sets;

    std::atomic<std::int64_t> patience[2] = {0, 0};  // SO_RCVTIMEO, SO_SNDTIMEO then, in ns; 0: for ever
    std::atomic<std::uint32_t> made_here{0};       // forks() + 1 when this process made the socket

    // With the lock held; defined with fd_waiter.
    void append(fd_waiter& w) noexcept;
    void take_out(fd_waiter& w) noexcept;
};
static_assert(offsetof(fd_entry, patience) == 64);

/// The entry of a descriptor, made on first use; null for a number out of any range.
WEFT_API fd_entry* entry_of(int fd) noexcept;
/// Only if there is one.
WEFT_API fd_entry* entry_if_any(int fd) noexcept;

/// Every entry that exists has a number below this.
WEFT_API int known_limit() noexcept;

/// Calls `visit` for every entry that exists.
void for_each_entry(void (*visit)(fd_entry&, int), int argument) noexcept;

/// Counts changes of O_NONBLOCK and of timeouts by calls that we see; what was learned of a descriptor's flags
/// holds while it stands still.
WEFT_API std::uint32_t flag_changes() noexcept;
WEFT_API void flags_changed() noexcept;

}  // namespace weft::detail::io
