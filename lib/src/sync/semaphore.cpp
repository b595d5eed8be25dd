#include <weft/semaphore.hpp>

#include "sync/gate.hpp"

namespace weft {

bool semaphore::try_acquire() noexcept { return gate_.try_take(detail::this_thread()); }

bool semaphore::try_acquire_until(deadline by) { return gate_.take(detail::this_thread(), by, "a semaphore", this); }

void semaphore::release(std::size_t count) noexcept {
    if (count > 0) gate_.give(count);
}

}  // namespace weft
