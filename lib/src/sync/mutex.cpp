#include <weft/mutex.hpp>

#include <weft/error.hpp>

#include "sync/gate.hpp"

namespace weft {

bool mutex::try_lock() noexcept {
    detail::thread& t = detail::this_thread();
    if (!gate_.try_take(t)) return false;
    owner_.store(t.current->block->id, std::memory_order_relaxed);
    return true;
}

bool mutex::try_lock_until(deadline by) {
    detail::thread& t = detail::this_thread();
    const std::uint64_t me = t.current->block->id;
    // Only the caller itself can have stored its own id.
    if (owner_.load(std::memory_order_relaxed) == me) [[unlikely]]
        throw lock_misuse("weft: the caller holds this mutex already and would wait for itself");
    if (!gate_.take(t, by, "a mutex", this)) return false;
    owner_.store(me, std::memory_order_relaxed);
    return true;
}

void mutex::unlock() {
    detail::thread& t = detail::this_thread();
    if (owner_.load(std::memory_order_relaxed) != t.current->block->id) [[unlikely]] {
        if (t.unwinding) return;  // its lock() could not wait for it any more
        throw lock_misuse("weft: unlock() of a mutex that the caller does not hold; whoever locks it unlocks it");
    }
    owner_.store(0, std::memory_order_relaxed);
    gate_.give_only(t);
}

}  // namespace weft
