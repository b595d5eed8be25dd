// The real semaphore stays the truth, and sem_post may be called by a signal handler.
#include <cstring>

#include <weft/shim/sync.hpp>

#include "task.hpp"

namespace weft::shim::sync {
namespace {

bool is_shared(const sem_t* s) noexcept {
    constexpr std::size_t offset = 8;  // glibc's: the value and the number of waiters stand before it
    int flag;
    std::memcpy(&flag, reinterpret_cast<const char*>(s) + offset, sizeof flag);
    return flag != 0;
}

struct try_semaphore {
    sem_t* semaphore;
    int error = EAGAIN;

    static bool once(void* p) noexcept {
        auto& me = *static_cast<try_semaphore*>(p);
        me.error = ::sem_trywait(me.semaphore) == 0 ? 0 : errno;
        return me.error != EAGAIN;
    }
    static bool more(void* p) noexcept {
        int value = 0;
        return ::sem_getvalue(static_cast<try_semaphore*>(p)->semaphore, &value) == 0 && value > 0;
    }
};

int failed(int error) noexcept {
    errno = error;
    return -1;
}

int wait_natively(sem_t* s, const time_limit& limit) {
    WEFT_TELL_WAIT(sem_wait);
    const originals& libc = original();
    if (!limit.until) return libc.sem_wait(s);
    return limit.clock == CLOCK_REALTIME ? libc.sem_timedwait(s, limit.until) : libc.sem_clockwait(s, limit.clock, limit.until);
}

int wait_in_task(sem_t* s, const asking& how) {
    WEFT_TELL_WAIT(sem_wait);
    const int before = errno;
    try_semaphore mine{s};
    lot::turn turn{try_semaphore::once, &mine};
    turn.more = try_semaphore::more;
    // Without a courier nobody tells what a signal handler posts.
    if (is_shared(s) || lot::start_courier() != 0) turn.again = look_again;
    // The kernel restarts no futex that has a time.
    const auto signals = how.limit.until ? io::signal_rule::ends : io::signal_rule::restarts;
    switch (lot::take_turn(s, turn, how.manner("a POSIX semaphore", signals))) {
        case io::outcome::timed_out:
            io::yield_on();  // a time that has passed has parked nobody
            return failed(ETIMEDOUT);
        case io::outcome::interrupted: return failed(EINTR);
        default: break;
    }
    if (mine.error != 0) return failed(mine.error);
    errno = before;
    return 0;
}

int wait(sem_t* s, detail::thread* t, const asking& how) {
    if (!t || !may_park(*t) || in_allocator(how.from)) {
        if (!t && lot::anybody(s)) [[unlikely]] lot::give_way(s);
        return wait_natively(s, how.limit);
    }
    if (!how.limit.known_clock() || !how.limit.valid()) return failed(EINVAL);
    if (!lot::anybody(s)) {
        const int before = errno;
        if (::sem_trywait(s) == 0) return 0;
        if (errno != EAGAIN) return -1;
        errno = before;
    }
    return wait_in_task(s, how);
}

int wait_from(sem_t* s, const asking& how) { return wait(s, on() ? tasks_here() : nullptr, how); }
int wait_by_name(sem_t* s, const time_limit& limit) { return wait(s, &tasks_by_name(), {limit, nullptr, false}); }

int post(sem_t* s) noexcept {
    const int result = original().sem_post(s);
#if !defined(__x86_64__)
    detail::full_fence();
#endif
    if (lot::anybody(s)) lot::summon_safely(s);
    return result;
}

}  // namespace
}  // namespace weft::shim::sync

using namespace weft::shim;

WEFT_INTERPOSED(int, sem_wait, (sem_t* s)) { return sync::wait_from(s, {{}, __builtin_return_address(0)}); }
WEFT_INTERPOSED(int, sem_timedwait, (sem_t* s, const timespec* until)) {
    return sync::wait_from(s, {{CLOCK_REALTIME, until}, __builtin_return_address(0)});
}
WEFT_INTERPOSED(int, sem_clockwait, (sem_t* s, clockid_t clock, const timespec* until)) {
    return sync::wait_from(s, {{clock, until}, __builtin_return_address(0)});
}
WEFT_INTERPOSED(int, sem_post, (sem_t* s)) { return sync::post(s); }

namespace weft::shim {

int sem_wait(sem_t* s) { return sync::wait_by_name(s, {}); }
int sem_timedwait(sem_t* s, const timespec* until) { return sync::wait_by_name(s, {CLOCK_REALTIME, until}); }
int sem_clockwait(sem_t* s, clockid_t clock, const timespec* until) { return sync::wait_by_name(s, {clock, until}); }
int sem_post(sem_t* s) { return sync::post(s); }

}  // namespace weft::shim
