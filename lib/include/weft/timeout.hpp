/// @file weft/timeout.hpp
/// Scopes that limit how long everything inside them may wait, and scopes that nothing interrupts.  Floor: sched.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/deadline.hpp>
#include <weft/detail/cancel_scope.hpp>
#include <weft/detail/export.hpp>

namespace weft {

namespace detail {
void throw_interruption();
}

class timeout;

/// Thrown at a wait whose timeout scope has expired. No std::exception, so that `catch (std::exception&)` lets it pass;
/// swallowed, it comes again at the next wait inside the scope. gevent: Timeout, as an exception
class WEFT_API timed_out {
public:
    /// It comes from this scope, which may have been left meanwhile.
    bool is(const timeout& scope) const noexcept;

private:
    friend class timeout;
    friend void detail::throw_interruption();
    explicit timed_out(std::uint64_t scope) noexcept : scope_{scope} {}
    std::uint64_t scope_;
};

/// While it lives, no wait of the fiber that made it outlasts its deadline: the wait ends as if it had been killed,
/// having taken nothing, and throws timed_out, or what the scope was given instead.
///
///     weft::timeout limit{2s};
///     try { talk_to(server); }                       // any depth of calls, any number of waits
///     catch (const weft::timed_out& e) { if (!e.is(limit)) throw; }
///
/// Order:     of nested scopes the one with the earliest deadline is thrown; of equal ones the outermost. A wait that
///            reaches a deadline of its own not later than the scope's answers for itself first; one that begins when
///            the scope has expired does not begin.
/// Threads:   cancel() and restart() work from any fiber of the thread; on another thread they throw wrong_thread.
/// Lifetime:  its fiber's. Destroying it elsewhere aborts, but once its fiber has ended, when it bounds nobody. It bounds that
///            fiber alone: not tasks it has spawned, not fibers it switches to.
/// Cancel:    what cannot be interrupted (a wait while an exception is in flight, or inside a shield) is not cut short.
///            Nothing is thrown at code that does not wait. An interposed C call is never torn: it answers ETIMEDOUT, and
///            the exception follows at weft's next wait, or at the scope's end.
/// gevent:    gevent.Timeout; with_timeout(..., fallback) for timeout_value, try_with_timeout() for Timeout(s, False)
class WEFT_API timeout : detail::cancel_scope {
public:
    /// Starts now. deadline::never() never fires; one that is past fires at the next wait.
    explicit timeout(deadline by);
    /// Throws `instead` in place of timed_out.
    /// @throws std::invalid_argument  it is empty
    timeout(deadline by, std::exception_ptr instead);

    /// Throws, unless an exception is in flight, what an interposed call has answered for and nobody has met since. What
    /// returns from the scope is lost then.
    ~timeout() noexcept(false);

    /// It will not fire any more, until it is restarted. Of no effect from another fiber once it has ended a wait.
    /// gevent: Timeout.cancel
    void cancel();
    /// Counts anew: a scope that has expired is as new. Of no effect from another fiber once it has ended a wait.
    void restart(deadline by);

    /// It may still fire, and its deadline has not passed.
    bool pending() const noexcept;
    /// Its deadline has passed, whether or not a wait has met it.
    bool expired() const noexcept;
    deadline by() const noexcept { return deadline::at(when); }

    /// Calls `function`, then throws what the destructor would. @returns what it returns
    template <std::invocable F>
    decltype(auto) run(F&& function) {
        if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
            std::invoke(std::forward<F>(function));
            throw_owed();
        } else {
            decltype(auto) result = std::invoke(std::forward<F>(function));
            throw_owed();
            return result;
        }
    }

private:
    friend class timed_out;
    bool may_change() const;
    void throw_owed();
};

/// While it lives, neither a kill nor a timeout from outside of it interrupts the fiber that made it; timeouts made inside
/// do. What came meanwhile comes at the first wait after it. Nests; belongs to its fiber as a timeout does.
/// The way to finish what must be finished: a reply that is half sent, a transaction.
class WEFT_API shield : detail::cancel_scope {
public:
    shield() : cancel_scope{true} {}
};

/// Calls `function` inside a timeout.
/// @throws timed_out  its own, or an outer one
/// gevent: with_timeout without timeout_value
template <std::invocable F>
decltype(auto) with_timeout(deadline by, F&& function) {
    timeout limit{by};
    return limit.run(std::forward<F>(function));
}

/// As above, but `fallback` is the result when its own timeout has cut the function short; an outer one passes.
/// gevent: with_timeout(..., timeout_value=fallback)
template <std::invocable F, std::convertible_to<std::invoke_result_t<F>> V>
std::invoke_result_t<F> with_timeout(deadline by, F&& function, V&& fallback) {
    timeout limit{by};
    try {
        return limit.run(std::forward<F>(function));
    } catch (const timed_out& late) {
        if (!late.is(limit)) throw;
    }
    return std::forward<V>(fallback);
}

/// The silent form. @returns what the function returned (true for void); empty (false) if its own timeout cut it short
/// gevent: Timeout(seconds, False)
template <std::invocable F>
auto try_with_timeout(deadline by, F&& function) {
    using result = std::invoke_result_t<F>;
    using answer = std::conditional_t<std::is_void_v<result>, bool, std::optional<result>>;
    timeout limit{by};
    try {
        if constexpr (!std::is_void_v<result>) return answer{limit.run(std::forward<F>(function))};
        else return limit.run(std::forward<F>(function)), true;
    } catch (const timed_out& late) {
        if (!late.is(limit)) throw;
    }
    return answer{};
}

}  // namespace weft
