// The real mutex stays the truth: a task tries it, and parks while it is held. What the real one cannot know is which of a
// thread's tasks holds it: of those that ask who their owner is, that is kept in words of theirs which serve plain ones
// only.
#include "mutex.hpp"

#include <cstddef>

#include <linux/futex.h>

#include <weft/shim/sync.hpp>

#include "base/sys.hpp"

namespace weft::shim::sync {
namespace {

constexpr int robust = 16, inheriting = 32, shared = 128, elision = 768;  // of __kind; the lowest two bits are the type
enum type : int { normal = 0, recursive = 1, error_checking = 2, adaptive = 3 };

int kind_of(const pthread_mutex_t* m) noexcept { return __atomic_load_n(&m->__data.__kind, __ATOMIC_RELAXED); }
bool comes_again(int kind) noexcept { return (kind & 3) == recursive; }

/// Its owner alone may give it back, or take it again.
bool knows_owner(int kind) noexcept {
    const int its_type = kind & 3;
    return its_type == recursive || its_type == error_checking || (kind & (robust | inheriting)) != 0;
}

// Of a robust one the word of the lock tells: while it is not consistent again, its owner is called nobody.
bool is_this_threads(const pthread_mutex_t* m, int kind) noexcept {
    const auto* const word = (kind & (robust | inheriting)) != 0 ? &m->__data.__lock : &m->__data.__owner;
    return (__atomic_load_n(word, __ATOMIC_RELAXED) & static_cast<int>(FUTEX_TID_MASK)) == thread_id();
}

// The words in which adaptive mutexes count turns and others remember elision. Only who holds it reads or writes them.
static_assert(offsetof(pthread_mutex_t, __data.__spins) % alignof(std::uint32_t) == 0);
std::uint32_t* holder_in(pthread_mutex_t* m) noexcept { return reinterpret_cast<std::uint32_t*>(&m->__data.__spins); }
std::uint32_t holder_of(pthread_mutex_t* m) noexcept { return __atomic_load_n(holder_in(m), __ATOMIC_RELAXED); }
void set_holder(pthread_mutex_t* m, std::uint32_t who) noexcept { __atomic_store_n(holder_in(m), who, __ATOMIC_RELAXED); }

// Not its address, which the next task may have. 0 is nobody.
std::uint32_t mark_of(const detail::record& who) noexcept {
    return static_cast<std::uint32_t>(who.block->id) | std::uint32_t{1} << 31;
}

// EOWNERDEAD: it is held, but its last owner has died with it.
bool is_had(int result) noexcept { return result == 0 || result == EOWNERDEAD; }

enum class held : std::uint8_t { elsewhere, here_by_me, here_by_other };

// Whoever took it before the thread had tasks was main.
held held_by(pthread_mutex_t* m, int kind, const detail::thread& t) noexcept {
    if (!is_this_threads(m, kind)) return held::elsewhere;
    const std::uint32_t holder = holder_of(m);
    const bool mine = holder == 0 ? t.current == &t.main : holder == mark_of(*t.current);
    return mine ? held::here_by_me : held::here_by_other;
}

// libc's trylock of a robust mutex that nobody can recover leaves it locked.
void let_go_of_lost(pthread_mutex_t* m) noexcept {
    if ((__atomic_load_n(&m->__data.__lock, __ATOMIC_RELAXED) & static_cast<int>(FUTEX_TID_MASK)) != thread_id()) return;
    __atomic_exchange_n(&m->__data.__lock, 0, __ATOMIC_RELEASE);
    const int op = (kind_of(m) & shared) != 0 ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE;
    detail::sys::call(SYS_futex, detail::sys::word(&m->__data.__lock), op, 1);
}

struct try_mutex {
    pthread_mutex_t* mutex;
    detail::thread& t;
    int result = EBUSY;

