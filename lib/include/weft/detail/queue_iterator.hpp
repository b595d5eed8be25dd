/// @file weft/detail/queue_iterator.hpp
/// Takes the items of a queue or channel one by one.  Floor: kit.
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>

#include <weft/deadline.hpp>

namespace weft::detail {

/// An input iterator that holds the item it has taken. At the end, which is std::default_sentinel, once there is none.
template <class Core>
class queue_iterator {
public:
    using value_type = typename Core::value_type;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    explicit queue_iterator(Core& from) : from_{&from} { ++*this; }

    value_type& operator*() const noexcept { return *item_; }
    queue_iterator& operator++() {
        item_.reset();
        from_->get(item_, deadline::never());
        return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const queue_iterator& at, std::default_sentinel_t) noexcept { return !at.item_; }

private:
    Core* from_;
    mutable std::optional<value_type> item_;
};

}  // namespace weft::detail
