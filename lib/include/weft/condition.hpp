/// @file weft/condition.hpp
/// Waiting, outside of a lock, until somebody says that what the lock guards has changed.  Floor: sync.
#pragma once

#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <utility>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

/// A condition variable for any lock that has lock() and unlock(): std::unique_lock over weft::mutex,
/// weft::recursive_mutex or weft::shared_mutex, one of these itself, or a std::unique_lock<std::mutex>, whose lock()
/// then blocks the thread. Of a recursive mutex one level is released, as by std::condition_variable_any; whoever holds
/// it twice waits with it held.
///
/// Order:     first come, first served: a notification goes to whoever has waited longest. How those who are woken
///            get the lock again is the lock's affair.
/// Threads:   any task of any hub and any plain OS thread may call anything at any time. Nobody has to hold the lock
///            to notify, but what a waiter looks at has to change under it.
/// Wake-ups:  none is lost from the moment on in which wait() releases the lock, and none is spurious: wait() ends
///            by a notification, its deadline or a kill.
/// Lifetime:  must outlive its waiters; destroying it while somebody waits aborts. Whoever returns from wait() may
///            destroy it at once if nobody else waits or will notify.
/// Cancel:    the waiting calls are cancellation points. The lock is held again whatever way they leave, and a kill
///            does not shorten that. A waiter that was notified and then killed hands the notification on.
/// gevent:    threading.Condition over gevent.lock.RLock
class WEFT_API condition {
public:
    constexpr condition() noexcept = default;
    condition(const condition&) = delete;
    condition& operator=(const condition&) = delete;

    /// Releases the lock, waits for a notification, and locks again.
    /// @throws fiber_exit       the calling task was killed meanwhile; the lock is held
    /// @throws blocking_in_hub  the lock was never released
    /// @throws anything         that lock.unlock() throws: the caller has not waited
    /// What lock.lock() throws but a kill cannot be survived: the program ends, as with std::condition_variable_any.
    template <class Lock>
    void wait(Lock& lock) {
        (void)wait_until(lock, deadline::never());
    }
    /// Waits until `pred()`, which is called with the lock held.
    template <class Lock, class Pred>
    void wait(Lock& lock, Pred pred) {
        while (!pred()) wait(lock);
    }

    /// @returns true if it was notified; false if the deadline came first, and then no notification was taken. A
    ///          deadline already past never parks and never releases the lock.
    template <class Lock>
    [[nodiscard]] bool wait_until(Lock& lock, deadline by) {
        const any_lock outer{std::addressof(lock), [](void* l) { static_cast<Lock*>(l)->lock(); },
                             [](void* l) { static_cast<Lock*>(l)->unlock(); }};
        return wait_outside(outer, by);
    }
    /// @returns what `pred()` said last
    template <class Lock, class Pred>
    [[nodiscard]] bool wait_until(Lock& lock, deadline by, Pred pred) {
        while (!pred())
            if (!wait_until(lock, by)) return pred();
        return true;
    }
    template <class Lock, class... Pred>
    [[nodiscard]] bool wait_until(Lock& lock, clock::time_point when, Pred... pred) {
        return wait_until(lock, deadline::at(when), std::move(pred)...);
    }

    /// wait_until(), counted from now; a negative time is one already past.
    template <class Lock, class Rep, class Period>
    [[nodiscard]] bool wait_for(Lock& lock, std::chrono::duration<Rep, Period> span) {
        return wait_until(lock, from_now(span));
    }
    template <class Lock, class Rep, class Period, class Pred>
    [[nodiscard]] bool wait_for(Lock& lock, std::chrono::duration<Rep, Period> span, Pred pred) {
        return wait_until(lock, from_now(span), std::move(pred));
    }

    /// Wakes the longest waiter, if any; never switches to it. For those who wait later nothing is kept.
    void notify_one() noexcept { notify(1); }
    /// Wakes the `count` longest waiters, or all if they are fewer. threading.Condition.notify(n)
    void notify(std::size_t count) noexcept;
    void notify_all() noexcept { notify(std::numeric_limits<std::size_t>::max()); }

private:
    struct any_lock {
        void* object;
        void (*lock)(void*);
        void (*unlock)(void*);
    };

    template <class Rep, class Period>
    static deadline from_now(std::chrono::duration<Rep, Period> span) {
        return span < span.zero() ? deadline::past() : deadline::after(span);
    }
    bool wait_outside(const any_lock& outer, deadline by);

    detail::wait_list waiters_;
};

}  // namespace weft