    static bool once(void* p) noexcept {
        auto& me = *static_cast<try_mutex*>(p);
        me.result = trylock(me.mutex, me.t);
        if (me.result == ENOTRECOVERABLE) let_go_of_lost(me.mutex);
        return me.result != EBUSY;
    }
};

int lock_natively(pthread_mutex_t* mutex, const time_limit& limit) noexcept {
    const originals& libc = original();
    if (!limit.until) return libc.pthread_mutex_lock(mutex);
    if (limit.clock == CLOCK_REALTIME) return libc.pthread_mutex_timedlock(mutex, limit.until);
    return libc.pthread_mutex_clocklock(mutex, limit.clock, limit.until);
}

[[gnu::noinline]] int lock_slowly(pthread_mutex_t* mutex, detail::thread& t, const asking& how) {
    WEFT_TELL_WAIT(pthread_mutex_lock);
    const int kind = kind_of(mutex);
    if (!may_park(t) || in_allocator(how.from) || !how.limit.known_clock()) {
        const int result = lock_natively(mutex, how.limit);
        if (is_had(result)) note_holder(mutex);
        return result;
    }
    const bool mine_already = knows_owner(kind) && held_by(mutex, kind, t) == held::here_by_me;
    if (mine_already && (kind & 3) == error_checking) return EDEADLK;
    try_mutex mine{mutex, t};
    if (!how.limit.valid() || ((kind & inheriting) != 0 && how.limit.is_before_all_time())) {
        // A lock that is free is had whatever the time says.
        try_mutex::once(&mine);
        return mine.result == EBUSY ? EINVAL : mine.result;
    }
    lot::turn turn{try_mutex::once, &mine};
    turn.passes = mine_already && comes_again(kind);
    // Other processes do not tell when they give it back, nor the kernel when an owner dies.
    if ((kind & (shared | robust)) != 0) turn.again = look_again;
    if (lot::take_turn(mutex, turn, how.manner("a pthread mutex")) == io::outcome::ready) return mine.result;
    io::yield_on();  // a time that has passed has parked nobody
    return ETIMEDOUT;
}

[[gnu::noinline]] int trylock_kept(pthread_mutex_t* mutex, int kind, const detail::thread& t) noexcept {
    if (held_by(mutex, kind, t) == held::here_by_other) return EBUSY;
    const int result = original().pthread_mutex_trylock(mutex);
    if (is_had(result)) set_holder(mutex, mark_of(*t.current));
    return result;
}

// `asks`: tasks are told apart; else they are their thread, as ever.
[[gnu::noinline]] int unlock_kept(pthread_mutex_t* mutex, int kind, const detail::thread& t, bool asks) noexcept {
    if (is_this_threads(mutex, kind)) {
        const std::uint32_t holder = holder_of(mutex);
        if (asks && holder != 0 && holder != mark_of(*t.current)) return EPERM;
        if (!comes_again(kind) || mutex->__data.__count == 1) set_holder(mutex, 0);
    }
    const int result = original().pthread_mutex_unlock(mutex);
    lot::summon_if_any(mutex);
    return result;
}

}  // namespace

bool is_plain(const pthread_mutex_t* mutex) noexcept {
    const int kind = kind_of(mutex) & ~(shared | elision);
    return kind == normal || kind == adaptive;
}

int as_c11(int error) noexcept {
    switch (error) {
        case 0: return thrd_success;
        case EBUSY: return thrd_busy;
        case ENOMEM: return thrd_nomem;
        case ETIMEDOUT: return thrd_timedout;
        default: return thrd_error;
    }
}

void note_holder(pthread_mutex_t* mutex) noexcept {
    if (!knows_owner(kind_of(mutex))) return;
    if (const detail::thread* const t = tasks_here()) set_holder(mutex, mark_of(*t->current));
}

int trylock(pthread_mutex_t* mutex, detail::thread& t) noexcept {
    const int kind = kind_of(mutex);
    if (knows_owner(kind)) return trylock_kept(mutex, kind, t);
    return original().pthread_mutex_trylock(mutex);
}

int lock(pthread_mutex_t* mutex, detail::thread& t, const asking& how) {
    if (!lot::anybody(mutex) && how.limit.known_clock()) [[likely]] {
        try_mutex mine{mutex, t};
        if (try_mutex::once(&mine)) return mine.result;
    }
    return lock_slowly(mutex, t, how);
}

int unlock(pthread_mutex_t* mutex, bool asks) noexcept {
    const int kind = kind_of(mutex);
    if (knows_owner(kind)) {
        if (const detail::thread* const t = tasks_here()) return unlock_kept(mutex, kind, *t, asks);
    }
    const int result = original().pthread_mutex_unlock(mutex);
    lot::summon_if_any(mutex);
    return result;
}

namespace {

// A thread without tasks blocks, as ever; but not for ever in front of a task.
int lock_in_thread(pthread_mutex_t* mutex, const time_limit& limit) noexcept {
    if (lot::anybody(mutex)) [[unlikely]] lot::give_way(mutex);
    const int result = lock_natively(mutex, limit);
    if (is_had(result)) note_holder(mutex);
    return result;
}

int lock_from(pthread_mutex_t* mutex, const asking& how) {
    if (on()) {
        if (detail::thread* const t = tasks_here()) return lock(mutex, *t, how);
    }
    return lock_in_thread(mutex, how.limit);
}

// Who tries again and again lets the holder run.
int trylock_in_task(pthread_mutex_t* mutex, detail::thread& t, const void* from) {
    const int result = trylock(mutex, t);
    if (result == EBUSY && !in_allocator(from)) io::spent_turn();
    return result;
}

int trylock_from(pthread_mutex_t* mutex, const void* from) {
    if (detail::thread* const t = on() ? tasks_here() : nullptr) return trylock_in_task(mutex, *t, from);
    const int result = original().pthread_mutex_trylock(mutex);
    if (is_had(result)) note_holder(mutex);
    return result;
}

int lock_by_name(pthread_mutex_t* mutex, const time_limit& limit) {
    return lock(mutex, tasks_by_name(), {limit, nullptr, false});
}

}  // namespace
}  // namespace weft::shim::sync

