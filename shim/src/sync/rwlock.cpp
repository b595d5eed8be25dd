// The real lock stays the truth. A writer's task is kept in a word of the lock that libc pads it with; of readers, each
// task knows how many locks it holds, since one that reads may read again, whoever waits to write.
#include <weft/shim/sync.hpp>

#include "task.hpp"

namespace weft::shim::sync {
namespace {

enum class wants : std::uint8_t { read, write };

pid_t writer_of(const pthread_rwlock_t* l) noexcept { return __atomic_load_n(&l->__data.__cur_writer, __ATOMIC_RELAXED); }
bool is_shared(const pthread_rwlock_t* l) noexcept { return l->__data.__shared != 0; }
void set_holder(pthread_rwlock_t* l, unsigned long who) noexcept { l->__data.__pad2 = who; }
// Not its address, which the next task may have; 0 is whoever took it before the thread had tasks: main.
unsigned long mark_of(const detail::record& who) noexcept { return who.block->id + 1; }
bool writes_already(const pthread_rwlock_t* l, const detail::thread& t) noexcept {
    if (writer_of(l) != thread_id()) return false;
    const unsigned long holder = l->__data.__pad2;
    return holder == 0 ? t.current == &t.main : holder == mark_of(*t.current);
}

int try_read(pthread_rwlock_t* l, detail::thread& t) noexcept {
    const int result = original().pthread_rwlock_tryrdlock(l);
    if (result == 0) ++t.current->shared_locks;
    return result;
}

int try_write(pthread_rwlock_t* l, detail::thread& t) noexcept {
    const int result = original().pthread_rwlock_trywrlock(l);
    if (result == 0) set_holder(l, mark_of(*t.current));
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

// Without parking.
template <wants What>
int lock_in_thread(pthread_rwlock_t* l, const time_limit& limit) noexcept {
    if (lot::anybody(l)) [[unlikely]] lot::give_way(l);
    const int result = lock_natively<What>(l, limit);
    if (const detail::thread* const t = result == 0 ? tasks_here() : nullptr) {
        if (What == wants::write) set_holder(l, mark_of(*t->current));
        else ++t->current->shared_locks;
    }
    // Readers may have stood behind a writer that gives up.
    if (result != 0 && What == wants::write) lot::summon_if_any(l);
    return result;
}

template <wants What>
[[gnu::noinline]] int lock_slowly(pthread_rwlock_t* l, detail::thread& t, const asking& how) {
    constexpr auto row = What == wants::read ? call_index::pthread_rwlock_rdlock : call_index::pthread_rwlock_wrlock;
    const told_wait told{row, monkey::area::sync, __builtin_frame_address(0)};
    if (!may_park(t) || in_allocator(how.from) || !how.limit.known_clock()) return lock_in_thread<What>(l, how.limit);
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
    if (lot::take_turn(l, turn, how.manner(what)) == io::outcome::ready) return mine.result;
    io::yield_on();  // a time that has passed has parked nobody
    return ETIMEDOUT;
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
    return lock_in_thread<What>(l, how.limit);
}

// Who tries again and again lets the holder run.
template <wants What>
int trylock(pthread_rwlock_t* l, detail::thread* t, bool parks, const void* from) {
    if (!t) return What == wants::read ? original().pthread_rwlock_tryrdlock(l) : original().pthread_rwlock_trywrlock(l);
    const int result = try_for<What>(l, *t);
    if (result == EBUSY && parks && !in_allocator(from)) io::spent_turn();
    return result;
}

template <wants What>
int trylock_by_name(pthread_rwlock_t* l) {
    return trylock<What>(l, &tasks_by_name(), true, nullptr);
}
template <wants What>
int lock_by_name(pthread_rwlock_t* l, const time_limit& limit) {
    return lock<What>(l, tasks_by_name(), {limit, nullptr, false});
}

int unlock(pthread_rwlock_t* l) noexcept {
    if (detail::thread* const t = tasks_here()) {
        if (writer_of(l) == thread_id()) set_holder(l, 0);
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
    return sync::trylock<wants::read>(l, sync::tasks_here(), sync::on(), WEFT_HERE);
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
    return sync::trylock<wants::write>(l, sync::tasks_here(), sync::on(), WEFT_HERE);
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
int pthread_rwlock_tryrdlock(pthread_rwlock_t* l) { return sync::trylock_by_name<wants::read>(l); }
int pthread_rwlock_timedrdlock(pthread_rwlock_t* l, const timespec* until) {
    return sync::lock_by_name<wants::read>(l, {CLOCK_REALTIME, until});
}
int pthread_rwlock_clockrdlock(pthread_rwlock_t* l, clockid_t clock, const timespec* until) {
    return sync::lock_by_name<wants::read>(l, {clock, until});
}
int pthread_rwlock_wrlock(pthread_rwlock_t* l) { return sync::lock_by_name<wants::write>(l, {}); }
int pthread_rwlock_trywrlock(pthread_rwlock_t* l) { return sync::trylock_by_name<wants::write>(l); }
int pthread_rwlock_timedwrlock(pthread_rwlock_t* l, const timespec* until) {
    return sync::lock_by_name<wants::write>(l, {CLOCK_REALTIME, until});
}
int pthread_rwlock_clockwrlock(pthread_rwlock_t* l, clockid_t clock, const timespec* until) {
    return sync::lock_by_name<wants::write>(l, {clock, until});
}
int pthread_rwlock_unlock(pthread_rwlock_t* l) { return sync::unlock(l); }

}  // namespace weft::shim
