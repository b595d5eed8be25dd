/// @file weft/shared_mutex.hpp
/// A lock for one writer or many readers.  Floor: sync.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

/// Held by one writer, or shared by any number of readers; both may hold it across a wait. Meets
/// SharedTimedLockable, so std::unique_lock and std::shared_lock work on it.
///
/// Order:     first come, first served, readers and writers alike and whatever their hub: a waiting writer stops new
///            readers, and the readers who come after it are let in, together, when it is done. So neither kind
///            starves. Who holds a share and asks for another one while a writer waits would wait for
///            itself: shares are not recursive.
/// Threads:   any task of any hub and any plain OS thread. A hand-over to another thread costs microseconds.
/// Lifetime:  must outlive its waiters; destroying it while somebody waits aborts. Whoever has locked it after the
///            last other user may unlock and destroy it at once.
/// Cancel:    the waiting calls are cancellation points; a cancelled caller holds nothing, and those behind it
///            that may go in without it do so.
/// gevent:    none
class WEFT_API shared_mutex {
public:
    constexpr shared_mutex() noexcept = default;
    shared_mutex(const shared_mutex&) = delete;
    shared_mutex& operator=(const shared_mutex&) = delete;

    /// Locks it for writing. A caller that holds a share waits for itself, unseen: no share has an owner.
    /// @throws fiber_exit   the calling task was killed while it waited
    /// @throws lock_misuse  the caller writes already: it would wait for itself
    void lock() { (void)try_lock_until(deadline::never()); }
    [[nodiscard]] bool try_lock() noexcept;
    /// @returns whether the caller writes now; a deadline already past never parks
    [[nodiscard]] bool try_lock_until(deadline by);
    [[nodiscard]] bool try_lock_until(clock::time_point when) { return try_lock_until(deadline::at(when)); }
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> span) {
        return try_lock_until(from_now(span));
    }
    /// @throws lock_misuse  the caller does not write; nothing has changed
    void unlock();

    /// Takes a share, for reading.
    /// @throws fiber_exit, lock_misuse  as lock()
    void lock_shared() { (void)try_lock_shared_until(deadline::never()); }
    /// Takes a share if nobody writes or waits.
    [[nodiscard]] bool try_lock_shared() noexcept;
    /// @returns whether the caller has a share now; a deadline already past never parks
    [[nodiscard]] bool try_lock_shared_until(deadline by);
    [[nodiscard]] bool try_lock_shared_until(clock::time_point when) {
        return try_lock_shared_until(deadline::at(when));
    }
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_shared_for(std::chrono::duration<Rep, Period> span) {
        return try_lock_shared_until(from_now(span));
    }
    /// Gives a share back; any task may, since shares have no owners.
    /// @throws lock_misuse  nobody has a share; nothing has changed
    void unlock_shared();

private:
    template <class Rep, class Period>
    static deadline from_now(std::chrono::duration<Rep, Period> span) {
        return span < span.zero() ? deadline::past() : deadline::after(span);
    }
    bool wait_for_turn(deadline by, bool writes);
    void leave_slowly(std::uint64_t left);
    // With waiters_' lock held and the state waited for.
    void count_unheld() noexcept;
    void serve(std::uint64_t state) noexcept;

    // The number of readers times `reader`, `writer` while somebody writes, and `waited` while somebody waits: the
    // state is then changed under waiters_' lock only. Otherwise each call is one compare-exchange.
    static constexpr std::uint64_t waited = 1, writer = 2, reader = 4;

    std::atomic<std::uint64_t> state_{0};
    // The id of the fiber that writes, stored by that fiber; 0 while nobody does or the lock is on its way.
    std::atomic<std::uint64_t> owner_{0};
    std::uint64_t unheld_ = 0;  // shares that fibers of ending threads will give back without having got them
    detail::wait_list waiters_;
};

}  // namespace weft