using namespace weft::shim;

WEFT_INTERPOSED(int, pthread_mutex_lock, (pthread_mutex_t* mutex)) {
    return sync::lock_from(mutex, {{}, __builtin_return_address(0)});
}

WEFT_INTERPOSED(int, pthread_mutex_trylock, (pthread_mutex_t* mutex)) {
    return sync::trylock_from(mutex, __builtin_return_address(0));
}

WEFT_INTERPOSED(int, pthread_mutex_timedlock, (pthread_mutex_t* mutex, const timespec* until)) {
    return sync::lock_from(mutex, {{CLOCK_REALTIME, until}, __builtin_return_address(0)});
}

WEFT_INTERPOSED(int, pthread_mutex_clocklock, (pthread_mutex_t* mutex, clockid_t clock, const timespec* until)) {
    return sync::lock_from(mutex, {{clock, until}, __builtin_return_address(0)});
}

WEFT_INTERPOSED(int, pthread_mutex_unlock, (pthread_mutex_t* mutex)) { return sync::unlock(mutex, sync::on()); }

WEFT_INTERPOSED(int, mtx_lock, (mtx_t* mutex)) {
    return sync::as_c11(sync::lock_from(sync::of_c11(mutex), {{}, __builtin_return_address(0)}));
}
WEFT_INTERPOSED(int, mtx_trylock, (mtx_t* mutex)) {
    return sync::as_c11(sync::trylock_from(sync::of_c11(mutex), __builtin_return_address(0)));
}
WEFT_INTERPOSED(int, mtx_timedlock, (mtx_t* mutex, const timespec* until)) {
    return sync::as_c11(sync::lock_from(sync::of_c11(mutex), {{CLOCK_REALTIME, until}, __builtin_return_address(0)}));
}
WEFT_INTERPOSED(int, mtx_unlock, (mtx_t* mutex)) { return sync::as_c11(sync::unlock(sync::of_c11(mutex), sync::on())); }

namespace weft::shim {

int pthread_mutex_lock(pthread_mutex_t* mutex) { return sync::lock_by_name(mutex, {}); }
int pthread_mutex_trylock(pthread_mutex_t* mutex) {
    return sync::trylock_in_task(mutex, sync::tasks_by_name(), nullptr);
}
int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* until) {
    return sync::lock_by_name(mutex, {CLOCK_REALTIME, until});
}
int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* until) {
    return sync::lock_by_name(mutex, {clock, until});
}
int pthread_mutex_unlock(pthread_mutex_t* mutex) { return sync::unlock(mutex, true); }

}  // namespace weft::shim
