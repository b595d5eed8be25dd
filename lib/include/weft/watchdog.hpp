/// @file weft/watchdog.hpp
/// Notices that something has not happened for too long.  Floor: kit.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>

#include <weft/detail/export.hpp>
#include <weft/timer.hpp>

namespace weft {

namespace detail {
struct watchdog_core;
}

/// From where a watchdog watches.
enum class watch_from {
    /// A task of the maker's hub: it sees that nobody feeds it, but not while the hub's thread is stuck. By the
    /// hub's clock, so also a manual one.
    task,
    /// A thread of the library's own: for a hub whose thread is stuck in a computation or a blocking call. The
    /// hub that it was made on feeds it by itself, twice a period, as long as it turns. By the real clock.
    thread,
};

/// Bites if it is not fed for a period: runs its action. Then it waits for another period, from the end of the action:
/// a dog that is never fed bites again and again, until stop() or its end.
///
/// Order:     of several dogs that bite at the same time none.
/// Threads:   any task of any hub and any plain OS thread may feed, stop or destroy it. The action runs in a task
///            of the maker's hub, or on the watching thread, where it should be quick and must not rely on the hub.
/// Lifetime:  destroying it stops it; an action in progress goes on, and so does the action's life until then. It stops
///            by itself when its hub's thread ends. A forked child has no watching thread.
/// Cancel:    nothing here waits.
/// gevent:    the monitor thread (GEVENT_MONITOR_THREAD_ENABLE, max_blocking_time)
class WEFT_API watchdog {
public:
    /// Watches from now on.
    /// @param action  by default one line on standard error: for how long it was not fed; from a thread also which task
    ///                hogs the hub's thread, by id and name, as far as the kernel lets a process look at itself. What
    ///                an action throws is reported as unhandled, and the dog goes on
    /// @throws std::invalid_argument             the period is not above 0
    /// @throws std::system_error, std::bad_alloc no memory for its task, or no thread
    template <class Rep, class Period>
    explicit watchdog(std::chrono::duration<Rep, Period> period, std::function<void()> action = {},
                      watch_from where = watch_from::task)
        : watchdog{where, detail::timer_span(period), std::move(action)} {}
    ~watchdog();
    watchdog(const watchdog&) = delete;
    watchdog& operator=(const watchdog&) = delete;

    /// The next bite is a period from now at the earliest. Cheap: one look at the clock and one store.
    void feed() noexcept;

    /// It bites no more. Idempotent.
    void stop() noexcept;

    std::uint64_t bites() const noexcept;  ///< begun

private:
    watchdog(watch_from where, clock::duration period, std::function<void()> action);

    std::shared_ptr<detail::watchdog_core> core_;  // shared with whoever watches
};

}  // namespace weft
