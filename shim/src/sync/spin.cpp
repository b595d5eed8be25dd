// Nobody is told when a spin lock comes free, so a task looks again: after a yield at first, then after a nap.
#include <weft/shim/sync.hpp>

#include "task.hpp"

namespace weft::shim::sync {
namespace {

int spin(pthread_spinlock_t* lock, bool foreign) {
    WEFT_TELL_WAIT(pthread_spin_lock);
    constexpr int looks = 100, yields = 10;
    constexpr std::chrono::microseconds first_nap{50}, longest_nap{1000};
    for (int i = 0; i < looks; ++i)
        if (const int result = ::pthread_spin_trylock(lock); result != EBUSY) return result;
    std::chrono::microseconds nap = first_nap;
    for (int i = 0;; ++i) {
        if (i < yields) io::yield_on();
        else {
            if (tasks_here()->unwinding) lot::refuse("a spin lock");
            else io::pause({"a spin lock", deadline::after(nap), io::signal_rule::ignores, foreign, false});
            nap = std::min(2 * nap, longest_nap);
        }
        if (const int result = ::pthread_spin_trylock(lock); result != EBUSY) return result;
    }
}

}  // namespace
}  // namespace weft::shim::sync

using namespace weft::shim;

WEFT_INTERPOSED(int, pthread_spin_lock, (pthread_spinlock_t* lock)) {
    const weft::detail::thread* const t = sync::on() ? sync::tasks_here() : nullptr;
    if (!t || !sync::may_park(*t) || sync::in_allocator(__builtin_return_address(0)))
        return original().pthread_spin_lock(lock);
    return sync::spin(lock, true);
}

namespace weft::shim {

int pthread_spin_lock(pthread_spinlock_t* lock) {
    return sync::by_name() ? sync::spin(lock, false) : original().pthread_spin_lock(lock);
}

}  // namespace weft::shim
