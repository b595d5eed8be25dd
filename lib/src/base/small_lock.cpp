#include <weft/detail/small_lock.hpp>

#include "base/sys.hpp"

namespace weft::detail {

// A holder that runs is done within the inner loop; one that the kernel has preempted gets the processor by the nap. To
// be woken instead would cost every unlock() a read-modify-write.
void small_lock::lock_slow() noexcept {
    constexpr timespec nap{0, 50'000};
    for (;;) {
        for (int spin = 0; spin < 128; ++spin) {
            if (word_.load(std::memory_order_relaxed) == 0 && word_.exchange(1, std::memory_order_acquire) == 0) return;
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
        sys::call(SYS_nanosleep, sys::word(&nap), 0);
    }
}

}  // namespace weft::detail
