// A fiber's place in the line of one descriptor.  Floor: io.
#pragma once

#include "io/fd_table.hpp"
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
};

}  // namespace weft::detail::io
