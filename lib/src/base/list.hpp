// Intrusive doubly linked list.  Floor: base.
#pragma once

#include <cstddef>

namespace weft::detail {

/// Base of what can be in one list at a time. Knows by itself whether it is linked.
struct list_node {
    list_node* prev = nullptr;
    list_node* next = nullptr;

    bool linked() const noexcept { return next != nullptr; }
    void unlink() noexcept {
        prev->next = next;
        next->prev = prev;
        prev = next = nullptr;
    }
};

/// A ring of list_nodes around a head; T derives from list_node. Owns nothing.
template <class T>
class list {
public:
    list() noexcept { head_.prev = head_.next = &head_; }
    list(const list&) = delete;
    list& operator=(const list&) = delete;

    bool empty() const noexcept { return head_.next == &head_; }
    T* front() noexcept { return empty() ? nullptr : static_cast<T*>(head_.next); }
    T* back() noexcept { return empty() ? nullptr : static_cast<T*>(head_.prev); }
    T* after(T& node) noexcept { return node.next == &head_ ? nullptr : static_cast<T*>(node.next); }

    void push_back(T& node) noexcept { insert_before(head_, node); }
    void push_front(T& node) noexcept { insert_before(*head_.next, node); }

    T* pop_front() noexcept {
        T* first = front();
        if (first) first->unlink();
        return first;
    }

private:
    static void insert_before(list_node& where, list_node& node) noexcept {
        node.prev = where.prev;
        node.next = &where;
        where.prev->next = &node;
        where.prev = &node;
    }

    list_node head_;
};

}  // namespace weft::detail
