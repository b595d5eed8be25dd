/// @file weft/timer.hpp
/// Calls a function later, once or again and again.  Floor: kit.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>

namespace weft {

namespace detail {
struct timer_core;

/// Rounded up; an absurdly long one is the longest.
template <class Rep, class Period>
clock::duration timer_span(std::chrono::duration<Rep, Period> span) {
    using seconds = std::chrono::duration<double>;
    if (!(span >= span.zero())) throw std::invalid_argument("weft: a timer's time is negative; use 0 for at once");
    if (seconds{span} >= seconds{clock::duration::max()}) return clock::duration::max();
    return std::chrono::ceil<clock::duration>(span);
}
}  // namespace detail

/// A function that runs when its time has come, in a task of the timer's own: it may wait, and delays no other timer.
/// The task lives from start() until nothing more is to be called.
///
/// Order:     timers of one hub that are due at the same time are called in the order in which they were started. The
///            calls of one timer never overlap.
/// Threads:   any task of any hub and any plain OS thread may call anything at any time. The function runs on the
///            hub that start() found its caller on; a timer that is started again before its task has ended stays
///            there.
/// Lifetime:  destroying it cancels it. A call in progress goes on, and so does the function's life until then; use
///            join() first if it uses what goes, too. When the hub's thread ends, so does what it has of timers.
/// Cancel:    join() is a cancellation point. A kill that reaches the timer's task, by the function's own doing, ends
///            the timer as cancel() does.
/// gevent:    loop.timer, threading.Timer
class WEFT_API timer {
public:
    /// Does not start it.
    /// @param function  what it throws is reported as unhandled (weft::on_unhandled), and a periodic timer goes on
    /// @param name      of its task, for reports
    explicit timer(std::function<void()> function, std::string name = "timer");
    ~timer();
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;

    /// Has the function called once, so long from now. If it is active already, that is what it waits for instead.
    /// @throws std::invalid_argument             a negative time
    /// @throws std::system_error, std::bad_alloc no memory for its task; it is not active then
    template <class Rep, class Period>
    void start(std::chrono::duration<Rep, Period> delay) {
        start_at(detail::timer_span(delay), clock::duration::zero());
    }

    /// Has the function called at now + n * period for n = 1, 2, ... Late calls do not move later ones. What has
    /// passed by the time that a call ends is skipped, and counted by missed().
    /// @throws std::invalid_argument  a time that is not above 0
    template <class Rep, class Period>
    void start_every(std::chrono::duration<Rep, Period> period) {
        const clock::duration span = detail::timer_span(period);
        if (span == span.zero()) throw std::invalid_argument("weft: a timer's period is 0; use a task that yields");
        start_at(span, span);
    }

    /// Starts it anew as it was started last, counted from now, whether it is active or not. Works in its own function.
    /// @throws std::logic_error  it has never been started
    void again();

    /// No call begins any more until it is started again. One in progress goes on. Works in its own function.
    void cancel() noexcept;

    /// A call is to come. Of one that runs once: false from the moment that it is called.
    bool active() const noexcept;

    /// Waits until no call is to come and none is in progress.
    /// @returns true then; false when the deadline has passed first
    /// @throws lock_misuse  called by the function, which would wait for itself
    /// @throws fiber_exit   the calling task was killed while it waited
    bool join(deadline by = deadline::never());

    std::uint64_t calls() const noexcept;   ///< begun, since it was made
    std::uint64_t missed() const noexcept;  ///< times of a periodic one that were skipped, since it was made

private:
    void start_at(clock::duration first, clock::duration period);

    std::shared_ptr<detail::timer_core> core_;  // shared with its task
};

}  // namespace weft
