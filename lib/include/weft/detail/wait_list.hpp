/// @file weft/detail/wait_list.hpp
/// Who waits for something, in order, from any thread.  Floor: sched.
#pragma once

#include <cstddef>
#include <cstdint>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>
#include <weft/detail/small_lock.hpp>

namespace weft::detail {

struct place;
struct waiter;
struct watch_access;

/// For a wait that was interrupted, once it has cleaned up: throws what interrupts the fiber (fiber_exit, timed_out, or
/// what stands for them). Returns only while another exception is in flight, where nothing may be thrown.
WEFT_API void exit_fiber();

enum class wait_end : std::uint8_t {
    granted,         // grant_first() chose this waiter; the lock is not held
    granted_killed,  // it was chosen, and interrupted too: hand on what was granted; the lock is not held
    timed_out,       // not chosen, no longer in the list; the lock is held
    killed,          // interrupted, by a kill or by a timeout scope; likewise
};

/// The list that every primitive is made of. The primitive's own state is guarded by the list's lock, so that
/// looking at it and joining the list are one step.
///
/// Order:    grant_first() takes the longest waiter.
/// Threads:  any; a waiter of another hub is woken by a post to it.
/// Lifetime: a node lives on its waiter's stack and has left the list before wait() returns, whatever woke
///           it. Destroying a list with waiters aborts, unless the process is ending. Whoever has been served may
///           destroy the list at once.
class WEFT_API wait_list {
public:
    constexpr wait_list() noexcept = default;
    ~wait_list() {
        // Whoever woke the destroyer may still be on its way out of the lock, and touches it no more then.
        if (lock_.held()) [[unlikely]] lock_.lock();
        if (first_) [[unlikely]] destroyed_with_waiters();
    }
    wait_list(const wait_list&) = delete;
    wait_list& operator=(const wait_list&) = delete;

    void lock() noexcept { lock_.lock(); }
    /// Threads that sleep and have been granted something are woken once the lock is free, since they may want it.
    void unlock() noexcept {
        if (owes_wakes_) [[unlikely]] unlock_and_wake();
        else lock_.unlock();
    }

    // The rest is called with the lock held.

    bool empty() const noexcept { return first_ == nullptr; }
    std::size_t size() const noexcept;
    bool size_is_one() const noexcept { return first_ && first_ == last_; }

    /// Joins the end of the list and parks the caller, giving up the lock.
    /// @param what  a word for reports, of static lifetime
    /// @param on    the primitive, for reports
    /// @param item  for the granting side: first_item()
    /// @param interruptible  false: a kill stays pending and does not end this wait
    /// @throws blocking_in_hub  the lock is not held then, and the caller is not in the list
    wait_end wait(deadline by, const char* what, const void* on, void* item = nullptr, bool interruptible = true);

    /// The same for waits that are given nothing which would have to go on to others; leaves without the lock.
    /// @returns whether it was granted; false on time-out, and where an interruption cannot throw
    bool wait_plainly(deadline by, const char* what, const void* on);

    /// What the longest waiter passed to wait().
    void* first_item() const noexcept;

    /// Takes the longest waiter out and makes it ready; the caller runs on.
    void grant_first() noexcept;
    void grant_all() noexcept {
        while (first_) grant_first();
    }

    /// For nodes that nobody parks on.
    void append(waiter& w) noexcept;
    void remove(waiter& w) noexcept;

private:
    friend place;

    void destroyed_with_waiters() noexcept;
    void unlock_and_wake() noexcept;

    waiter* first_ = nullptr;
    waiter* last_ = nullptr;
    small_lock lock_;
    bool owes_wakes_ = false;  // false whenever the lock is free
};

}  // namespace weft::detail
