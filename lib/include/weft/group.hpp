/// @file weft/group.hpp
/// Tasks that live no longer than a scope.  Floor: kit.
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/deadline.hpp>
#include <weft/detail/group_core.hpp>
#include <weft/task.hpp>

namespace weft {

/// A nursery: leaving its scope waits for every task that was spawned in it. The first one that fails has the others
/// killed, and its error is thrown by join(), or by the end of the scope.
///
///     {
///         weft::group g;
///         g.spawn(serve, one);
///         g.spawn(serve, other);
///     }  // both have ended; throws what the first that failed has thrown
///
/// Order:     members run as tasks do. After a failure the others are killed at once, those that were spawned first
///            first, before whoever joins runs.
/// Threads:   any may spawn, join and kill; a member runs on the thread that has spawned it.
/// Lifetime:  a scope's. When it is left by an exception the members are killed and waited for; that exception goes on,
///            and their failures are reported (on_unhandled). While the thread ends nobody can wait: members that still
///            live are then let go, killed.
/// Cancel:    join() is a cancellation point; interrupted there, or in the end of the scope, the caller kills the members
///            and waits for them before the exception leaves the scope. A failure does not interrupt the code inside the
///            scope itself: it meets it in join(). failed() tells.
/// Failures:  each is kept; failures() gives the first and the others with it. None of them is reported as unhandled but
///            those that are still unseen when the group ends, the first one, thrown, apart. A killed member has not failed.
/// gevent:    gevent.pool.Group, whose join(raise_error=True) throws the first error without ending the others
class group {
public:
    group() noexcept : core_{detail::group_core::on_error::kills_siblings} {}
    group(const group&) = delete;
    group& operator=(const group&) = delete;

    /// Waits, and throws the first failure unless join() has, or an exception is in flight.
    ~group() noexcept(false) { leave(); }

    /// As weft::spawn. Once the group has failed, or was killed, the task is killed before it runs.
    template <class F, class... A>
        requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
    task<detail::spawned_t<F, A...>> spawn(const fiber_options& options, F&& function, A&&... args) {
        return detail::spawn_member(core_, false, options, std::forward<F>(function), std::forward<A>(args)...);
    }
    template <class F, class... A>
        requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
    task<detail::spawned_t<F, A...>> spawn(F&& function, A&&... args) {
        return spawn(fiber_options{}, std::forward<F>(function), std::forward<A>(args)...);
    }

    /// Makes a member of a task that runs already, of whichever thread; one that has ended counts as a member that ends now.
    /// @returns false if it is one already. gevent: Group.add
    template <class T>
    bool add(const task<T>& running) {
        return core_.add(detail::task_access::block(running));
    }
    /// A task that was added is let go: the group neither waits for it nor ends it any more.
    /// @returns whether it was; one that was spawned here stays. gevent: Group.discard
    template <class T>
    bool discard(const task<T>& member) noexcept {
        return core_.discard(detail::task_access::block(member));
    }
    template <class T>
    bool contains(const task<T>& member) const noexcept {
        return core_.contains(detail::task_access::block(member));
    }

    /// Waits until no member is left; more may be spawned afterwards.
    /// @returns true; false if the deadline passed first
    /// @throws anything     what the first member that failed has thrown: the same object, once
    /// @throws fiber_exit, timed_out  the caller was interrupted; the members go on until the group ends
    /// @throws lock_misuse  a member joins its own group, which would wait for itself
    WEFT_API bool join(deadline by = deadline::never());

    /// Kills every member, and waits for their end; tasks that are spawned later are killed, too. A member that calls it
    /// is killed itself, at once, and waits for nobody.
    /// @returns whether all have ended by then
    bool kill(deadline by = deadline::never()) { return kill(nullptr, by); }
    /// @param reason  as task::kill(reason); null for fiber_exit
    WEFT_API bool kill(const std::exception_ptr& reason, deadline by = deadline::never());

    /// Members that have not ended; stale after the next switch.
    std::size_t size() const noexcept { return core_.size(); }
    bool empty() const noexcept { return size() == 0; }

    /// A member has failed, and the others have been killed.
    bool failed() const noexcept { return core_.failed(); }
    /// What the members that failed have thrown, the first one first; to ask is to have seen them.
    std::vector<std::exception_ptr> failures() const { return core_.failures(); }

private:
    WEFT_API void leave();

    detail::group_core core_;
};

}  // namespace weft
