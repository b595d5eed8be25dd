// The real lock stays the truth. A writer's task is kept in a word of the lock that libc pads it with; of readers, each
// task knows how many locks it holds, since one that reads may read again, whoever waits to write.
#include <weft/shim/sync.hpp>

#include "task.hpp"

namespace weft::shim::sync {
namespace {

enum class wants : std::uint8_t { read, write };

pid_t writer_of(const pthread_rwlock_t* l) noexcept { return __atomic_load_n(&l->__data.__cur_writer, __ATOMIC_RELAXED); }
bool is_shared(const pthread_rwlock_t* l) noexcept { return l->__data.__shared != 0; }
void set_holder(pthread_rwlock_t* l, const detail::record* who) noexcept {
    l->__data.__pad2 = reinterpret_cast<unsigned long>(who);
}
bool writes_already(const pthread_rwlock_t* l, const detail::thread& t) noexcept {
    return writer_of(l) == thread_id() && l->__data.__pad2 == reinterpret_cast<unsigned long>(t.current);
}

int try_read(pthread_rwlock_t* l, detail::thread& t) noexcept {
    const int result = original().pthread_rwlock_tryrdlock(l);
    if (result == 0) ++t.current->shared_locks;
    return result;
}

int try_write(pthread_rwlock_t* l, detail::thread& t) noexcept {
    const int result = original().pthread_rwlock_trywrlock(l);
    if (result == 0) set_holder(l, t.current);
    return result;
}

template <wants What>
int try_for(pthread_rwlock_t* l, detail::thread& t) noexcept {
    return What == wants::read ? try_read(l, t) : try_write(l, t);
}

template <wants What>
struct try_lock {
    pthread_rwlock_t* lock;
    detail::thread& t;
    int result = EBUSY;

    static bool once(void* p) noexcept {
        auto& me = *static_cast<try_lock*>(p);
        me.result = try_for<What>(me.lock, me.t);
        return me.result != EBUSY;
    }
};

bool always(void*) noexcept { return true; }

template <wants What>
int lock_natively(pthread_rwlock_t* l, const time_limit& limit) noexcept {
    const originals& libc = original();
    constexpr bool reads = What == wants::read;
    if (!limit.until) return reads ? libc.pthread_rwlock_rdlock(l) : libc.pthread_rwlock_wrlock(l);
    if (limit.clock == CLOCK_REALTIME)
        return reads ? libc.pthread_rwlock_timedrdlock(l, limit.until) : libc.pthread_rwlock_timedwrlock(l, limit.until);
    return reads ? libc.pthread_rwlock_clockrdlock(l, limit.clock, limit.until)
                 : libc.pthread_rwlock_clockwrlock(l, limit.clock, limit.until);
}

template <wants What>
[[gnu::noinline]] int lock_slowly(pthread_rwlock_t* l, detail::thread& t, const asking& how) {
    if (!may_park(t) || in_allocator(how.from) || !how.limit.known_clock()) {
        const int result = lock_natively<What>(l, how.limit);
        if (result == 0 && What == wants::write) set_holder(l, t.current);
        if (result == 0 && What == wants::read) ++t.current->shared_locks;
        return result;
    }
    // Unlike a mutex's, libc looks at the time first.
    if (!how.limit.valid()) return EINVAL;
    if (writes_already(l, t)) return EDEADLK;
    try_lock<What> mine{l, t};
    lot::turn turn{try_lock<What>::once, &mine};
    if (What == wants::read) {
        turn.passes = t.current->shared_locks > 0;
        turn.more = always;
    }
    if (is_shared(l)) turn.again = look_again;
    const char* const what = What == wants::read ? "a pthread rwlock, to read" : "a pthread rwlock, to write";
    return lot::take_turn(l, turn, how.manner(what)) == io::outcome::ready ? mine.result : ETIMEDOUT;
}

template <wants What>
int lock(pthread_rwlock_t* l, detail::thread& t, const asking& how) {
    if (!lot::anybody(l) && !how.limit.until) [[likely]] {
        const int result = try_for<What>(l, t);
        if (result != EBUSY) return result;
    }
    return lock_slowly<What>(l, t, how);
}

template <wants What>
int lock_from(pthread_rwlock_t* l, const asking& how) {
    if (on()) {
        if (detail::thread* const t = tasks_here()) return lock<What>(l, *t, how);
    }
    if (lot::anybody(l)) [[unlikely]] lot::give_way(l);
    return lock_natively<What>(l, how.limit);
}

template <wants What>
int trylock(pthread_rwlock_t* l, bool counts) noexcept {
    if (counts) {
        if (detail::thread* const t = tasks_here()) return try_for<What>(l, *t);
    }
    return What == wants::read ? original().pthread_rwlock_tryrdlock(l) : original().pthread_rwlock_trywrlock(l);
}

template <wants What>
int lock_by_name(pthread_rwlock_t* l, const time_limit& limit) {
    detail::thread* const t = by_name();
    return t ? lock<What>(l, *t, {limit, nullptr, false}) : lock_natively<What>(l, limit);
}

int unlock(pthread_rwlock_t* l) noexcept {
    if (detail::thread* const t = tasks_here()) {
        if (writer_of(l) == thread_id()) set_holder(l, nullptr);
        else if (t->current->shared_locks > 0) --t->current->shared_locks;
    }
    const int result = original().pthread_rwlock_unlock(l);
    lot::summon_if_any(l);
    return result;
}

}  // namespace
}  // namespace weft::shim::sync

