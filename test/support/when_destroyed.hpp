// A value that acts when it is destroyed.
#pragma once

#include <utility>

namespace test {

/// Calls `function` when it goes, unless it has been moved from.
template <class F>
class when_destroyed {
public:
    explicit when_destroyed(F function) : function_{std::move(function)} {}
    when_destroyed(when_destroyed&& other) noexcept
        : function_{std::move(other.function_)}, on_{std::exchange(other.on_, false)} {}
    when_destroyed& operator=(when_destroyed&&) = delete;
    ~when_destroyed() {
        if (on_) function_();
    }

private:
    F function_;
    bool on_ = true;
};

}  // namespace test
