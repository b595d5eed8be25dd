/// @file weft/thread_pool.hpp
/// Functions on OS threads of their own, for tasks that wait for them.  Floor: kit.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/deadline.hpp>
#include <weft/detail/pool_job.hpp>
#include <weft/future.hpp>

namespace weft {

namespace detail {
class worker_pool;
template <class F, class... A>
using pooled_t = std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>;
}  // namespace detail

/// A job was offered to a pool that is closed; it was not taken.
class WEFT_API pool_closed : public std::runtime_error {
public:
    pool_closed();
};

/// The outcome of a job that had not begun when its pool was terminated.
class WEFT_API job_dropped : public std::runtime_error {
public:
    job_dropped();
};

/// Up to so many threads that run jobs in turn. Threads are made when a job finds none idle, end when none has come for
/// a while, and block every signal. A job may use weft: its thread has a hub of its own, which turns while the job
/// waits; a task that a job leaves behind waits with it for the next one, and is unwound with the thread.
///
/// Order:     jobs begin in the order of spawn(). The queue has no bound and spawn() never waits; to hold back
///            call wait_available() first, as gevent's spawn does by itself.
/// Threads:   any task of any hub, any plain thread, callbacks of the hub and jobs may call anything, but what waits.
///            A job that waits for another one of its own pool may wait for ever once each thread does.
/// Lifetime:  the destructor closes, and waits for every job taken and for the threads, their thread-locals included;
///            a kill or a timeout does not end that. In a callback of the hub, where nothing may park, and while a
///            thread ends it blocks the thread. A job may destroy its own pool: the destructor waits for the others.
/// Cancel:    waiting calls are cancellation points of the caller; a job that has begun cannot be cancelled.
/// Deadlock:  a job that is queued or runs counts as something that may still wake somebody; an idle thread does not.
/// Fork:      in the child a pool is empty and makes threads anew; the parent's jobs have no outcome there. The child
///            of a job is that job alone, and ends when it returns.
/// Exit:      a static pool's destructor waits at exit() as any, but for a job that has called exit() itself. A pool that
///            is never destroyed holds nothing up.
/// gevent:    gevent.threadpool.ThreadPool, usable from any thread; concurrent.futures.ThreadPoolExecutor
class WEFT_API thread_pool {
public:
    /// @param max_threads   at once
    /// @param idle_timeout  how long a thread waits for a job before it ends; duration::max() for ever
    /// @throws std::invalid_argument  less than 1 thread, or a negative time
    explicit thread_pool(int max_threads, clock::duration idle_timeout = std::chrono::seconds{5});
    ~thread_pool();
    thread_pool(const thread_pool&) = delete;
    thread_pool& operator=(const thread_pool&) = delete;

    /// Has `function(args...)`, all decayed and moved into the job, called on a thread of the pool. What they hold is
    /// destroyed there before the outcome is known.
    /// @throws pool_closed        nothing was taken
    /// @throws std::system_error  there is no thread and none can be made; nothing was taken
    template <class F, class... A>
        requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
    future<detail::pooled_t<F, A...>> spawn(F&& function, A&&... args) {
        using job = detail::pool_job<detail::pooled_t<F, A...>, std::decay_t<F>, std::decay_t<A>...>;
        auto made = std::make_unique<job>(std::forward<F>(function), std::forward<A>(args)...);
        auto outcome = made->outcome();
        submit(*made);
        (void)made.release();  // the pool's
        return outcome;
    }

    /// spawn() and get(): waits for the value and returns it. If the caller is killed meanwhile the job goes on.
    /// @throws anything  that the function throws; also as spawn()
    template <class F, class... A>
        requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
    detail::pooled_t<F, A...> apply(F&& function, A&&... args) {
        return detail::future_value::take(spawn(std::forward<F>(function), std::forward<A>(args)...));
    }

    /// A job for each item of a range, which is copied into it; waits for all. The function is shared: several threads
    /// call it at once.
    /// @returns a vector of the values in the range's order; nothing if there are none
    /// @throws anything  that the function throws, the first in that order; the other jobs go on. Also as spawn()
    template <std::ranges::input_range Range, class F>
    auto map(Range&& range, F function) {
        using item = std::ranges::range_value_t<Range>;
        using value = std::invoke_result_t<F&, item>;
        static_assert(!std::is_reference_v<value>, "map() returns values: have the function return one");
        const auto shared = std::make_shared<F>(std::move(function));
        std::vector<future<value>> outcomes;
        for (auto&& one : range)
            outcomes.push_back(spawn([shared](item&& at) -> value { return std::invoke(*shared, std::move(at)); },
                                     item(one)));
        if constexpr (std::is_void_v<value>) {
            for (const auto& each : outcomes) each.get();
        } else {
            std::vector<value> values;
            values.reserve(outcomes.size());
            for (const auto& each : outcomes) values.push_back(detail::future_value::take(each));
            return values;
        }
    }

    /// Waits until no job is queued or running; it need not be closed, and others may spawn on. In a job of this pool
    /// it throws lock_misuse, since it would never return.
    void join() { (void)join(deadline::never()); }
    /// @returns false when the deadline has passed first
    bool join(deadline by);

    /// Waits until fewer jobs are queued or running than there may be threads: the next spawn() begins at once, unless
    /// somebody else spawns before. gevent: spawn() on a full pool
    /// @returns false when the deadline has passed first
    bool wait_available(deadline by = deadline::never());

    /// No more jobs: spawn() throws. Those that are queued still run. Idempotent.
    void close() noexcept;
    /// close(), and what has not begun never does: job_dropped is its outcome. Waits for nobody. gevent: kill
    void terminate() noexcept;
    bool closed() const noexcept;

    int max_size() const noexcept;
    /// More threads come at once for what is queued; those that are too many end with their job.
    /// @throws std::invalid_argument  less than 1
    void set_max_size(int threads);
    /// Threads now. Like the next one for logs and tests: it changes by itself.
    int size() const noexcept;
    /// Jobs queued or running; one whose outcome has just become known may still count. gevent: len()
    int unfinished() const noexcept;

private:
    void submit(detail::work& job);

    std::unique_ptr<detail::worker_pool> workers_;
};

}  // namespace weft
