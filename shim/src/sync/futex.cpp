// futex waits that programs make by syscall(): std::atomic's wait, std::counting_semaphore, latch, barrier and future.
#include "futex.hpp"

#include <climits>

#include <linux/futex.h>

#include "base/sys.hpp"
#include "core.hpp"

namespace weft::shim::sync {
namespace {

namespace sys = detail::sys;

long answer(long result) noexcept {
    if (result >= 0 || result < -4095) return result;
    errno = static_cast<int>(-result);
    return -1;
}

struct word_is {
    const std::int32_t* word;
    std::int32_t value;
    static bool still(void* p) noexcept {
        const auto& me = *static_cast<const word_is*>(p);
        return __atomic_load_n(me.word, __ATOMIC_SEQ_CST) == me.value;
    }
};

struct request {
    const std::int32_t* word;
    int operation;
    long value, timeout, other, last;

    int command() const noexcept { return operation & FUTEX_CMD_MASK; }
    bool is_private() const noexcept { return (operation & FUTEX_PRIVATE_FLAG) != 0; }
    long to_kernel() const noexcept {
        return sys::call(SYS_futex, sys::word(word), operation, value, timeout, other, last);
    }
};

deadline deadline_of(const request& r) {
    const auto* const span = reinterpret_cast<const timespec*>(r.timeout);
    if (!span) return deadline::never();
    if (r.command() == FUTEX_WAIT) return after(*span);
    const bool real = (r.operation & FUTEX_CLOCK_REALTIME) != 0;
    return time_limit{real ? CLOCK_REALTIME : CLOCK_MONOTONIC, span}.as_deadline();
}

// The kernel looks first, without waiting: at the address, the time, the flags, and whether the word has changed.
// @returns 0 if it would wait, else what it says
long look(const request& r) noexcept {
    static constexpr timespec past{0, 0};
    const auto* const span = reinterpret_cast<const timespec*>(r.timeout);
    if (span && !valid(*span)) return r.to_kernel();
    request now = r;
    now.timeout = sys::word(&past);
    const long result = now.to_kernel();
    return result == -ETIMEDOUT ? 0 : result;
}

// One sleep. @returns as the kernel
long sleep(const request& r, std::uint32_t bits, deadline by) {
    word_is same{r.word, static_cast<std::int32_t>(r.value)};
    lot::fiber_sleeper me{r.word, bits};
    if (!lot::line_up_if(me, word_is::still, &same)) return -EAGAIN;
    switch (me.wait({"a futex", by, io::signal_rule::restarts, true, false})) {
        case io::outcome::ready: return 0;
        case io::outcome::timed_out: return -ETIMEDOUT;
        default: return -EINTR;
    }
}

long wait(const request& r) {
    WEFT_TELL_WAIT(syscall);
    if (const long said = look(r)) return said;
    const auto bits = r.command() == FUTEX_WAIT_BITSET ? static_cast<std::uint32_t>(r.last) : ~0u;
    const deadline by = deadline_of(r);
    if (tasks_here()->unwinding) {
        lot::refuse("a futex");
        return -EINTR;
    }
    if (r.is_private()) return sleep(r, bits, by);
    // Another process may change it: a wake-up of its own is not seen here, and looks are taken ever more rarely.
    constexpr std::chrono::milliseconds first{10}, rarest{1000};
    for (auto span = first;; span = std::min(2 * span, rarest)) {
        const deadline soon = deadline::after(span);
        const bool last = !by.is_never() && by.when() <= soon.when();
        const long end = sleep(r, bits, last ? by : soon);
        if (end == -EAGAIN) return 0;
        if (end != -ETIMEDOUT || last) return end;
    }
}

// Those who sleep in the lot come first; the kernel's are woken if there is anybody left to wake.
long wake(const request& r, std::uint32_t bits) noexcept {
    const int most = static_cast<int>(r.value);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // the word was changed by whatever store
    if (!lot::anybody(r.word) || bits == 0 || most <= 0) return r.to_kernel();
    const int here = lot::awaken(r.word, most, bits);
    if (here >= most) return here;
    request rest = r;
    rest.value = most - here;
    const long there = rest.to_kernel();
    return there < 0 ? there : here + there;
}

long requeue(const request& r) noexcept {
    const auto* const to = reinterpret_cast<const std::int32_t*>(r.other);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!lot::anybody(r.word)) return r.to_kernel();
    word_is same{r.word, static_cast<std::int32_t>(r.last)};
    const bool compares = r.command() == FUTEX_CMP_REQUEUE;
    const auto unasked = [](void*) { return true; };
    const int most = static_cast<int>(r.value), moved = static_cast<int>(r.timeout);
    const int here = lot::requeue(r.word, to, most, moved, compares ? word_is::still : +unasked, &same);
    if (here < 0) return -EAGAIN;
    request rest = r;
    rest.value = most > here ? most - here : 0;
    const long there = rest.to_kernel();
    return there < 0 ? here : here + there;
}

// Changes the second word and wakes there, too, which only the kernel can do in one step.
long wake_two(const request& r) noexcept {
    const auto* const other = reinterpret_cast<const std::int32_t*>(r.other);
    if (!lot::anybody(r.word) && !lot::anybody(other)) return r.to_kernel();
    const long there = r.to_kernel();
    if (there < 0) return there;
    return there + lot::awaken(r.word, INT_MAX, ~0u) + lot::awaken(other, INT_MAX, ~0u);
}

bool parks_here(const void* from) noexcept {
    const detail::thread* const t = on() ? tasks_here() : nullptr;
    return t && may_park(*t) && !in_allocator(from);
}

long futex(const request& r, const void* from) {
    switch (r.command()) {
        case FUTEX_WAIT:
        case FUTEX_WAIT_BITSET: return parks_here(from) ? wait(r) : r.to_kernel();
        case FUTEX_WAKE: return wake(r, ~0u);
        case FUTEX_WAKE_BITSET: return wake(r, static_cast<std::uint32_t>(r.last));
        case FUTEX_REQUEUE:
        case FUTEX_CMP_REQUEUE: return requeue(r);
        case FUTEX_WAKE_OP: return wake_two(r);
        default: return r.to_kernel();  // priority inheritance: the kernel knows owners by thread
    }
}

}  // namespace

