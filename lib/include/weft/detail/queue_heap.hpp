/// @file weft/detail/queue_heap.hpp
/// The storage of a priority_queue.  Floor: kit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/detail/queue_storage.hpp>

namespace weft {

/// Which of several equal items a priority_queue gives out: the one that came first, or any.
enum class ties : std::uint8_t { first_come, any };

namespace detail {

/// The smallest first: a binary heap. Elements are moved into a hole, so that T needs no assignment.
template <class T, class Compare, ties Equals>
class heap {
public:
    explicit heap(std::size_t room) : room_{room} {}
    ~heap() {
        while (size_ > 0) std::destroy_at(room_.at(--size_));
    }

    std::size_t room() const noexcept { return room_.count(); }
    std::size_t size() const noexcept { return size_; }
    const T& front() const noexcept { return room_[0].item; }

    void push(T&& item, std::uint64_t ticket) noexcept {
        entry added{std::move(item), ticket};
        std::size_t hole = size_++;
        for (; hole > 0 && goes_before(added, room_[(hole - 1) / 2]); hole = (hole - 1) / 2)
            room_.relocate(hole, (hole - 1) / 2);
        std::construct_at(room_.at(hole), std::move(added));
    }
    void pop(std::optional<T>& into) noexcept {
        into.emplace(std::move(room_[0].item));
        std::destroy_at(room_.at(0));
        if (--size_ == 0) return;
        entry last{std::move(room_[size_])};
        std::destroy_at(room_.at(size_));
        std::size_t hole = 0;
        for (std::size_t child; (child = 2 * hole + 1) < size_; hole = child) {
            if (child + 1 < size_ && goes_before(room_[child + 1], room_[child])) ++child;
            if (!goes_before(room_[child], last)) break;
            room_.relocate(hole, child);
        }
        std::construct_at(room_.at(hole), std::move(last));
    }

    static bool before(const returned<T>& one, const returned<T>& other) noexcept { return goes_before(one, other); }
    bool front_before(const returned<T>& one) const noexcept { return goes_before(room_[0], one); }

    void move_to(heap& larger) noexcept {
        for (std::size_t place = 0; place < size_; ++place) {
            std::construct_at(larger.room_.at(place), std::move(room_[place]));
            std::destroy_at(room_.at(place));
        }
        larger.size_ = std::exchange(size_, 0);
    }
    void swap(heap& other) noexcept {
        room_.swap(other.room_);
        std::swap(size_, other.size_);
    }

private:
    struct no_ticket {
        explicit constexpr no_ticket(std::uint64_t) noexcept {}
    };
    struct entry {
        entry(T&& moved, std::uint64_t number) noexcept : item{std::move(moved)}, ticket(number) {}

        T item;
        [[no_unique_address]] std::conditional_t<Equals == ties::first_come, std::uint64_t, no_ticket> ticket;
    };

    template <class One, class Other>
    static bool goes_before(const One& one, const Other& other) noexcept {
        if (Compare{}(one.item, other.item)) return true;
        if constexpr (Equals == ties::first_come)
            return one.ticket < other.ticket && !Compare{}(other.item, one.item);
        return false;
    }

    slots<entry> room_;
    std::size_t size_ = 0;
};

}  // namespace detail
}  // namespace weft
