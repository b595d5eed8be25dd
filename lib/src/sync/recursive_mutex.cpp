#include <weft/recursive_mutex.hpp>

#include <weft/error.hpp>

#include "sync/gate.hpp"

namespace weft {

void recursive_mutex::own(std::uint64_t me) noexcept {
    owner_.store(me, std::memory_order_relaxed);
    depth_ = 1;
}

bool recursive_mutex::try_lock() noexcept {
    detail::thread& t = detail::this_thread();
    const std::uint64_t me = t.current->block->id;
    // Only the caller itself can have stored its own id.
    if (owner_.load(std::memory_order_relaxed) == me) ++depth_;
    else if (gate_.try_take(t)) own(me);
    else return false;
    return true;
}

bool recursive_mutex::try_lock_until(deadline by) {
    detail::thread& t = detail::this_thread();
    const std::uint64_t me = t.current->block->id;
    if (owner_.load(std::memory_order_relaxed) == me) ++depth_;
    else if (gate_.take(t, by, "a recursive mutex", this)) own(me);
    else return false;
    return true;
}

void recursive_mutex::unlock() {
    detail::thread& t = detail::this_thread();
    if (owner_.load(std::memory_order_relaxed) != t.current->block->id) [[unlikely]] {
        if (t.unwinding) return;  // its lock() could not wait for it any more
        throw lock_misuse("weft: unlock() of a recursive mutex that the caller does not hold; each lock() is "
                          "taken back by one unlock() of the same task");
    }
    if (--depth_ > 0) return;
    owner_.store(0, std::memory_order_relaxed);
    gate_.give_only(t);
}

std::size_t recursive_mutex::depth() const noexcept {
    const detail::thread* const t = detail::this_thread_if_any();
    return t && owner_.load(std::memory_order_relaxed) == t->current->block->id ? depth_ : 0;
}

}  // namespace weft
