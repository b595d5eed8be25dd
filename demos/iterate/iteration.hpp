/// @file iteration.hpp
/// Python's iteration protocol in C++: iter() asks a container for an iterator, next() asks that for a value,
/// and weft::stop_iteration says that there are no more.
#pragma once

#include <cstddef>
#include <iterator>
#include <ranges>
#include <string>
#include <utility>

#include <weft/stop_iteration.hpp>

namespace demo {

/// A range-for takes it.
template <class T>
concept iterable = std::ranges::range<T>;

/// It hands out values one at a time, and a range-for takes it, too. A weft::generator is one.
template <class T>
concept iterator = iterable<T> && requires(T& it) { it.next(); };

template <iterator I>
auto next(I& it) {
    return it.next();
}

/// What a range-for does with something that has next(): calls it until it throws stop_iteration.
template <class I>
class cursor {
public:
    using value_type = decltype(std::declval<I&>().next());
    using difference_type = std::ptrdiff_t;

    explicit cursor(I& it) : it_{&it} { ++*this; }
    const value_type& operator*() const { return value_; }
    cursor& operator++() {
        try {
            value_ = it_->next();
        } catch (const weft::stop_iteration_base&) {
            done_ = true;
        }
        return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const cursor& here, std::default_sentinel_t) { return here.done_; }

private:
    I* it_;
    value_type value_{};
    bool done_ = false;
};

/// What iter() gives for a standard container: where one has got to in it.
template <iterable Range>
class place_in {
public:
    explicit place_in(Range& range) : at_{std::ranges::begin(range)}, end_{std::ranges::end(range)} {}

    auto next() {
        if (at_ == end_) throw weft::stop_iteration<>{};
        return *at_++;
    }
    auto begin() { return cursor{*this}; }
    std::default_sentinel_t end() const { return {}; }

private:
    std::ranges::iterator_t<Range> at_;
    std::ranges::sentinel_t<Range> end_;
};

template <iterable Range>
auto iter(Range& range) {
    return place_in<Range>{range};
}

/// "1, 2, 3"
template <iterable Range>
std::string listed(Range&& numbers) {
    std::string text;
    for (const auto number : numbers) text += (text.empty() ? "" : ", ") + std::to_string(number);
    return text;
}

}  // namespace demo
