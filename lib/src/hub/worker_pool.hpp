// Threads of the library's own that take work in turn.  Floor: hub.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include <weft/deadline.hpp>
#include <weft/detail/wait_list.hpp>
#include <weft/detail/work.hpp>

#include "base/list.hpp"

namespace weft::detail {

/// Threads are made on demand, up to a limit, and end after some idle time. They block every signal.
///
/// Order:    work is begun in the order of submit().
/// Threads:  any; joining from a task parks it. A thread of the pool may submit, and may destroy the pool.
/// Fork:     in the child a pool has neither threads nor work, and makes new ones.
/// Deadlock: the threads are the library's own, so idle ones do not hide that all others wait for ever. Work of a pool
///           that `counts` does, from submit() on: it may wake anybody.
class worker_pool : list_node {
public:
    /// @param idle  how long a thread without work stays; duration::max() for ever
    /// @throws std::system_error  forks cannot be watched
    worker_pool(int limit, clock::duration idle, bool counts);
    /// Closes; waits for all that was submitted and for the threads, which are past their thread-locals' destructors
    /// then. In a task this parks, and neither a kill nor a timeout ends it; where nothing may park it blocks.
    ~worker_pool();
    worker_pool(const worker_pool&) = delete;
    worker_pool& operator=(const worker_pool&) = delete;

    /// @returns 0; or an error number, and the work is the caller's again: ESHUTDOWN if the pool is closed, otherwise
    ///          why not even one thread can be made
    int submit(work& w) noexcept;

    /// Refuses further work and lets the threads go once there is none.
    void close() noexcept;
    bool closed() const noexcept;
    /// Drops what has not begun.
    void drop_queued() noexcept;

    /// Waits until nothing is queued or running. @returns false on time-out
    bool join(deadline by);
    /// Waits until less is queued and running than there may be threads.
    bool wait_for_room(deadline by);

    void set_limit(int most) noexcept;
    int limit() const noexcept;
    int threads() const noexcept;     // that take work
    int unfinished() const noexcept;  // queued and running

    /// The caller runs on one of this pool's threads.
    bool is_on_own_thread() const noexcept;

    // Around a fork, for every pool there is.
    static void before_fork() noexcept;
    static void after_fork(bool in_child) noexcept;

private:
    enum class reason : std::uint8_t { finished, room, left };
    struct waiting;
    struct worker;

    template <class T>
    T locked(const T& member) const noexcept;
    bool holds(reason what) const noexcept;
    void tell() noexcept;
    bool wait_until(reason what, deadline by, bool interruptible);
    void wait_for_threads() noexcept;
    work* take() noexcept;
    bool may_add() const noexcept { return idle_ < queued_ && threads_ < limit_; }
    int add_thread() noexcept;
    int no_thread(work& w, int error) noexcept;
    void drop_all(work* first, int error) noexcept;
    bool rest(std::uint32_t seen) noexcept;
    void finished() noexcept;
    void serve(worker& me) noexcept;
    void left() noexcept;
    void wake_all() noexcept;

    const clock::duration idle_limit_;
    const bool counts_;
    // The rest is guarded by waiters_' lock.
    mutable wait_list waiters_;
    int limit_;
    bool closed_ = false;
    work* first_ = nullptr;
    work* last_ = nullptr;
    int queued_ = 0;
    int unfinished_ = 0;
    int threads_ = 0;       // that take work
    int present_ = 0;       // and those on their way out
    int idle_ = 0;          // asleep, or about to
    int waking_ = 0;        // of these; may be less, which costs a call
    int wants_room_ = 0;    // of the waiters
    std::atomic<std::uint32_t> calls_{0};  // counts what idle threads, which sleep on it, are to look at
    std::uint32_t forks_ = 0;              // a thread that has forked is nobody's in the child
};

}  // namespace weft::detail
