#include <weft/bounded_semaphore.hpp>

#include <weft/error.hpp>

#include "fiber/thread.hpp"

namespace weft {

bool bounded_semaphore::try_acquire() noexcept {
    if (!permits_.try_acquire()) return false;
    taken_.fetch_add(1, std::memory_order_relaxed);
    return true;
}

bool bounded_semaphore::try_acquire_until(deadline by) {
    if (!permits_.try_acquire_until(by)) return false;
    taken_.fetch_add(1, std::memory_order_relaxed);
    return true;
}

void bounded_semaphore::release(std::size_t count) {
    // Relaxed: whoever gives back what another one took has heard of it from there; permits_ orders the rest.
    std::size_t taken = taken_.load(std::memory_order_relaxed);
    do {
        if (taken >= count) continue;
        if (detail::this_thread().unwinding) return;
        throw lock_misuse("weft: release() of more permits of a bounded_semaphore than are taken; release once for "
                          "each acquire(), or use a semaphore to add permits");
    } while (!taken_.compare_exchange_weak(taken, taken - count, std::memory_order_relaxed));
    permits_.release(count);
}

}  // namespace weft
