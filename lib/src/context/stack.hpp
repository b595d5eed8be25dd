// Stacks in slabs, guarded and pooled.  Floor: context.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace weft::detail {

inline constexpr std::size_t page_size = 4096;
inline constexpr std::size_t guard_size = 64 * 1024;  // no common frame jumps over it; costs no memory
inline constexpr std::size_t min_stack_size = 16 * 1024;
inline constexpr std::size_t max_stack_size = std::size_t{1} << 30;

/// A stack in use. `top` is where frames start; tops are staggered so that those of many fibers do not fall
/// into the same cache set.
struct stack {
    std::byte* top = nullptr;
    std::byte* bottom = nullptr;  // lowest usable byte; the guard ends here
    std::uint32_t pool_index = 0;

    std::size_t size() const noexcept { return static_cast<std::size_t>(top - bottom); }
};

/// One thread's stacks. A slab is one mapping for many; a stack that comes back stays warm for the next
/// fiber, as many as `warm_limit`, and gives its memory back to the system beyond that.
class stack_pool {
public:
    static constexpr std::size_t warm_limit = 1024;

    stack_pool() = default;
    stack_pool(const stack_pool&) = delete;
    stack_pool& operator=(const stack_pool&) = delete;
    ~stack_pool();  // unmaps every slab, or none if a stack is still in use: a fiber was left behind on it

    /// @param size  usable bytes, rounded up to pages
    /// @throws std::invalid_argument  a size out of [min_stack_size, max_stack_size]
    /// @throws std::system_error      the mapping or its guard is refused; nothing is lost
    stack take(std::size_t size);
    void give(const stack& s) noexcept;

    /// @throws std::invalid_argument  as take()
    static void check_size(std::size_t size);

    std::size_t in_use() const noexcept { return in_use_; }
    std::size_t slabs() const noexcept;

private:
    struct slab {
        std::byte* base;
        std::size_t count;
        std::size_t carved;  // stacks below this index have been handed out once
    };
    struct size_class {
        std::size_t size;
        std::size_t stride;
        std::vector<slab> slabs;
        std::vector<std::byte*> free;  // bottoms, warmest last; has room for every stack of the slabs
    };

    size_class& class_of(std::size_t size);
    std::byte* carve(size_class& c);
    void add_slab(size_class& c);

    std::vector<std::unique_ptr<size_class>> classes_;
    std::size_t in_use_ = 0;
};

}  // namespace weft::detail
