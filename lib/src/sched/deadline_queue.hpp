// Deadlines in order, without allocating.  Floor: sched.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <weft/deadline.hpp>

namespace weft::detail {

/// An entry; lives on the stack of whoever waits.
struct deadline_node {
    clock::time_point when{};
    std::uint64_t sequence = 0;  // equal deadlines: first come, first served
    deadline_node* child = nullptr;
    deadline_node* next = nullptr;  // younger sibling; or the next of a slot
    deadline_node* prev = nullptr;  // older sibling, or the parent of a first child; or the one before in a slot
    bool queued = false;
    std::int16_t slot = -1;         // of the wheel; -1: in the heap
};

/// A pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986) behind a timer wheel (Varghese, Lauck 1987). What is due
/// within minutes lies unsorted in a slot of about a millisecond or of half a second, and enters the heap when its
/// time comes near: a deadline that never fires costs two list operations, and the heap stays small enough for the
/// caches. Later ones are in the heap from the start. Order is the heap's, to the nanosecond.
class deadline_queue {
public:
    void insert(deadline_node& node) noexcept;
    void erase(deadline_node& node) noexcept;
    /// The earliest if it is due by then, or null. Called with the time often enough, it keeps up the wheel.
    deadline_node* due(clock::time_point now) noexcept;
    /// No deadline is due before it: exact within half a second, else perhaps that much too early.
    clock::time_point next() noexcept;

private:
    static constexpr int tick_shift = 20;  // 1.05 ms
    static constexpr int slot_shift = 9;
    static constexpr std::int64_t slots = std::int64_t{1} << slot_shift;  // of a tick, and as many of `slots` ticks

    static std::int64_t tick_of(clock::time_point when) noexcept {
        return when.time_since_epoch().count() >> tick_shift;
    }
    static bool earlier(const deadline_node& a, const deadline_node& b) noexcept {
        return a.when != b.when ? a.when < b.when : a.sequence < b.sequence;
    }
    static deadline_node* meld(deadline_node* a, deadline_node* b) noexcept;
    static deadline_node* combine(deadline_node* first_sibling) noexcept;

    void place(deadline_node& node) noexcept;
    void erase_from_heap(deadline_node& node) noexcept;
    void erase_from_slot(deadline_node& node) noexcept;
    void pour(std::size_t slot) noexcept;
    void advance(std::int64_t tick) noexcept;
    std::int64_t occupied(std::size_t level, std::int64_t from) const noexcept;

    deadline_node* root_ = nullptr;
    std::uint64_t inserted_ = 0;
    std::int64_t floor_ = 0;       // what is due in an earlier tick is in the heap
    std::size_t in_wheel_ = 0;
    // Ticks floor_ to floor_ + slots - 1; then blocks of so many ticks, after the one that floor_ is in.
    std::array<deadline_node*, 2 * slots> slot_{};
    std::array<std::uint64_t, 2 * slots / 64> bits_{};  // which of them are not empty
};

}  // namespace weft::detail
