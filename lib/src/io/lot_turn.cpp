// Turns at a lock that is not weft's own.
#include "io/lot_line.hpp"
#include "io/signals.hpp"

namespace weft::detail::io::lot {
namespace {

// A thread that ends parks nobody, and whoever would have to give the lock back may never run again: after many looks
// the fiber is left behind.
void try_while_unwinding(const turn& mine, const manner& how) {
    while (!mine.attempt(mine.with)) refuse(how.what);
}

manner until_next_try(const turn& mine, manner how) {
    if (mine.again.count() == 0) return how;
    const deadline soon = deadline::after(mine.again);
    if (how.by.is_never() || soon.when() < how.by.when()) how.by = soon;
    return how;
}

enum class standing : std::uint8_t { in_line, got_it, left };

/// One sleeper's way through the line.
class place_in_line {
public:
    place_in_line(const void* address, const turn& mine) noexcept
        : me_{address}, b_{bucket_of(address)}, mine_{mine}, address_{address} {}

    /// @returns whether the first try did it; else it stands in line
    bool enter() noexcept {
        holding held{b_};
        const sleeper* const head = first_at(b_, address_);
        const bool may_try = !head || !head->strict || mine_.passes;
        if (may_try && mine_.attempt(mine_.with)) return true;
        append(b_, me_);
        if (!may_try) return false;
        // Who gave it back before it could see this one in line has told nobody.
        full_fence();
        if (!mine_.attempt(mine_.with)) return false;
        leave(held, true);
        return true;
    }

    /// Woken for whatever reason.
    standing try_again(bool leaves) {
        for (;;) {
            {
                holding held{b_};
                if (me_.node.now != grant_status::posted) return try_in(held, leaves);
            }
            me_.node.await_delivery(scheduler::here());
        }
    }

private:
    standing try_in(holding& held, bool leaves) noexcept {
        const bool first = first_at(b_, address_) == &me_;
        const bool got_it = (first || mine_.passes) && mine_.attempt(mine_.with);
        if (got_it || leaves) {
            leave(held, got_it);
            return got_it ? standing::got_it : standing::left;
        }
        if (me_.summoned) me_.strict = true;
        me_.summoned = false;
        me_.node.now = grant_status::waiting;
        me_.node.token = scheduler::here().next_token();
        return standing::in_line;
    }

    // What it was told is for the next, if it has not taken it, or not all of it; and who has stood behind a strict one
    // has perhaps not tried yet.
    void leave(holding& held, bool got_it) noexcept {
        take_out(b_, me_);
        const bool for_next = got_it ? mine_.more && mine_.more(mine_.with) : me_.summoned || me_.strict;
        if (for_next) summon_first(b_, address_, held);
    }

    fiber_sleeper me_;
    bucket& b_;
    const turn& mine_;
    const void* const address_;
};

}  // namespace

void refuse(const char* what) {
    scheduler::here().look_at_end(what);
}

outcome take_turn(const void* address, const turn& mine, const manner& how) {
    if (this_thread().unwinding) {
        try_while_unwinding(mine, how);
        return outcome::ready;
    }
    place_in_line place{address, mine};
    if (place.enter()) return outcome::ready;
    for (;;) {
        outcome end;
        try {
            end = outcome_of(park(until_next_try(mine, how), address, false));
        } catch (...) {
            if (place.try_again(true) == standing::got_it) return outcome::ready;
            throw;
        }
        const bool late = end == outcome::timed_out && (mine.again.count() == 0 || how.by.is_past());
        const bool leaves = late || end == outcome::interrupted || end == outcome::killed;
        const standing now = place.try_again(leaves);
        if (now == standing::got_it) return outcome::ready;
        if (now == standing::in_line) continue;
        if (end != outcome::killed || how.interruptible) return end;
        try_while_unwinding(mine, how);
        return outcome::ready;
    }
}

}  // namespace weft::detail::io::lot
