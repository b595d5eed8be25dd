/// @file weft/detail/small_lock.hpp
/// The four-byte lock inside weft's own objects.  Floor: base.
#pragma once

#include <atomic>
#include <cstdint>

#include <weft/detail/export.hpp>

namespace weft::detail {

/// A lock for a few instructions that several OS threads may race for. It blocks the OS thread, never
/// parks a task and calls nothing that the shim interposes, so it is safe below every floor. Nobody may
/// switch fibers while holding it. Not fair.
class small_lock {
public:
    constexpr small_lock() noexcept = default;
    small_lock(const small_lock&) = delete;
    small_lock& operator=(const small_lock&) = delete;

    void lock() noexcept {
        if (word_.exchange(1, std::memory_order_acquire) != 0) [[unlikely]]
            lock_slow();
    }
    /// Acquires nothing; but what its holder has done is seen once this says that there is none.
    bool held() const noexcept { return word_.load(std::memory_order_acquire) != 0; }
    /// A plain store, and the last touch: nobody is woken, since whoever waits looks again by itself.
    void unlock() noexcept { word_.store(0, std::memory_order_release); }

private:
    WEFT_API void lock_slow() noexcept;

    std::atomic<std::uint32_t> word_{0};  // 1 while held
};

}  // namespace weft::detail
