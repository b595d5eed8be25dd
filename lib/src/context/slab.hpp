// One mapping that holds many stacks.  Floor: context.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "context/guard.hpp"

namespace weft::detail {

/// Each stack lies above its guard. From the bottom of the mapping up: stacks that have been given out,
/// stacks made ready for it, and address space.
class slab {
public:
    /// Maps `wanted` stacks of `usable` bytes, or fewer if the system refuses so many.
    /// @throws std::system_error, std::bad_alloc  not even one
    static std::unique_ptr<slab> map(std::size_t usable, std::size_t wanted);
    ~slab();

    slab(const slab&) = delete;
    slab& operator=(const slab&) = delete;

    std::size_t count() const noexcept { return count_; }
    std::size_t in_use() const noexcept { return given_ - cold_.size(); }
    bool has_ready() const noexcept { return !cold_.empty() || given_ < guarded_; }
    bool has_unguarded() const noexcept { return guarded_ < count_; }
    bool holds(const std::byte* bottom) const noexcept {
        return bottom >= base_ && bottom < base_ + count_ * stride();
    }

    /// Makes at most `wanted` (and most_at_once) more stacks ready. @returns why none is, or 0
    int make_ready(stack_guard kind, std::size_t wanted) noexcept;
    /// The bottom of a stack that is ready.
    std::byte* take() noexcept;
    /// The stack comes back, its memory as it is.
    void give(std::byte* bottom) noexcept;
    /// The mapping stays, for stacks that are never given back.
    void abandon() noexcept { base_ = nullptr; }
    /// @returns false the kernel refuses: a hole where two slabs have become one mapping may be one too many
    bool unmap() noexcept;

private:
    explicit slab(std::size_t usable) noexcept : usable_{usable} {}

    std::size_t stride() const noexcept { return usable_ + guard_size; }

    std::byte* base_ = nullptr;
    std::size_t usable_;
    std::size_t count_ = 0;
    std::size_t guarded_ = 0;          // below this index stacks have guards
    std::size_t given_ = 0;            // below this index stacks have been given out once
    std::vector<std::uint32_t> cold_;  // of those, the ones that are back; has room for all
};

}  // namespace weft::detail
