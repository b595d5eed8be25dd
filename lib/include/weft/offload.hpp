/// @file weft/offload.hpp
/// Blocking work on another thread, while this one's tasks go on.  Floor: hub.
#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/detail/export.hpp>

namespace weft {

namespace detail {
WEFT_API void call_in_pool(void (*function)(void*), void* argument);
}  // namespace detail

/// How many threads offload() may use at once, 10 or the number of processors, whichever is more, unless it is
/// set. What is beyond waits for its turn, first come, first served. Threads are made on demand and end after 5 idle
/// seconds; those that are too many end with what they are doing.
/// @throws std::invalid_argument  less than 1
/// gevent: hub.threadpool_size
WEFT_API void set_offload_limit(int threads);
WEFT_API int offload_limit();

/// Calls `function(args...)` on a thread of a pool and waits for it: for what blocks and cannot be polled, or computes
/// for long. Everything is passed by reference, so it may name what lies in the caller's frame.
///
/// Threads:  from any task, which parks, and from any plain thread, whose work goes through the pool alike. What runs
///           in this pool already and offloads calls at once, so that it never waits for its own thread. The function
///           sees the pool thread's thread-locals, with every signal blocked. It may use weft: the thread has a hub of
///           its own, which turns while it waits; a task that it leaves behind waits with that.
/// Cancel:   not a cancellation point. The function may use the caller's frame, so nothing ends this wait but its
///           return: a kill, a timeout or the thread's end stay pending and come at the next wait.
/// Exit:     exit() in a task does not wait for what runs in the pool. Where tasks are unwound, at the end of their
///           thread and when main returns or calls exit(), the function is waited for.
/// @returns what the function returns
/// @throws anything           that it throws: the same object
/// @throws blocking_in_hub    in a callback of the hub; nothing was started
/// @throws std::system_error  there is no thread and none can be made; nothing was called
/// gevent:   hub.threadpool.apply
template <class F, class... A>
    requires std::invocable<F, A...>
std::invoke_result_t<F, A...> offload(F&& function, A&&... args) {
    using result = std::invoke_result_t<F, A...>;
    using stored = std::conditional_t<
        std::is_void_v<result>, bool,
        std::conditional_t<std::is_reference_v<result>, std::remove_reference_t<result>*, std::remove_cv_t<result>>>;
    std::optional<stored> value;
    std::exception_ptr error;
    const auto call = [&] {
        if constexpr (std::is_void_v<result>) {
            std::invoke(std::forward<F>(function), std::forward<A>(args)...);
        } else if constexpr (std::is_reference_v<result>) {
            result&& named = std::invoke(std::forward<F>(function), std::forward<A>(args)...);
            value = std::addressof(named);
        } else {
            value.emplace(std::invoke(std::forward<F>(function), std::forward<A>(args)...));
        }
    };
    const auto guarded = [&]() noexcept {
        try {
            call();
        } catch (...) {
            error = std::current_exception();
        }
    };
    detail::call_in_pool([](void* body) { (*static_cast<decltype(guarded)*>(body))(); },
                         const_cast<void*>(static_cast<const void*>(std::addressof(guarded))));
    if (error) std::rethrow_exception(error);
    if constexpr (std::is_reference_v<result>) return static_cast<result>(**value);
    else if constexpr (!std::is_void_v<result>) return std::move(*value);
}

}  // namespace weft
