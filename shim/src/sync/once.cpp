// pthread_once, call_once and static variables, replaced whole: libc's and libstdc++'s own wait where nobody sees it, or
// take another task of the thread for a recursion. The words are theirs, so that what they have begun goes on here.
#include <mutex>

#include <pthread.h>

#include <weft/error.hpp>
#include <weft/shim/sync.hpp>

#include "futex.hpp"

namespace weft::shim::sync {
namespace {

std::int32_t load(const std::int32_t* word) noexcept { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
bool exchange_if(std::int32_t* word, std::int32_t& expected, std::int32_t desired) noexcept {
    return __atomic_compare_exchange_n(word, &expected, desired, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
void store_and_wake(std::int32_t* word, std::int32_t value, futex_kind kind) noexcept {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    wake_word(word, kind);
}

// Of a pthread_once_t: bit 0 while somebody runs the function, bit 1 when it is done; above them, counted in fours, how many
// forks this process is away from the first one: who ran the function in the parent does not exist in the child.
constexpr std::int32_t running = 1, done = 2, one_fork = 4;
std::int32_t generation = 0;

void count_generation() { generation += one_fork; }
[[gnu::constructor(102)]] void watch_forks() { pthread_atfork(nullptr, nullptr, count_generation); }

/// What std::call_once has put down for its function to find, and another task's call would write over.
class callable_kept {
public:
    callable_kept() noexcept : callable_{std::__once_callable}, call_{std::__once_call} {}
    ~callable_kept() {
        std::__once_callable = callable_;
        std::__once_call = call_;
    }
    callable_kept(const callable_kept&) = delete;
    callable_kept& operator=(const callable_kept&) = delete;

private:
    void* callable_;
    void (*call_)();
};

// @returns false once it is done
bool begin(std::int32_t* control) {
    for (std::int32_t now = load(control); (now & done) == 0;) {
        const std::int32_t mine = generation | running;
        if (now == mine) {
            const callable_kept kept;
            WEFT_TELL_WAIT(pthread_once);
            wait_for_word(control, now, futex_kind::of_process, "a once, which another runs");
            now = load(control);
        } else if (exchange_if(control, now, mine)) {
            return true;
        }
    }
    return false;
}

int once(std::int32_t* control, void (*function)()) {
    if ((load(control) & done) != 0 || !begin(control)) return 0;
    struct undo {
        std::int32_t* control;
        bool finished = false;
        ~undo() { store_and_wake(control, finished ? done : 0, futex_kind::of_process); }
    } at_end{control};
    function();
    at_end.finished = true;
    return 0;
}

// Of the variable that guards a static: as libstdc++ has it in the first half; the second half is free, and says who
// initialises.
constexpr std::int32_t ready = 1, pending = 1 << 8;

std::int32_t* first_half(std::int64_t* guard) noexcept { return reinterpret_cast<std::int32_t*>(guard); }
std::int32_t* second_half(std::int64_t* guard) noexcept { return reinterpret_cast<std::int32_t*>(guard) + 1; }

std::int32_t my_mark() noexcept {
    const detail::thread* const t = detail::this_thread_if_any();
    return t ? static_cast<std::int32_t>(t->current->block->id) : -static_cast<std::int32_t>(thread_id());
}

int acquire(std::int64_t* guard) {
    std::int32_t* const word = first_half(guard);
    for (std::int32_t now = load(word);;) {
        if ((now & ready) != 0) return 0;
        if ((now & pending) == 0) {
            if (!exchange_if(word, now, now | pending)) continue;
            __atomic_store_n(second_half(guard), my_mark(), __ATOMIC_RELAXED);
            return 1;
        }
        if (__atomic_load_n(second_half(guard), __ATOMIC_RELAXED) == my_mark())
            throw lock_misuse("weft: the initialiser of a static variable comes back to the same variable; break the circle");
        WEFT_TELL_WAIT(__cxa_guard_acquire);
        wait_for_word(word, now, futex_kind::shared, "a static variable, which another initialises");
        now = load(word);
    }
}

void finish(std::int64_t* guard, std::int32_t value) noexcept {
    __atomic_store_n(second_half(guard), 0, __ATOMIC_RELAXED);
    store_and_wake(first_half(guard), value, futex_kind::shared);  // libstdc++ waits so
}

}  // namespace
}  // namespace weft::shim::sync

using namespace weft::shim;

WEFT_INTERPOSED(int, pthread_once, (pthread_once_t* control, void (*function)())) {
    if (!sync::on() || sync::in_allocator(__builtin_return_address(0))) return original().pthread_once(control, function);
    return sync::once(control, function);
}

WEFT_INTERPOSED(void, call_once, (once_flag* flag, void (*function)())) {
    if (!sync::on() || sync::in_allocator(__builtin_return_address(0))) original().call_once(flag, function);
    else sync::once(reinterpret_cast<std::int32_t*>(flag), function);
}

WEFT_INTERPOSED(int, __cxa_guard_acquire, (std::int64_t* guard)) {
    if (!sync::on() || sync::in_allocator(__builtin_return_address(0))) return original().__cxa_guard_acquire(guard);
    return sync::acquire(guard);
}
WEFT_INTERPOSED(void, __cxa_guard_release, (std::int64_t* guard)) { sync::finish(guard, sync::ready); }
WEFT_INTERPOSED(void, __cxa_guard_abort, (std::int64_t* guard)) { sync::finish(guard, 0); }

namespace weft::shim {

int pthread_once(pthread_once_t* control, void (*function)()) {
    return sync::by_name() ? sync::once(control, function) : original().pthread_once(control, function);
}

}  // namespace weft::shim
