// Deadlines in order, without allocating.  Floor: sched.
#pragma once

#include <cstdint>

#include <weft/deadline.hpp>

namespace weft::detail {

/// An entry; lives on the stack of whoever waits.
struct deadline_node {
    clock::time_point when{};
    std::uint64_t sequence = 0;  // equal deadlines: first come, first served
    deadline_node* child = nullptr;
    deadline_node* next = nullptr;  // younger sibling
    deadline_node* prev = nullptr;  // older sibling, or the parent of a first child
    bool queued = false;
};

/// A pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986): insertion is constant, and so is the removal of
/// a deadline that never fires, amortised to a logarithm.
class deadline_queue {
public:
    void insert(deadline_node& node) noexcept;
    void erase(deadline_node& node) noexcept;
    /// The earliest, or null.
    deadline_node* first() const noexcept { return root_; }

private:
    static bool earlier(const deadline_node& a, const deadline_node& b) noexcept {
        return a.when != b.when ? a.when < b.when : a.sequence < b.sequence;
    }
    static deadline_node* meld(deadline_node* a, deadline_node* b) noexcept;
    static deadline_node* combine(deadline_node* first_sibling) noexcept;

    deadline_node* root_ = nullptr;
    std::uint64_t inserted_ = 0;
};

}  // namespace weft::detail
