// The real mutex stays the truth: a task tries it, and parks while it is held. What the real one cannot know is which of a
// thread's tasks holds it: of recursive and error-checking mutexes that is kept in a field of theirs which serves robust
// ones only.
#include "mutex.hpp"

#include <weft/shim/sync.hpp>

namespace weft::shim::sync {
namespace {

constexpr int robust = 16, shared = 128, elision = 768;  // of __kind; the lowest two bits are the type
enum type : int { normal = 0, recursive = 1, error_checking = 2, adaptive = 3 };

int kind_of(const pthread_mutex_t* m) noexcept { return __atomic_load_n(&m->__data.__kind, __ATOMIC_RELAXED); }
pid_t owner_of(const pthread_mutex_t* m) noexcept { return __atomic_load_n(&m->__data.__owner, __ATOMIC_RELAXED); }

/// It has an owner who may ask for it again.
bool knows_owner(int kind) noexcept {
    const int its_type = kind & 3;
    return (its_type == recursive || its_type == error_checking) && (kind & robust) == 0;
}

detail::record* holder_of(const pthread_mutex_t* m) noexcept {
    return reinterpret_cast<detail::record*>(m->__data.__list.__next);
}
void set_holder(pthread_mutex_t* m, detail::record* who) noexcept {
    m->__data.__list.__next = reinterpret_cast<decltype(m->__data.__list.__next)>(who);
}

enum class held : std::uint8_t { elsewhere, here_by_me, here_by_other };

// Whoever took it before anybody kept the holder was main.
held held_by(const pthread_mutex_t* m, const detail::thread& t) noexcept {
    if (owner_of(m) != thread_id()) return held::elsewhere;
    const detail::record* const holder = holder_of(m);
    return (holder ? holder : &t.main) == t.current ? held::here_by_me : held::here_by_other;
}

struct try_mutex {
    pthread_mutex_t* mutex;
    detail::thread& t;
    int result = EBUSY;

