/// @file weft/detail/small_lock.hpp
/// The four-byte lock inside weft's own objects.  Floor: base.
#pragma once

#include <atomic>
#include <cstdint>

#include <weft/detail/export.hpp>

namespace weft::detail {

/// A lock for a few instructions that several OS threads may race for. It blocks the OS thread, never
/// parks a task and calls nothing that the shim interposes, so it is safe below every floor. Nobody may
/// switch fibers while holding it.
class small_lock {
public:
    constexpr small_lock() noexcept = default;
    small_lock(const small_lock&) = delete;
    small_lock& operator=(const small_lock&) = delete;

    void lock() noexcept {
        std::uint32_t expected = 0;
        if (!word_.compare_exchange_strong(expected, 1, std::memory_order_acquire, std::memory_order_relaxed))
            lock_slow();
    }
    void unlock() noexcept {
        if (word_.exchange(0, std::memory_order_release) == 2) wake_one();
    }

private:
    WEFT_API void lock_slow() noexcept;
    WEFT_API void wake_one() noexcept;

    // 0 free; 1 held; 2 held, and somebody may sleep in the kernel (Drepper, "Futexes Are Tricky", mutex2).
    std::atomic<std::uint32_t> word_{0};
};

}  // namespace weft::detail
