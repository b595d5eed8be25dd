// A waiter that keeps its place in a list over several parks.  Floor: sched.
#pragma once

#include "sched/waiter.hpp"

namespace weft::detail {

enum class place_end : std::uint8_t {
    granted,         // no longer in the list; the lock is not held
    granted_killed,  // likewise, and a kill came too: hand on what was granted
    nudged,          // in the list, with the lock held: it may look whether it is its turn
    timed_out,       // likewise; it may have been nudged besides
    killed,          // likewise
};

/// Lives on the waiting fiber's stack. Everything here is done with the list's lock held.
struct place : waiter {
    explicit place(thread& t) noexcept : waiter{t, {t.current, 0}} {}

    static place* first(const wait_list& list) noexcept { return static_cast<place*>(list.first_); }
    place* after() const noexcept { return static_cast<place*>(next); }

    void join(wait_list& list) noexcept { list.append(*this); }
    void leave(wait_list& list) noexcept { list.remove(*this); }

    /// Takes it out of the list and wakes it.
    void serve(wait_list& list) noexcept;
    /// Wakes it where it is, once until it has looked.
    void nudge(wait_list& list) noexcept;

    /// Parks, giving up the lock, unless it has been granted meanwhile; would_park() has allowed it.
    place_end park(wait_list& list, parking& pause) noexcept;

    bool strict = false;  // nobody may overtake it
    bool nudged = false;  // it has been woken, and has not looked yet
    bool served = false;  // granted while it was nudged, which wakes it
};

}  // namespace weft::detail
