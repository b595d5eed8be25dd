// The quick ways through a gate.  Floor: sync.
#pragma once

#include <weft/detail/gate.hpp>

#include "fiber/thread.hpp"

namespace weft::detail {

inline void gate::note_taker(const thread& t) noexcept {
    last_taker_.store(&t, std::memory_order_relaxed);
    taken_in_.store(t.turn, std::memory_order_relaxed);
}

inline bool gate::take_unwaited(thread& t) noexcept {
    std::uint64_t seen = state_.load(std::memory_order_relaxed);
    // Acquire: what the giver of this permit wrote before is visible.
    while (seen >= one && seen % one == 0)
        if (state_.compare_exchange_weak(seen, seen - one, std::memory_order_acquire, std::memory_order_relaxed)) {
            note_taker(t);
            return true;
        }
    return false;
}

// Nobody of this thread waits, or the one who does is ready and would not run before the thread's turn is over.
inline bool gate::may_pass(const thread* t, std::uint64_t state) const noexcept {
    const void* const there = waiting_thread_.load(std::memory_order_relaxed);
    if (state & open) return there != this && !(t && there == t->box);
    return (state & passing) && t && there == t->box && passing_in_.load(std::memory_order_relaxed) == t->turn;
}

inline bool gate::take_past(thread& t) noexcept {
    std::uint64_t seen = state_.load(std::memory_order_relaxed);
    while (seen >= one && may_pass(&t, seen))
        if (state_.compare_exchange_weak(seen, seen - one, std::memory_order_acquire, std::memory_order_relaxed)) {
            note_taker(t);
            return true;
        }
    return false;
}

// Whoever is on the way will look.
inline bool gate::give_past(const thread* t) noexcept {
    std::uint64_t seen = state_.load(std::memory_order_relaxed);
    return seen < one && may_pass(t, seen) &&
           state_.compare_exchange_strong(seen, seen + one, std::memory_order_release, std::memory_order_relaxed);
}

inline bool gate::try_take(thread& t) noexcept { return take_unwaited(t) || try_slowly(t); }

inline bool gate::take(thread& t, deadline by, const char* what, const void* on) {
    return take_unwaited(t) || take_past(t) || take_slowly(t, by, what, on);
}

inline void gate::give(std::uint64_t permits) noexcept {
    std::uint64_t seen = state_.load(std::memory_order_relaxed);
    while (seen % one == 0)
        // Release: what the giver wrote before is the next taker's to see.
        if (state_.compare_exchange_weak(seen, seen + permits * one, std::memory_order_release,
                                         std::memory_order_relaxed))
            return;
    if (permits != 1 || !give_past(this_thread_if_any())) give_slowly(permits);
}

inline void gate::give_only(const thread& t) noexcept {
    std::uint64_t seen = state_.load(std::memory_order_relaxed);
    if (seen != 0) {
        if (give_past(&t)) return;
    } else if (state_.compare_exchange_strong(seen, one, std::memory_order_release, std::memory_order_relaxed)) {
        return;
    }
    give_slowly(1);
}

}  // namespace weft::detail