using namespace weft::shim;
using sync::wants;

#define WEFT_HERE __builtin_return_address(0)

WEFT_INTERPOSED(int, pthread_rwlock_rdlock, (pthread_rwlock_t* l)) {
    return sync::lock_from<wants::read>(l, {{}, WEFT_HERE});
}
WEFT_INTERPOSED(int, pthread_rwlock_tryrdlock, (pthread_rwlock_t* l)) {
    return sync::trylock<wants::read>(l, sync::on());
}
WEFT_INTERPOSED(int, pthread_rwlock_timedrdlock, (pthread_rwlock_t* l, const timespec* until)) {
    return sync::lock_from<wants::read>(l, {{CLOCK_REALTIME, until}, WEFT_HERE});
}
WEFT_INTERPOSED(int, pthread_rwlock_clockrdlock, (pthread_rwlock_t* l, clockid_t clock, const timespec* until)) {
    return sync::lock_from<wants::read>(l, {{clock, until}, WEFT_HERE});
}
WEFT_INTERPOSED(int, pthread_rwlock_wrlock, (pthread_rwlock_t* l)) {
    return sync::lock_from<wants::write>(l, {{}, WEFT_HERE});
}
WEFT_INTERPOSED(int, pthread_rwlock_trywrlock, (pthread_rwlock_t* l)) {
    return sync::trylock<wants::write>(l, sync::on());
}
WEFT_INTERPOSED(int, pthread_rwlock_timedwrlock, (pthread_rwlock_t* l, const timespec* until)) {
    return sync::lock_from<wants::write>(l, {{CLOCK_REALTIME, until}, WEFT_HERE});
}
WEFT_INTERPOSED(int, pthread_rwlock_clockwrlock, (pthread_rwlock_t* l, clockid_t clock, const timespec* until)) {
    return sync::lock_from<wants::write>(l, {{clock, until}, WEFT_HERE});
}
WEFT_INTERPOSED(int, pthread_rwlock_unlock, (pthread_rwlock_t* l)) { return sync::unlock(l); }

namespace weft::shim {

int pthread_rwlock_rdlock(pthread_rwlock_t* l) { return sync::lock_by_name<wants::read>(l, {}); }
int pthread_rwlock_tryrdlock(pthread_rwlock_t* l) { return sync::trylock<wants::read>(l, true); }
int pthread_rwlock_timedrdlock(pthread_rwlock_t* l, const timespec* until) {
    return sync::lock_by_name<wants::read>(l, {CLOCK_REALTIME, until});
}
int pthread_rwlock_clockrdlock(pthread_rwlock_t* l, clockid_t clock, const timespec* until) {
    return sync::lock_by_name<wants::read>(l, {clock, until});
}
int pthread_rwlock_wrlock(pthread_rwlock_t* l) { return sync::lock_by_name<wants::write>(l, {}); }
int pthread_rwlock_trywrlock(pthread_rwlock_t* l) { return sync::trylock<wants::write>(l, true); }
int pthread_rwlock_timedwrlock(pthread_rwlock_t* l, const timespec* until) {
    return sync::lock_by_name<wants::write>(l, {CLOCK_REALTIME, until});
}
int pthread_rwlock_clockwrlock(pthread_rwlock_t* l, clockid_t clock, const timespec* until) {
    return sync::lock_by_name<wants::write>(l, {clock, until});
}
int pthread_rwlock_unlock(pthread_rwlock_t* l) { return sync::unlock(l); }

}  // namespace weft::shim
