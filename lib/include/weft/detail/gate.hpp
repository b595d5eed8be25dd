/// @file weft/detail/gate.hpp
/// A number of permits and who waits for one: what mutexes and semaphores are made of.  Floor: sync.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include <weft/deadline.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft::detail {

struct parking;
struct place;
struct thread;
class mailbox;

/// Order:    first come, first served among the fibers of one thread, but that who takes a permit and gives it back
///           without letting another fiber run may do so again, until it does: who waits could not have run, either.
///           A running thread may take a free permit past waiters of other threads until these have waited for
///           `patience`, each by its own hub's clock; from then on nobody overtakes them, and give() hands over.
/// Threads:  any.
/// Lifetime: give() touches nothing once the permit can be taken, but for the list's lock, which ~wait_list() takes.
///           Whoever has taken a permit may destroy the gate at once.
class WEFT_API gate {
public:
    static constexpr clock::duration patience = std::chrono::milliseconds{1};

    constexpr explicit gate(std::uint64_t permits) noexcept : state_{permits * one} {}
    gate(const gate&) = delete;
    gate& operator=(const gate&) = delete;

    /// One permit if it is the caller's turn and one is free; never parks.
    bool try_take(thread& t) noexcept;

    /// One permit, waiting for it. @returns false on time-out, and where a kill cannot throw; nothing is taken then
    /// @param what, on  for reports, as wait_list::wait() takes them
    bool take(thread& t, deadline by, const char* what, const void* on);

    void give(std::uint64_t permits) noexcept;
    /// give(1) by the holder of the only permit.
    void give_only(const thread& t) noexcept;

    std::uint64_t free() const noexcept { return state_.load(std::memory_order_relaxed) / one; }

    /// From now on, until as many end_watch(), all of `watchers` are granted whenever a permit is left free.
    void begin_watch(wait_list& watchers) noexcept;
    void end_watch() noexcept;

private:
    // The state is the number of free permits times `one`, with these bits.
    //   none:        nobody waits; permits come and go by one compare-exchange.
    //   waited:      somebody waits, or did; the state is changed under waiters_' lock only.
    //   and open:    somebody is on the way to what is free, and nobody has waited for long: threads without a waiter
    //                of their own here take a permit and give the only one by a compare-exchange.
    //   or passing:  the only permit is free, a waiter is ready to look for it, and all waiters are of its thread:
    //                that thread does so as long as its turn is `passing_in_`.
    static constexpr std::uint64_t waited = 1, open = 2, passing = 4, one = 8;

    void note_taker(const thread& t) noexcept;
    bool take_unwaited(thread& t) noexcept;
    bool may_pass(const thread* t, std::uint64_t state) const noexcept;
    bool take_past(thread& t) noexcept;
    bool give_past(const thread* t) noexcept;
    bool leave_to_pass(const thread* t, std::uint64_t state) noexcept;
    bool try_slowly(thread& t) noexcept;
    bool take_slowly(thread& t, deadline by, const char* what, const void* on);
    bool queue_up(thread& t, std::uint64_t state, parking& pause);
    void give_slowly(std::uint64_t permits) noexcept;
    bool spin(thread& t) noexcept;

    // With waiters_' lock held: close() makes the state the lock holder's, who works on a copy and settles it.
    std::uint64_t close() noexcept;
    void settle(std::uint64_t state) noexcept;
    bool turn_of(const mailbox* home, const place* waiting) const noexcept;
    std::uint64_t serve(std::uint64_t state, const mailbox* here) noexcept;
    place* reachable(const mailbox* here) const noexcept;
    void grant(place& p) noexcept;
    void join(place& p) noexcept;
    void leave(place& p) noexcept;
    void be_strict(place& p) noexcept;

    std::atomic<std::uint64_t> state_;
    std::atomic<const void*> last_taker_{nullptr};  // a thread, and its turn then
    std::atomic<std::uint64_t> taken_in_{0};
    std::atomic<std::uint64_t> passing_in_{0};
    // The mailbox of the thread that all waiters belong to, or `this` for several; valid while somebody waits. A
    // thread that does not find itself here has no waiter in the list, since it alone could have put one in.
    std::atomic<const void*> waiting_thread_{nullptr};
    std::uint32_t nudged_ = 0;  // waiters that are on their way to look
    std::uint32_t strict_ = 0;  // waiters that nobody may overtake
    std::uint32_t watching_ = 0;          // while > 0 every change goes by the lock
    wait_list* watchers_ = nullptr;
    wait_list waiters_;
};

}  // namespace weft::detail
