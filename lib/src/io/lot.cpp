#include "io/lot.hpp"

#include <algorithm>
#include <climits>
#include <new>

#include "base/sys.hpp"
#include "io/lot_line.hpp"
#include "io/signals.hpp"

namespace weft::detail::io::lot {

constinit bucket buckets[std::size_t{1} << bucket_bits]{};

void append(bucket& b, sleeper& who) noexcept {
    b.count.store(b.count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    who.prev = b.last;
    who.next = nullptr;
    (b.last ? b.last->next : b.first) = &who;
    b.last = &who;
}

void take_out(bucket& b, sleeper& who) noexcept {
    (who.prev ? who.prev->next : b.first) = who.next;
    (who.next ? who.next->prev : b.last) = who.prev;
    b.count.store(b.count.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

sleeper* first_at(const bucket& b, const void* address) noexcept {
    for (sleeper* at = b.first; at; at = at->next)
        if (at->address.load(std::memory_order_relaxed) == address) return at;
    return nullptr;
}

void summon_first(bucket& b, const void* address, holding& held) noexcept {
    sleeper* const head = first_at(b, address);
    if (!head || head->summoned) return;
    head->summoned = true;
    held.owes |= head->rouse();
}

void summon(const void* address) noexcept {
    bucket& b = bucket_of(address);
    holding held{b};
    summon_first(b, address, held);
}

void give_way(const void* address) noexcept {
    bucket& b = bucket_of(address);
    constexpr timespec nap{0, 50'000};
    for (int naps = 0; naps < 20; ++naps) {
        {
            const holding held{b};
            const sleeper* const head = first_at(b, address);
            if (!head || !head->strict) return;
        }
        sys::call(SYS_nanosleep, sys::word(&nap), 0);
    }
}

void line_up(sleeper& who) noexcept {
    bucket& b = bucket_of(who.address.load(std::memory_order_relaxed));
    const holding held{b};
    append(b, who);
}

bool line_up_if(sleeper& who, attempt_of unchanged, void* with) noexcept {
    bucket& b = bucket_of(who.address.load(std::memory_order_relaxed));
    const holding held{b};
    append(b, who);
    // Whoever changes it and then asks whether anybody sleeps: one of the two sees the other.
    full_fence();
    if (unchanged(with)) return true;
    take_out(b, who);
    return false;
}

bool step_out(sleeper& who) noexcept {
    for (;;) {
        bucket& b = bucket_of(who.address.load(std::memory_order_relaxed));
        const holding held{b};
        if (who.taken) return false;
        if (&bucket_of(who.address.load(std::memory_order_relaxed)) != &b) continue;  // moved meanwhile
        take_out(b, who);
        return true;
    }
}

namespace {

/// Calls `what` for up to `most` sleepers of an address that share a bit. @returns how many
template <class What>
int for_first(bucket& b, const void* address, int most, std::uint32_t bits, What what) noexcept {
    int count = 0;
    for (sleeper* at = b.first; at && count < most;) {
        sleeper* const next = at->next;
        if (at->address.load(std::memory_order_relaxed) == address && (at->bits & bits) != 0) {
            take_out(b, *at);
            what(*at);
            ++count;
        }
        at = next;
    }
    return count;
}

int awaken_in(bucket& b, const void* address, int most, std::uint32_t bits, holding& held) noexcept {
    return for_first(b, address, most, bits, [&](sleeper& who) {
        who.taken = true;
        held.owes |= who.rouse();
    });
}

int count_at(const bucket& b, const void* address) noexcept {
    int count = 0;
    for (const sleeper* at = b.first; at; at = at->next) count += at->address.load(std::memory_order_relaxed) == address;
    return count;
}

bool still_in_line(const sleeper& who) noexcept {
    for (;;) {
        bucket& b = bucket_of(who.address.load(std::memory_order_relaxed));
        const holding held{b};
        if (who.taken) return false;
        if (&bucket_of(who.address.load(std::memory_order_relaxed)) == &b) return true;
    }
}

}  // namespace

int awaken(const void* address, int most, std::uint32_t bits) noexcept {
    bucket& b = bucket_of(address);
    holding held{b};
    return awaken_in(b, address, most, bits, held);
}

bool complete(sleeper& who, unsigned size) noexcept {
    const void* const address = who.address.load(std::memory_order_relaxed);
    bucket& b = bucket_of(address);
    holding held{b};
    if (static_cast<unsigned>(count_at(b, address)) + 1 < size) {
        append(b, who);
        return false;
    }
    awaken_in(b, address, INT_MAX, ~0u, held);
    return true;
}

requeued requeue(const void* from, const void* to, int most, int moved, attempt_of unchanged, void* with) noexcept {
    bucket& a = bucket_of(from);
    bucket& b = bucket_of(to);
    bucket& lower = &a < &b ? a : b;
    holding first{lower};
    if (&a != &b) (&lower == &a ? b : a).lock.lock();
    requeued done{-1, 0};
    if (unchanged(with)) {
        done.woken = awaken_in(a, from, most, ~0u, first);
        // Whoever comes to stand behind himself would come up again and again.
        if (from == to) done.moved = std::min(moved, count_at(a, from));
        else done.moved = for_first(a, from, moved, ~0u, [&](sleeper& who) {
            who.address.store(to, std::memory_order_relaxed);
            append(b, who);
        });
    }
    if (&a != &b) (&lower == &a ? b : a).lock.unlock();
    return done;
}

fiber_sleeper::fiber_sleeper(const void* what, std::uint32_t mask) noexcept
    : sleeper{what, mask}, node{this_thread(), scheduler::here().next_token()} {}
fiber_sleeper::~fiber_sleeper() = default;

bool fiber_sleeper::rouse() noexcept { return node.grant(); }

outcome fiber_sleeper::doze(const manner& how) {
    wake cause;
    node.token = scheduler::here().next_token();
    try {
        cause = park(how, address.load(std::memory_order_relaxed), false);
    } catch (...) {
        if (!step_out(*this)) node.await_delivery(scheduler::here());
        throw;
    }
    if (cause == wake::timed_out && still_in_line(*this)) return outcome::timed_out;
    if (step_out(*this)) return outcome_of(cause);
    node.await_delivery(scheduler::here());
    return outcome::ready;
}

outcome fiber_sleeper::wait(const manner& how) {
    const outcome end = doze(how);
    if (end != outcome::timed_out || step_out(*this)) return end;
    node.await_delivery(scheduler::here());
    return outcome::ready;
}

void fiber_sleeper::leave() {
    if (!step_out(*this)) node.await_delivery(scheduler::here());
}

void after_fork() noexcept {
    for (bucket& b : buckets) {
        new (&b.lock) small_lock;  // perhaps held by a thread that does not exist here
        b.count.store(0, std::memory_order_relaxed);
        b.first = b.last = nullptr;
    }
    forget_courier();
}

}  // namespace weft::detail::io::lot
