/// @file weft/barrier.hpp
/// A place where a fixed number of tasks wait for each other, again and again.  Floor: sync.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <weft/deadline.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

/// A participant was killed or ran out of time, the completion function failed, or somebody called abort() or reset():
/// the others will not all come. gevent: threading.BrokenBarrierError
class WEFT_API barrier_broken : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Lets nobody through until as many have arrived as it was made for, then all of them, and begins its next phase.
///
/// A phase: the last one to arrive runs the completion function, if there is one; when that has returned, all
/// are let go. Until then a phase can break: by a participant that is killed or times out, also while the completion
/// function runs, and by an exception of that. A broken barrier throws barrier_broken at those who wait and at all
/// who arrive, until reset().
///
/// Order:     those who wait are let go in the order in which they arrived; the last one runs on. Who arrives while a
///            completion function runs is no participant of its phase: it waits and arrives when that is over.
/// Threads:   any task of any hub and any plain OS thread may call anything at any time.
/// Lifetime:  must outlive its waiters; destroying it while somebody waits aborts. Whoever is let go may destroy it at
///            once if nobody else will arrive.
/// Cancel:    arriving is a cancellation point while it waits; a participant that is killed breaks the barrier. One
///            that has been let go already is killed without breaking anything.
/// gevent:    threading.Barrier
class WEFT_API barrier {
public:
    /// @param parties  how many make a phase
    /// @throws std::invalid_argument  fewer than 1
    constexpr explicit barrier(std::ptrdiff_t parties) : parties_{counted(parties)} {}
    /// @param completion  called once a phase by its last participant, before anybody is let go. May wait; two phases'
    ///                    calls never overlap
    template <class F>
        requires std::is_invocable_v<std::decay_t<F>&>
    barrier(std::ptrdiff_t parties, F&& completion)
        : parties_{counted(parties)},
          completion_{std::make_unique<std::function<void()>>(std::forward<F>(completion))} {}
    barrier(const barrier&) = delete;
    barrier& operator=(const barrier&) = delete;

    /// Arrives and waits for the others.
    /// @returns a number below parties() that no other participant of the phase gets, counted in the order of
    ///          arrival: exactly one gets 0. parties() while the thread ends, when nothing can wait.
    /// @throws barrier_broken  see above; the caller has not been let through
    /// @throws lock_misuse     called by the completion function, which would wait for itself
    /// @throws fiber_exit      the calling task was killed while it waited; the barrier is broken
    /// @throws anything        that the completion function throws, for the last one to arrive; the barrier is broken
    std::size_t arrive_and_wait() { return arrive_and_wait(deadline::never()).value_or(parties_); }

    /// As arrive_and_wait().
    /// @param by  not reached by a completion function of the caller's: that runs for as long as it takes. One that has
    ///            already passed never parks
    /// @returns nothing if the deadline has passed first: the caller has not been let through, and has broken the
    ///          barrier if it had arrived. It has not if it only waited for an earlier phase's completion function
    std::optional<std::size_t> arrive_and_wait(deadline by);

    /// Breaks it: those who wait and those who arrive from now on get barrier_broken. Never switches.
    void abort() noexcept;

    /// Makes it whole and empty: those who wait get barrier_broken, who arrives from now on begins a new phase, and so
    /// does whoever waits only for a completion function's end. That of a phase in progress still runs to its end, and
    /// its caller then gets barrier_broken. Never switches.
    void reset() noexcept;

    bool broken() const noexcept;

    std::size_t parties() const noexcept { return parties_; }

    /// How many have arrived and wait in this phase, for logs and tests; stale after the next switch.
    std::size_t waiting() const noexcept;

private:
    static constexpr std::size_t counted(std::ptrdiff_t parties) {
        if (parties < 1) throw std::invalid_argument("weft: a barrier is for one party or more");
        return static_cast<std::size_t>(parties);
    }
    void run_completion();
    void end_phase(bool broken) noexcept;

    const std::size_t parties_;
    const std::unique_ptr<std::function<void()>> completion_;  // null for none
    // All under waiters_' lock. Those who have arrived come before those who wait for a completion's end.
    std::size_t arrived_ = 0;
    std::uint64_t phase_ = 0;    // goes on with each one that ends or breaks
    std::uint64_t runner_ = 0;   // the fiber that runs the completion function; 0 for none
    bool broken_ = false;
    mutable detail::wait_list waiters_;
};

}  // namespace weft
