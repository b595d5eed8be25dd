/// @file weft/deadline.hpp
/// A point in time that a wait ends at the latest.  Floor: sched.
#pragma once

#include <chrono>
#include <stdexcept>

#include <weft/detail/export.hpp>

namespace weft {

/// The clock of every wait: monotonic, and driven by hand in tests (weft::testing::manual_clock).
using clock = std::chrono::steady_clock;

/// Now, by the clock of this thread's hub.
WEFT_API clock::time_point now() noexcept;

/// Passed by value to waiting calls. A call that returns false has reached it; one that finds it already past
/// never parks. Converts from a duration, counted from now, so that `get(2s)` reads as it should.
class deadline {
public:
    /// Never: wait for as long as it takes.
    constexpr deadline() noexcept = default;
    static constexpr deadline never() noexcept { return {}; }
    /// Already past: try, but do not wait.
    static constexpr deadline past() noexcept { return at(clock::time_point::min()); }
    static constexpr deadline at(clock::time_point when) noexcept {
        deadline d;
        d.when_ = when;
        return d;
    }

    /// So long from now; an absurdly long time means never, it does not wrap round.
    /// @throws std::invalid_argument  the duration is negative or not a number
    template <class Rep, class Period>
    static deadline after(std::chrono::duration<Rep, Period> span) {
        using seconds = std::chrono::duration<double>;
        if (!(span >= span.zero()))
            throw std::invalid_argument("weft: a negative timeout; use 0 to try without waiting and "
                                        "deadline::never() to wait for ever");
        const auto start = now();
        const auto room = clock::time_point::max() - start;
        if (seconds{span} >= seconds{room}) return never();
        return at(start + std::chrono::ceil<clock::duration>(span));
    }

    template <class Rep, class Period>
    deadline(std::chrono::duration<Rep, Period> span) : deadline{after(span)} {}

    constexpr clock::time_point when() const noexcept { return when_; }
    constexpr bool is_never() const noexcept { return when_ == clock::time_point::max(); }
    bool is_past() const noexcept { return when_ == clock::time_point::min() || (!is_never() && when_ <= now()); }

private:
    clock::time_point when_ = clock::time_point::max();
};

}  // namespace weft
