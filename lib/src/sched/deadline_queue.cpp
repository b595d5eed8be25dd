#include "sched/deadline_queue.hpp"

#include <bit>
#include <utility>

namespace weft::detail {

deadline_node* deadline_queue::meld(deadline_node* a, deadline_node* b) noexcept {
    if (!a) return b;
    if (!b) return a;
    if (earlier(*b, *a)) std::swap(a, b);
    b->prev = a;
    b->next = a->child;
    if (b->next) b->next->prev = b;
    a->child = b;
    return a;
}

// Pairs siblings from left to right, then melds the pairs from right to left.
deadline_node* deadline_queue::combine(deadline_node* sibling) noexcept {
    deadline_node* pairs = nullptr;  // newest pair first, linked by prev
    while (sibling) {
        deadline_node* a = sibling;
        deadline_node* b = a->next;
        sibling = b ? b->next : nullptr;
        a->next = a->prev = nullptr;
        if (b) b->next = b->prev = nullptr;
        deadline_node* pair = meld(a, b);
        pair->prev = pairs;
        pairs = pair;
    }
    deadline_node* result = nullptr;
    while (pairs) {
        deadline_node* older = std::exchange(pairs->prev, nullptr);
        result = meld(result, pairs);
        pairs = older;
    }
    return result;
}

void deadline_queue::insert(deadline_node& node) noexcept {
    node.sequence = ++inserted_;
    node.queued = true;
    place(node);
}

void deadline_queue::erase(deadline_node& node) noexcept {
    node.queued = false;
    if (node.slot >= 0) erase_from_slot(node);
    else erase_from_heap(node);
}

void deadline_queue::place(deadline_node& node) noexcept {
    const std::int64_t tick = tick_of(node.when);
    const std::int64_t block = tick >> slot_shift;
    std::int64_t slot;
    if (tick < floor_ || block - (floor_ >> slot_shift) >= slots) {
        node.slot = -1;
        node.child = node.next = node.prev = nullptr;
        root_ = meld(root_, &node);
        return;
    }
    if (tick - floor_ < slots) slot = tick & (slots - 1);
    else slot = slots + (block & (slots - 1));
    const auto index = static_cast<std::size_t>(slot);
    node.slot = static_cast<std::int16_t>(slot);
    node.prev = nullptr;
    node.next = slot_[index];
    if (node.next) node.next->prev = &node;
    slot_[index] = &node;
    bits_[index / 64] |= std::uint64_t{1} << index % 64;
    ++in_wheel_;
}

void deadline_queue::erase_from_slot(deadline_node& node) noexcept {
    const auto index = static_cast<std::size_t>(node.slot);
    if (node.prev) node.prev->next = node.next;
    else if (!(slot_[index] = node.next)) bits_[index / 64] &= ~(std::uint64_t{1} << index % 64);
    if (node.next) node.next->prev = node.prev;
    --in_wheel_;
}

void deadline_queue::erase_from_heap(deadline_node& node) noexcept {
    deadline_node* children = combine(std::exchange(node.child, nullptr));
    if (&node == root_) {
        root_ = children;
    } else {
        if (node.prev->child == &node) node.prev->child = node.next;
        else node.prev->next = node.next;
        if (node.next) node.next->prev = node.prev;
        root_ = meld(root_, children);
    }
    if (root_) root_->prev = root_->next = nullptr;
}

// Places anew what is in a slot, by the floor that is now.
void deadline_queue::pour(std::size_t slot) noexcept {
    deadline_node* node = std::exchange(slot_[slot], nullptr);
    bits_[slot / 64] &= ~(std::uint64_t{1} << slot % 64);
    while (node) {
        deadline_node* const next = node->next;
        --in_wheel_;
        place(*node);
        node = next;
    }
}

// Every slot before `tick` is poured.
void deadline_queue::advance(std::int64_t tick) noexcept {
    if (tick - floor_ >= slots * slots) {
        floor_ = tick;
        for (std::size_t slot = 0; in_wheel_ > 0 && slot < slot_.size(); ++slot) pour(slot);
    }
    while (floor_ < tick) {
        if (in_wheel_ == 0) {
            floor_ = tick;
            return;
        }
        const auto slot = static_cast<std::size_t>(floor_ & (slots - 1));
        // An empty word of the bits is passed in one step.
        const bool skip = slot % 64 == 0 && bits_[slot / 64] == 0 && tick - floor_ >= 64;
        floor_ += skip ? 64 : 1;
        if (!skip) pour(slot);
        if (floor_ % slots == 0) pour(static_cast<std::size_t>(slots + (floor_ >> slot_shift) % slots));
    }
}

// The first occupied one of a level's slots, counted on from `from`, or from + slots.
std::int64_t deadline_queue::occupied(std::size_t level, std::int64_t from) const noexcept {
    const std::size_t base = level * static_cast<std::size_t>(slots) / 64;
    const auto first = static_cast<std::size_t>(from & (slots - 1));
    constexpr std::size_t words = slots / 64;
    for (std::size_t i = 0; i <= words; ++i) {
        const std::size_t word = (first / 64 + i) % words;
        std::uint64_t bits = bits_[base + word];
        if (i == 0) bits &= ~std::uint64_t{0} << first % 64;
        if (i == words) bits &= ~(~std::uint64_t{0} << first % 64);
        if (bits == 0) continue;
        const auto at = static_cast<std::int64_t>(word * 64) + std::countr_zero(bits);
        return from + ((at - static_cast<std::int64_t>(first)) & (slots - 1));
    }
    return from + slots;
}

deadline_node* deadline_queue::due(clock::time_point now) noexcept {
    const std::int64_t tick = tick_of(now);
    if (tick >= floor_) advance(tick + 1);
    return root_ && root_->when <= now ? root_ : nullptr;
}

clock::time_point deadline_queue::next() noexcept {
    const auto start_of = [](std::int64_t tick) {
        return clock::time_point{clock::duration{tick * (std::int64_t{1} << tick_shift)}};
    };
    while (in_wheel_ > 0) {
        const std::int64_t tick = occupied(0, floor_);
        const std::int64_t block = occupied(1, (floor_ >> slot_shift) + 1) * slots;
        const clock::time_point start = start_of(tick < block && tick < floor_ + slots ? tick : block);
        if (root_ && root_->when < start) break;
        if (start == start_of(block)) return start;  // a slot of ticks at the same time is poured with it
        advance(tick + 1);
    }
    return root_ ? root_->when : clock::time_point::max();
}

}  // namespace weft::detail
