/// @file weft/detail/queue_storage.hpp
/// Where the items of a queue lie, and which of them comes out next.  Floor: kit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace weft::detail {

// Everything here runs under a queue's lock but for constructors and destructors, which allocate and free.

/// An item that was on its way to a getter that a kill has ended. Each item has a ticket, by when it came.
template <class T>
struct returned {
    T item;
    std::uint64_t ticket;
    returned* next = nullptr;
};

/// What has come back, the next to come out first.
template <class T>
class returned_chain {
public:
    constexpr returned_chain() noexcept = default;
    ~returned_chain() {
        while (first_) delete take_first();
    }
    returned_chain(const returned_chain&) = delete;
    returned_chain& operator=(const returned_chain&) = delete;

    std::size_t size() const noexcept { return size_; }
    const returned<T>& first() const noexcept { return *first_; }

    template <class Before>
    void insert(returned<T>& one, const Before& before) noexcept {
        returned<T>** at = &first_;
        while (*at && !before(one, **at)) at = &(*at)->next;
        one.next = *at;
        *at = &one;
        ++size_;
    }
    returned<T>* take_first() noexcept {
        --size_;
        return std::exchange(first_, first_->next);
    }
    void swap(returned_chain& other) noexcept {
        std::swap(first_, other.first_);
        std::swap(size_, other.size_);
    }

private:
    returned<T>* first_ = nullptr;
    std::size_t size_ = 0;
};

/// Room for so many elements, which are made and destroyed one by one by others.
template <class E>
class slots {
public:
    explicit slots(std::size_t count) : first_{count ? std::allocator<E>{}.allocate(count) : nullptr}, count_{count} {}
    ~slots() {
        if (first_) std::allocator<E>{}.deallocate(first_, count_);
    }
    slots(const slots&) = delete;
    slots& operator=(const slots&) = delete;

    std::size_t count() const noexcept { return count_; }
    E& operator[](std::size_t at) const noexcept { return first_[at]; }
    E* at(std::size_t place) const noexcept { return first_ + place; }
    void relocate(std::size_t to, std::size_t from) noexcept {
        std::construct_at(at(to), std::move(first_[from]));
        std::destroy_at(at(from));
    }
    void swap(slots& other) noexcept {
        std::swap(first_, other.first_);
        std::swap(count_, other.count_);
    }

private:
    E* first_;
    std::size_t count_;
};

/// First in, first out: a ring.
template <class T>
class fifo {
public:
    explicit fifo(std::size_t room) : room_{room} {}
    ~fifo() {
        for (; size_ > 0; --size_) std::destroy_at(room_.at(std::exchange(first_, after(first_))));
    }

    std::size_t room() const noexcept { return room_.count(); }
    std::size_t size() const noexcept { return size_; }
    const T& front() const noexcept { return room_[first_]; }

    void push(T&& item, std::uint64_t) noexcept {
        std::size_t end = first_ + size_;
        if (end >= room_.count()) end -= room_.count();
        std::construct_at(room_.at(end), std::move(item));
        ++size_;
    }
    void pop(std::optional<T>& into) noexcept {
        into.emplace(std::move(room_[first_]));
        std::destroy_at(room_.at(first_));
        first_ = after(first_);
        --size_;
    }

    /// Which of two returned items comes out first, and whether front() does so before one.
    static bool before(const returned<T>& one, const returned<T>& other) noexcept { return one.ticket < other.ticket; }
    bool front_before(const returned<T>&) const noexcept { return false; }

    void move_to(fifo& larger) noexcept {
        for (; size_ > 0; --size_) {
            larger.push(std::move(room_[first_]), 0);
            std::destroy_at(room_.at(std::exchange(first_, after(first_))));
        }
    }
    void swap(fifo& other) noexcept {
        room_.swap(other.room_);
        std::swap(first_, other.first_);
        std::swap(size_, other.size_);
    }

private:
    std::size_t after(std::size_t place) const noexcept { return place + 1 == room_.count() ? 0 : place + 1; }

    slots<T> room_;
    std::size_t first_ = 0;
    std::size_t size_ = 0;
};

/// Last in, first out: a stack.
template <class T>
class lifo {
public:
    explicit lifo(std::size_t room) : room_{room} {}
    ~lifo() {
        while (size_ > 0) std::destroy_at(room_.at(--size_));
    }

    std::size_t room() const noexcept { return room_.count(); }
    std::size_t size() const noexcept { return size_; }
    const T& front() const noexcept { return room_[size_ - 1]; }

    void push(T&& item, std::uint64_t) noexcept { std::construct_at(room_.at(size_++), std::move(item)); }
    void pop(std::optional<T>& into) noexcept {
        into.emplace(std::move(room_[--size_]));
        std::destroy_at(room_.at(size_));
    }

    static bool before(const returned<T>& one, const returned<T>& other) noexcept { return one.ticket > other.ticket; }
    /// Nothing was inside when the returned one was given away: whatever is, came later.
    bool front_before(const returned<T>&) const noexcept { return true; }

    void move_to(lifo& larger) noexcept {
        for (std::size_t place = 0; place < size_; ++place) {
            larger.push(std::move(room_[place]), 0);
            std::destroy_at(room_.at(place));
        }
        size_ = 0;
    }
    void swap(lifo& other) noexcept {
        room_.swap(other.room_);
        std::swap(size_, other.size_);
    }

private:
    slots<T> room_;
    std::size_t size_ = 0;
};

/// A channel's: nothing is ever inside but what has come back.
template <class T>
class nowhere {
public:
    constexpr explicit nowhere(std::size_t) noexcept {}

    static constexpr std::size_t room() noexcept { return 0; }
    static constexpr std::size_t size() noexcept { return 0; }
    const T& front() const noexcept { __builtin_unreachable(); }
    void push(T&&, std::uint64_t) noexcept { __builtin_unreachable(); }
    void pop(std::optional<T>&) noexcept { __builtin_unreachable(); }
    static bool before(const returned<T>& one, const returned<T>& other) noexcept { return one.ticket < other.ticket; }
    bool front_before(const returned<T>&) const noexcept { return false; }
    void move_to(nowhere&) noexcept {}
    void swap(nowhere&) noexcept {}
};

}  // namespace weft::detail
