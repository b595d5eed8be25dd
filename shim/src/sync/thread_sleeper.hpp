// A thread without tasks in a line of the lot.  Floor: shim.
#pragma once

#include "task.hpp"

namespace weft::shim::sync {

struct thread_sleeper final : lot::sleeper {
    explicit thread_sleeper(const void* what, std::uint32_t mask = ~0u) noexcept : sleeper{what, mask} {
        sem_init(&woken_, 0, 0);
    }
    thread_sleeper(const thread_sleeper&) = delete;
    thread_sleeper& operator=(const thread_sleeper&) = delete;

    bool rouse() noexcept override {
        original().sem_post(&woken_);
        return false;
    }

    /// Blocks until it is taken or time is up; then it is in no line any more. A point where the thread may be cancelled.
    /// @returns 0 or ETIMEDOUT
    int wait(const time_limit& limit) {
        const originals& libc = original();
        const int before = errno;
        for (;;) {
            const int end = limit.until ? libc.sem_clockwait(&woken_, limit.clock, limit.until) : libc.sem_wait(&woken_);
            const bool late = end != 0 && errno != EINTR;
            errno = before;
            if (end == 0) break;
            if (late) return step_out() ? ETIMEDOUT : 0;
        }
        // Whoever woke this one may still hold the bucket's lock, and touches it until then.
        step_out();
        return 0;
    }
    /// @returns false if it had been taken
    bool step_out() noexcept { return lot::step_out(*this); }

private:
    sem_t woken_;
};

}  // namespace weft::shim::sync
