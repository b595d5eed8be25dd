/// @file weft/spawn_later.hpp
/// Tasks that start at some time.  Floor: sched.
#pragma once

#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>
#include <weft/task.hpp>

namespace weft {

namespace detail {

/// Of the running task: until then it counts as not started.
WEFT_API void sleep_unstarted(deadline at);

/// A function that the task starts only at some time; until then it counts as not started.
template <class F>
struct delayed {
    deadline at;
    F function;

    template <class... A>
    decltype(auto) operator()(A&&... args) && {
        sleep_unstarted(at);
        return std::invoke(std::move(function), std::forward<A>(args)...);
    }
};

}  // namespace detail

/// As spawn(), but `function` is not called before `at`; the task can be joined and killed meanwhile. Equal times: in the
/// order of these calls.
/// @throws std::invalid_argument  a negative time, and as spawn()
/// gevent: gevent.spawn_later
template <class F, class... A>
    requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
task<detail::spawned_t<F, A...>> spawn_later(const fiber_options& options, deadline at, F&& function, A&&... args) {
    return spawn(options, detail::delayed<std::decay_t<F>>{at, std::forward<F>(function)}, std::forward<A>(args)...);
}

template <class F, class... A>
    requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
task<detail::spawned_t<F, A...>> spawn_later(deadline at, F&& function, A&&... args) {
    return spawn_later(fiber_options{}, at, std::forward<F>(function), std::forward<A>(args)...);
}

}  // namespace weft
