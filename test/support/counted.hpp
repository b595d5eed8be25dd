// A move-only value that knows how many of its kind live and how many were destroyed with their content.
#pragma once

#include <utility>

namespace test {

/// `full` ones own something: exactly one of each value that travels.
class counted {
public:
    explicit counted(int number) noexcept : number{number}, owner_{true} { ++alive; }
    counted(counted&& other) noexcept : number{other.number}, owner_{std::exchange(other.owner_, false)} {}
    counted& operator=(counted&&) = delete;
    ~counted() {
        if (owner_) --alive, ++destroyed;
    }

    static void reset() noexcept { alive = destroyed = 0; }

    int number;
    static inline int alive = 0;
    static inline int destroyed = 0;

private:
    bool owner_;
};

}  // namespace test
