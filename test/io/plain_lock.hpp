// A lock that is not weft's own, by way of the lot.
#pragma once

#include <atomic>

#include <weft/this_task.hpp>

#include "io/lot.hpp"

namespace test {

namespace io = weft::detail::io;
namespace lot = io::lot;

inline constexpr io::manner for_ever{"a line", weft::deadline::never(), io::signal_rule::ignores, true, false};

/// A lock that is not weft's own.
struct plain_lock {
    std::atomic<int> room{1};

    static bool attempt(void* p) {
        auto& me = *static_cast<plain_lock*>(p);
        int left = me.room.load();
        while (left > 0)
            if (me.room.compare_exchange_strong(left, left - 1)) return true;
        return false;
    }
    static bool more(void* p) { return static_cast<plain_lock*>(p)->room.load() > 0; }

    io::outcome lock(weft::deadline by = weft::deadline::never(), bool interruptible = false, bool passes = false) {
        lot::turn mine{attempt, this};
        mine.passes = passes;
        mine.more = more;
        return lot::take_turn(this, mine, {"a plain lock", by, io::signal_rule::ignores, true, interruptible});
    }
    void give(int count = 1) {
        room.fetch_add(count);
        lot::summon_if_any(this);
    }
};

/// Lets the other tasks come as far as they can without time.
inline void settle_all() {
    for (int i = 0; i < 4; ++i) weft::yield();
}

}  // namespace test