void wait_for_word(const std::int32_t* word, std::int32_t value, const char* what) {
    constexpr std::chrono::milliseconds span{10};
    detail::thread* const t = tasks_here();
    if (t && t->unwinding) return lot::refuse(what);
    if (!t || !may_park(*t)) {
        const timespec nap{0, std::chrono::nanoseconds{span}.count()};
        sys::call(SYS_futex, sys::word(word), FUTEX_WAIT_PRIVATE, value, sys::word(&nap));
        return;
    }
    word_is same{word, value};
    lot::fiber_sleeper me{word};
    if (!lot::line_up_if(me, word_is::still, &same)) return;
    me.wait({what, deadline::after(span), io::signal_rule::ignores, true, false});
}

void wake_word(const std::int32_t* word) noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (lot::anybody(word)) lot::awaken(word, INT_MAX, ~0u);
    sys::call(SYS_futex, sys::word(word), FUTEX_WAKE_PRIVATE, INT_MAX);
}

}  // namespace weft::shim::sync

using namespace weft::shim;

WEFT_INTERPOSED(long, syscall, (long number, long a, long b, long c, long d, long e, long f)) {
    if (number != SYS_futex) return original().syscall(number, a, b, c, d, e, f);
    const sync::request r{reinterpret_cast<const std::int32_t*>(a), static_cast<int>(b), c, d, e, f};
    const int before = errno;
    const long result = sync::answer(sync::futex(r, __builtin_return_address(0)));
    if (result >= 0) errno = before;
    return result;
}
