// A fiber's place in the line of one descriptor.  Floor: io.
#pragma once

#include <sys/epoll.h>

#include "io/fd_table.hpp"
#include "io/readiness.hpp"
#include "sched/waiter.hpp"

namespace weft::detail::io {

/// `interest` is in epoll's bits, which are poll's. One that consumes takes what is there: they are woken one at a
/// time. The others only look and are all woken.
struct fd_waiter : waiter {
    fd_waiter(thread& t, const park_token& as, std::uint32_t events, bool takes) noexcept
        : waiter{t, as}, interest{events}, consumes{takes} {}

    fd_waiter* after() const noexcept { return static_cast<fd_waiter*>(next); }

    std::uint32_t interest;
    bool consumes;
    bool closed = false;  // the descriptor was; written before the grant
    std::uint32_t writer = 0;  // whose ticket it waits for, as fd_entry::writer will name it
};

// Events that concern those who read, and those who write.
inline constexpr std::uint32_t reading = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR;
inline constexpr std::uint32_t writing = EPOLLOUT | EPOLLHUP | EPOLLERR;
// None, but the write_ticket: a bit that the kernel's events do not have.
inline constexpr std::uint32_t for_ticket = EPOLLWAKEUP;

/// Under the entry's lock: the first that consumes and is interested.
void wake_next(fd_entry& e, std::uint32_t events) noexcept;

/// A wait that would fail at once fails before its node is in a line where others can see it.
/// @throws blocking_in_hub
bool fails_at_once(const manner& how, outcome& end);

/// The wait is over, however: takes the node out, or waits for the grant that is under way.
/// @returns whether the node had been granted
bool unlink(fd_entry& e, fd_waiter& w);

}  // namespace weft::detail::io
