// What a context consists of.  Floor: fiber.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include <weft/context_var.hpp>
#include <weft/detail/small_lock.hpp>

#include "fiber/thread.hpp"

namespace weft::detail {

/// Counted by contexts, by fibers and by scopes.
struct context_values {
    struct entry {
        std::uint64_t id;
        variable_value value;
    };
    std::atomic<std::uint32_t> refs{1};
    small_lock lock;  // the entries'; nothing of the user's is destroyed while it is held
    std::vector<entry> entries;
};

/// A copy of what the running fiber has.
void inherit_variables(record& by);

inline context_values& share(context_values& values) noexcept {
    values.refs.fetch_add(1, std::memory_order_relaxed);
    return values;
}
inline void release(context_values& values) noexcept {
    if (values.refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete &values;
}

}  // namespace weft::detail
