#include "sched/deadline_queue.hpp"

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
    node.child = node.next = node.prev = nullptr;
    node.queued = true;
    root_ = meld(root_, &node);
}

void deadline_queue::erase(deadline_node& node) noexcept {
    node.queued = false;
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
    node.next = node.prev = nullptr;
}

}  // namespace weft::detail
