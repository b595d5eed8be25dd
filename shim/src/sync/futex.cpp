// futex waits that programs make by syscall(): std::atomic's wait, std::counting_semaphore, latch, barrier and future.
#include "futex.hpp"

#include <algorithm>
#include <climits>

#include <linux/futex.h>
#include <sys/mman.h>

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

    std::uint32_t bits() const noexcept {
        return command() == FUTEX_WAIT_BITSET || command() == FUTEX_WAKE_BITSET ? static_cast<std::uint32_t>(last) : ~0u;
    }
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

// The kernel looks first. It must not wait, not even for a moment: that would take a wake-up from somebody.
// @returns 0 if it would wait, else what it says
long look(const request& r) noexcept {
    if (r.timeout != 0 || r.bits() == 0) {
        // Of a word that has changed at any rate, it judges the time and the bits only.
        const std::int32_t zero = 0;
        request of_time = r;
        of_time.word = &zero;
        of_time.value = 1;
        if (const long said = of_time.to_kernel(); said != -EAGAIN) return said;
    }
    // It moves nobody, if the word has not changed.
    const int operation = FUTEX_CMP_REQUEUE | (r.operation & FUTEX_PRIVATE_FLAG);
    return request{r.word, operation, 0, 0, sys::word(r.word), r.value}.to_kernel();
}

long answer_to(io::outcome end) noexcept {
    switch (end) {
        case io::outcome::ready: return 0;
        case io::outcome::timed_out: return -ETIMEDOUT;
        default: return -EINTR;
    }
}

// Another process may change the word: a wake-up of its own is not seen here, and looks are taken ever more rarely.
long sleep_with_looks(lot::fiber_sleeper& me, io::manner how, word_is& same) {
    constexpr std::chrono::milliseconds first{10}, rarest{1000};
    const deadline by = how.by;
    for (auto span = first;; span = std::min(2 * span, rarest)) {
        how.by = deadline::after(span);
        if (!by.is_never() && by.when() <= how.by.when()) {
            how.by = by;
            return answer_to(me.wait(how));
        }
        const io::outcome end = me.doze(how);
        if (end != io::outcome::timed_out) return answer_to(end);
        // Of the word that it has been moved to, the value to wait by is not known: one more look by the caller is allowed.
        if (me.address.load(std::memory_order_relaxed) == same.word && word_is::still(&same)) continue;
        me.leave();
        return 0;
    }
}

long wait(const request& r) {
    WEFT_TELL_WAIT(syscall);
    if (const long said = look(r)) return said;
    if (tasks_here()->unwinding) {
        lot::refuse("a futex");
        return -EINTR;
    }
    // As in the kernel, SA_RESTART is for those without a limit.
    const deadline by = deadline_of(r);
    const io::manner how{"a futex", by, r.timeout != 0 ? io::signal_rule::ends : io::signal_rule::restarts, true, false};
    word_is same{r.word, static_cast<std::int32_t>(r.value)};
    lot::fiber_sleeper me{r.word, r.bits()};
    if (!lot::line_up_if(me, word_is::still, &same)) return -EAGAIN;
    return r.is_private() ? answer_to(me.wait(how)) : sleep_with_looks(me, how, same);
}

// Those who sleep in the lot come first; the kernel's are woken if there is anybody left to wake.
long wake(const request& r) noexcept {
    const int most = std::max(1, static_cast<int>(r.value));  // the kernel stops after the first, not before
    detail::full_fence();  // the word was changed by whatever store
    if (!lot::anybody(r.word) || r.bits() == 0) return r.to_kernel();
    const int here = lot::awaken(r.word, most, r.bits());
    if (here >= most) return here;
    request rest = r;
    rest.value = most - here;
    const long there = rest.to_kernel();
    return there < 0 ? there : here + there;
}

long requeue(const request& r) noexcept {
    const auto* const to = reinterpret_cast<const std::int32_t*>(r.other);
    detail::full_fence();
    const int most = static_cast<int>(r.value), moved = static_cast<int>(r.timeout);
    if (!lot::anybody(r.word) || most < 0 || moved < 0) return r.to_kernel();
    request rest = r;
    rest.value = rest.timeout = 0;
    if (const long said = rest.to_kernel(); said < 0) return said;  // addresses and value are judged before anybody moves
    word_is same{r.word, static_cast<std::int32_t>(r.last)};
    const bool compares = r.command() == FUTEX_CMP_REQUEUE;
    const auto unasked = [](void*) { return true; };
    const auto here = lot::requeue(r.word, to, most, moved, compares ? word_is::still : +unasked, &same);
    if (here.woken < 0) return -EAGAIN;
    rest.value = most - here.woken;
    rest.timeout = moved - here.moved;
    return here.woken + here.moved + std::max(rest.to_kernel(), 0L);
}

/// What FUTEX_WAKE_OP does to its second word, and asks of what was there.
struct word_change {
    int operation, comparison;
    std::int32_t argument, compared;

