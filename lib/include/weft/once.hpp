/// @file weft/once.hpp
/// A function that runs once.  Floor: sync.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

#include <weft/detail/wait_list.hpp>

namespace weft {

/// std::once_flag and std::call_once for tasks: of all calls one runs its function, and the others wait until it has
/// returned. The function may wait.
///
/// Order:     if the function does not return, the caller that has waited longest runs its own next.
/// Threads:   any task of any hub and any plain OS thread may call anything at any time.
/// Lifetime:  must outlive its callers; destroying it while somebody waits aborts. Whoever returns from call() may
///            destroy it at once if nobody else will call.
/// Cancel:    call() is a cancellation point while it waits for another caller's function, and wherever the function
///            itself waits: a function that is killed has not returned, and the next caller's runs.
/// gevent:    no counterpart
class WEFT_API once {
public:
    constexpr once() noexcept = default;
    once(const once&) = delete;
    once& operator=(const once&) = delete;

    /// Runs `function(args...)` unless one has run already; then, and when it returns, one has run to its end, and
    /// what it wrote is visible.
    /// @throws anything     that the function throws: it has not run then, and the next call runs its own
    /// @throws fiber_exit   the calling task was killed while it waited for another one's function
    /// @throws lock_misuse  called by the function itself, which would wait for itself; the function goes on. Two
    ///                      functions that wait for each other's once are not noticed
    template <class F, class... A>
    void call(F&& function, A&&... args) {
        if (done() || !begin()) return;
        struct turn {
            once& of;
            bool returned = false;
            ~turn() { of.end(returned); }
        } mine{*this};
        std::invoke(std::forward<F>(function), std::forward<A>(args)...);
        mine.returned = true;
    }

    /// A function has run to its end.
    bool done() const noexcept { return done_.load(std::memory_order_acquire); }

private:
    bool begin();  // @returns whether the caller is to run its function
    void end(bool returned) noexcept;

    std::atomic<bool> done_{false};  // set under callers_' lock
    std::uint64_t runner_ = 0;       // the fiber that runs its function; 0 for none. Under callers_' lock
    detail::wait_list callers_;      // not empty only while somebody runs
};

}  // namespace weft