    static bool once(void* p) noexcept {
        auto& me = *static_cast<try_mutex*>(p);
        me.result = trylock(me.mutex, me.t);
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
    const int kind = kind_of(mutex);
    const bool kept = knows_owner(kind);
    if (!may_park(t) || in_allocator(how.from) || !how.limit.known_clock()) {
        const int result = lock_natively(mutex, how.limit);
        if (result == 0 && kept) set_holder(mutex, t.current);
        return result;
    }
    if (kept && (kind & 3) == error_checking && held_by(mutex, t) == held::here_by_me) return EDEADLK;
    try_mutex mine{mutex, t};
    if (!how.limit.valid()) {
        // A lock that is free is had whatever the time says.
        try_mutex::once(&mine);
        return mine.result == EBUSY ? EINVAL : mine.result;
    }
    lot::turn turn{try_mutex::once, &mine};
    if ((kind & shared) != 0) turn.again = look_again;
    return lot::take_turn(mutex, turn, how.manner("a pthread mutex")) == io::outcome::ready ? mine.result : ETIMEDOUT;
}

[[gnu::noinline]] int trylock_kept(pthread_mutex_t* mutex, const detail::thread& t) noexcept {
    if (held_by(mutex, t) == held::here_by_other) return EBUSY;
    const int result = original().pthread_mutex_trylock(mutex);
    if (result == 0) set_holder(mutex, t.current);
    return result;
}

[[gnu::noinline]] int unlock_kept(pthread_mutex_t* mutex, int kind, const detail::thread& t) noexcept {
    const detail::record* const holder = holder_of(mutex);
    if (holder && owner_of(mutex) == thread_id()) {
        if (holder != t.current) return EPERM;
        const bool last = (kind & 3) == error_checking || mutex->__data.__count == 1;
        if (last) set_holder(mutex, nullptr);
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

int trylock(pthread_mutex_t* mutex, detail::thread& t) noexcept {
    if (knows_owner(kind_of(mutex))) return trylock_kept(mutex, t);
    return original().pthread_mutex_trylock(mutex);
}

int lock(pthread_mutex_t* mutex, detail::thread& t, const asking& how) {
    if (!lot::anybody(mutex)) [[likely]] {
        const int result = trylock(mutex, t);
        if (result != EBUSY) return result;
    }
    return lock_slowly(mutex, t, how);
}

int unlock(pthread_mutex_t* mutex) noexcept {
    const int kind = kind_of(mutex);
    if (knows_owner(kind)) {
        if (const detail::thread* const t = tasks_here()) return unlock_kept(mutex, kind, *t);
    }
    const int result = original().pthread_mutex_unlock(mutex);
    lot::summon_if_any(mutex);
    return result;
}

namespace {

// A thread without tasks blocks, as ever; but not for ever in front of a task.
int lock_in_thread(pthread_mutex_t* mutex, const time_limit& limit) noexcept {
    if (lot::anybody(mutex)) [[unlikely]] lot::give_way(mutex);
    return lock_natively(mutex, limit);
}

int lock_from(pthread_mutex_t* mutex, const asking& how) {
    if (on()) {
        if (detail::thread* const t = tasks_here()) return lock(mutex, *t, how);
    }
    return lock_in_thread(mutex, how.limit);
}

int trylock_from(pthread_mutex_t* mutex) noexcept {
    detail::thread* const t = on() ? tasks_here() : nullptr;
    return t ? trylock(mutex, *t) : original().pthread_mutex_trylock(mutex);
}

int lock_by_name(pthread_mutex_t* mutex, const time_limit& limit) {
    detail::thread* const t = by_name();
    return t ? lock(mutex, *t, {limit, nullptr, false}) : lock_natively(mutex, limit);
}

}  // namespace
}  // namespace weft::shim::sync

using namespace weft::shim;
using weft::detail::thread;

WEFT_INTERPOSED(int, pthread_mutex_lock, (pthread_mutex_t* mutex)) {
    return sync::lock_from(mutex, {{}, __builtin_return_address(0)});
}

WEFT_INTERPOSED(int, pthread_mutex_trylock, (pthread_mutex_t* mutex)) { return sync::trylock_from(mutex); }

WEFT_INTERPOSED(int, pthread_mutex_timedlock, (pthread_mutex_t* mutex, const timespec* until)) {
    return sync::lock_from(mutex, {{CLOCK_REALTIME, until}, __builtin_return_address(0)});
}

WEFT_INTERPOSED(int, pthread_mutex_clocklock, (pthread_mutex_t* mutex, clockid_t clock, const timespec* until)) {
    return sync::lock_from(mutex, {{clock, until}, __builtin_return_address(0)});
}

WEFT_INTERPOSED(int, pthread_mutex_unlock, (pthread_mutex_t* mutex)) { return sync::unlock(mutex); }

WEFT_INTERPOSED(int, mtx_lock, (mtx_t* mutex)) {
    return sync::as_c11(sync::lock_from(sync::of_c11(mutex), {{}, __builtin_return_address(0)}));
}
WEFT_INTERPOSED(int, mtx_trylock, (mtx_t* mutex)) { return sync::as_c11(sync::trylock_from(sync::of_c11(mutex))); }
WEFT_INTERPOSED(int, mtx_timedlock, (mtx_t* mutex, const timespec* until)) {
    return sync::as_c11(sync::lock_from(sync::of_c11(mutex), {{CLOCK_REALTIME, until}, __builtin_return_address(0)}));
}
WEFT_INTERPOSED(int, mtx_unlock, (mtx_t* mutex)) { return sync::as_c11(sync::unlock(sync::of_c11(mutex))); }

namespace weft::shim {

int pthread_mutex_lock(pthread_mutex_t* mutex) { return sync::lock_by_name(mutex, {}); }
int pthread_mutex_trylock(pthread_mutex_t* mutex) {
    thread* const t = sync::by_name();
    return t ? sync::trylock(mutex, *t) : original().pthread_mutex_trylock(mutex);
}
int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* until) {
    return sync::lock_by_name(mutex, {CLOCK_REALTIME, until});
}
int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* until) {
    return sync::lock_by_name(mutex, {clock, until});
}
int pthread_mutex_unlock(pthread_mutex_t* mutex) { return sync::unlock(mutex); }

}  // namespace weft::shim