    explicit word_change(std::uint32_t code) noexcept
        : operation{static_cast<int>(code >> 28 & 7)}, comparison{static_cast<int>(code >> 24 & 15)},
          argument{twelve_bits(code >> 12)}, compared{twelve_bits(code)} {
        if (code >> 31 != 0) argument = static_cast<std::int32_t>(1U << (argument & 31));
    }
    static std::int32_t twelve_bits(std::uint32_t bits) noexcept { return static_cast<std::int32_t>(bits << 20) >> 20; }

    bool known() const noexcept { return operation <= FUTEX_OP_XOR && comparison <= FUTEX_OP_CMP_GE; }
    std::int32_t make_in(std::int32_t* word) const noexcept {
        switch (operation) {
            case FUTEX_OP_SET: return __atomic_exchange_n(word, argument, __ATOMIC_SEQ_CST);
            case FUTEX_OP_ADD: return __atomic_fetch_add(word, argument, __ATOMIC_SEQ_CST);
            case FUTEX_OP_OR: return __atomic_fetch_or(word, argument, __ATOMIC_SEQ_CST);
            case FUTEX_OP_ANDN: return __atomic_fetch_and(word, ~argument, __ATOMIC_SEQ_CST);
            default: return __atomic_fetch_xor(word, argument, __ATOMIC_SEQ_CST);
        }
    }
    bool holds_for(std::int32_t old) const noexcept {
        switch (comparison) {
            case FUTEX_OP_CMP_EQ: return old == compared;
            case FUTEX_OP_CMP_NE: return old != compared;
            case FUTEX_OP_CMP_LT: return old < compared;
            case FUTEX_OP_CMP_LE: return old <= compared;
            case FUTEX_OP_CMP_GT: return old > compared;
            default: return old >= compared;
        }
    }
};

// Whether the program may write there, which the kernel asks before it does: it adds nothing, for waiters of nobody's.
bool may_write(const void* address) noexcept {
    static constexpr std::int32_t nobodys = 0;
    constexpr long add_nothing = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 2047);
    return sys::call(SYS_futex, sys::word(&nobodys), FUTEX_WAKE_OP_PRIVATE, 0, 0, sys::word(address), add_nothing) !=
           -EFAULT;
}

// Where tasks sleep, the change and the wake-ups are three steps: who comes between them sees the changed word.
long wake_two(const request& r) noexcept {
    auto* const other = reinterpret_cast<std::int32_t*>(r.other);
    const word_change change{static_cast<std::uint32_t>(r.last)};
    detail::full_fence();
    const bool kernels = !lot::anybody(r.word) && !lot::anybody(other);
    const std::uintptr_t odd = (reinterpret_cast<std::uintptr_t>(r.word) | reinterpret_cast<std::uintptr_t>(other)) & 3;
    if (kernels || odd != 0 || !change.known() || !may_write(other)) return r.to_kernel();
    const bool both = change.holds_for(change.make_in(other));
    request one = r;
    one.operation = FUTEX_WAKE | (r.operation & FUTEX_PRIVATE_FLAG);
    const long first = wake(one);
    if (!both || first < 0) return first;
    one.word = other;
    one.value = r.timeout;
    return first + std::max(wake(one), 0L);
}

bool parks_here(const void* from) noexcept {
    const detail::thread* const t = on() ? tasks_here() : nullptr;
    return t && may_park(*t) && !in_allocator(from);
}

long futex(const request& r, const void* from) {
    switch (r.command()) {
        case FUTEX_WAIT:
        case FUTEX_WAIT_BITSET: return parks_here(from) ? wait(r) : r.to_kernel();
        case FUTEX_WAKE:
        case FUTEX_WAKE_BITSET: return wake(r);
        case FUTEX_REQUEUE:
        case FUTEX_CMP_REQUEUE: return requeue(r);
        case FUTEX_WAKE_OP: return wake_two(r);
        default: return r.to_kernel();  // priority inheritance: the kernel knows owners by thread
    }
}

}  // namespace

void wait_for_word(const std::int32_t* word, std::int32_t value, futex_kind kind, const char* what) {
    constexpr std::chrono::milliseconds span{10};
    detail::thread* const t = tasks_here();
    if (t && t->unwinding) return lot::refuse(what);
    if (!t || !may_park(*t)) {
        const timespec nap{0, std::chrono::nanoseconds{span}.count()};
        sys::call(SYS_futex, sys::word(word), FUTEX_WAIT | static_cast<int>(kind), value, sys::word(&nap));
        return;
    }
    word_is same{word, value};
    lot::fiber_sleeper me{word};
    if (!lot::line_up_if(me, word_is::still, &same)) return;
    me.wait({what, deadline::after(span), io::signal_rule::ignores, true, false});
}

void wake_word(const std::int32_t* word, futex_kind kind) noexcept {
    detail::full_fence();
    if (lot::anybody(word)) lot::awaken(word, INT_MAX, ~0u);
    sys::call(SYS_futex, sys::word(word), FUTEX_WAKE | static_cast<int>(kind), INT_MAX);
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
