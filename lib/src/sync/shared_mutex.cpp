#include <weft/shared_mutex.hpp>

#include <weft/error.hpp>

#include "sched/scheduler.hpp"

namespace weft {
namespace {

std::uint64_t self() { return detail::this_thread().current->block->id; }

}  // namespace

bool shared_mutex::try_lock() noexcept {
    std::uint64_t nobody = 0;
    if (!state_.compare_exchange_strong(nobody, writer, std::memory_order_acquire, std::memory_order_relaxed))
        return false;
    owner_.store(self(), std::memory_order_relaxed);
    return true;
}

bool shared_mutex::try_lock_shared() noexcept {
    std::uint64_t seen = state_.load(std::memory_order_relaxed);
    while (!(seen & (writer | waited)))
        if (state_.compare_exchange_weak(seen, seen + reader, std::memory_order_acquire, std::memory_order_relaxed))
            return true;
    return false;
}

bool shared_mutex::try_lock_until(deadline by) {
    if (try_lock()) return true;
    const std::uint64_t me = self();
    // Only the caller itself can have stored its own id.
    if (owner_.load(std::memory_order_relaxed) == me)
        throw lock_misuse("weft: the caller has locked this shared mutex already and would wait for itself");
    if (!wait_for_turn(by, true)) return false;
    owner_.store(me, std::memory_order_relaxed);
    return true;
}

bool shared_mutex::try_lock_shared_until(deadline by) {
    if (try_lock_shared()) return true;
    if (owner_.load(std::memory_order_relaxed) == self())
        throw lock_misuse("weft: the caller has locked this shared mutex for writing and would wait for itself to "
                          "read; unlock() first");
    return wait_for_turn(by, false);
}

bool shared_mutex::wait_for_turn(deadline by, bool writes) {
    waiters_.lock();
    std::uint64_t seen = state_.load(std::memory_order_relaxed);
    // Either it is free now and taken, or whoever leaves is told to look for waiters.
    for (;;) {
        const bool free = seen == 0 || (!writes && !(seen & (writer | waited)));
        const std::uint64_t wanted = !free ? seen | waited : writes ? writer : seen + reader;
        if (!state_.compare_exchange_weak(seen, wanted, std::memory_order_acquire, std::memory_order_relaxed)) continue;
        if (!free) break;
        waiters_.unlock();
        return true;
    }
    detail::wait_end end;
    try {
        end = waiters_.wait(by, writes ? "a shared mutex, to write" : "a shared mutex, to read", this, &writes);
    } catch (...) {
        waiters_.lock();
        serve(state_.load(std::memory_order_relaxed));
        waiters_.unlock();
        throw;
    }
    switch (end) {
        case detail::wait_end::granted: return true;
        case detail::wait_end::granted_killed:
            leave_slowly(writes ? writer : reader);
            detail::exit_fiber();
            if (!writes && by.is_never()) count_unheld();
            return false;
        case detail::wait_end::timed_out:
        case detail::wait_end::killed:
            // Those behind it may be able to go in now.
            serve(state_.load(std::memory_order_relaxed));
            waiters_.unlock();
            if (end == detail::wait_end::timed_out) return false;
            detail::exit_fiber();
            if (!writes && by.is_never()) count_unheld();
            return false;
    }
    __builtin_unreachable();
}

// In a destructor of a fiber whose thread ends: lock_shared() returns there, and its caller takes that for a success.
void shared_mutex::count_unheld() noexcept {
    waiters_.lock();
    ++unheld_;
    waiters_.unlock();
}

void shared_mutex::serve(std::uint64_t state) noexcept {
    while (const auto* const writes = static_cast<const bool*>(waiters_.first_item())) {
        if (state & writer || (*writes && state >= reader)) break;
        state += *writes ? writer : reader;
        state_.store(state, std::memory_order_release);  // whoever is let in may run, and leave, at once
        waiters_.grant_first();
    }
    state = waiters_.empty() ? state & ~waited : state | waited;
    state_.store(state, std::memory_order_release);
}

void shared_mutex::leave_slowly(std::uint64_t left) {
    waiters_.lock();
    std::uint64_t seen = state_.load(std::memory_order_relaxed);
    while (!(seen & waited))
        if (state_.compare_exchange_weak(seen, seen - left, std::memory_order_release, std::memory_order_relaxed)) {
            waiters_.unlock();
            return;
        }
    serve(seen - left);
    waiters_.unlock();
}

void shared_mutex::unlock() {
    detail::thread& t = detail::this_thread();
    if (owner_.load(std::memory_order_relaxed) != t.current->block->id) [[unlikely]] {
        if (t.unwinding) return;  // its lock() could not wait for it any more
        throw lock_misuse("weft: unlock() of a shared mutex that the caller has not locked for writing; a share is "
                          "given back by unlock_shared()");
    }
    owner_.store(0, std::memory_order_relaxed);
    std::uint64_t seen = writer;
    if (!state_.compare_exchange_strong(seen, 0, std::memory_order_release, std::memory_order_relaxed))
        leave_slowly(writer);
}

void shared_mutex::unlock_shared() {
    if (detail::this_thread().unwinding) [[unlikely]] {
        waiters_.lock();
        const bool unheld = unheld_ > 0;
        unheld_ -= unheld;
        waiters_.unlock();
        if (unheld) return;
    }
    std::uint64_t seen = state_.load(std::memory_order_relaxed);
    while (seen >= reader && !(seen & waited))
        if (state_.compare_exchange_weak(seen, seen - reader, std::memory_order_release, std::memory_order_relaxed))
            return;
    if (seen < reader)
        throw lock_misuse("weft: unlock_shared() of a shared mutex of which nobody has a share; who has locked it for "
                          "writing calls unlock()");
    leave_slowly(reader);
}

}  // namespace weft
