#include <weft/detail/small_lock.hpp>

#include "base/sys.hpp"

namespace weft::detail {

void small_lock::lock_slow() noexcept {
    // Sections are a few instructions long: a holder that runs on another core is done within this loop.
    for (int spin = 0; spin < 64; ++spin) {
        std::uint32_t expected = 0;
        if (word_.load(std::memory_order_relaxed) == 0 &&
            word_.compare_exchange_weak(expected, 1, std::memory_order_acquire, std::memory_order_relaxed))
            return;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    while (word_.exchange(2, std::memory_order_acquire) != 0) sys::futex_wait(word_, 2, nullptr);
}

void small_lock::wake_one() noexcept { sys::futex_wake(word_, 1); }

}  // namespace weft::detail
