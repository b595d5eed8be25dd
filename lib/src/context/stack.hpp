// Stacks, pooled by the thread.  Floor: context.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <weft/stack.hpp>

#include "context/guard.hpp"
#include "context/sanitizer.hpp"
#include "context/signal_stack.hpp"
#include "context/slab.hpp"

namespace weft::detail {

inline constexpr std::size_t min_stack_size = 16 * 1024;
inline constexpr std::size_t max_stack_size = std::size_t{1} << 30;

struct size_class;

/// A stack in use. `top` is where frames start; tops are staggered so that those of many fibers do not fall
/// into the same cache set.
struct stack {
    std::byte* top = nullptr;
    std::byte* bottom = nullptr;  // lowest usable byte; the guard ends here
    size_class* of = nullptr;

    std::size_t size() const noexcept { return static_cast<std::size_t>(top - bottom); }
};

/// How much of it has been in use at a time, by this fiber or by one that had the stack before and left its
/// memory warm: in whole pages but for the first. Pages that have been swapped out do not count.
std::size_t stack_used(const stack& s) noexcept;

/// `address` lies in the guard of `s`.
inline bool in_guard(const stack& s, const void* address) noexcept {
    const auto* at = static_cast<const std::byte*>(address);
    return s.bottom && at < s.bottom && at >= s.bottom - guard_size;
}

/// What the options of the process are now.
stack_options current_stack_options() noexcept;

/// Stacks of one size. Each is in use, warm (its memory kept), or in its slab: cold or not made yet.
struct size_class {
    std::size_t usable;
    std::vector<std::unique_ptr<slab>> slabs{};  // oldest first
    std::unique_ptr<stack[]> warm{};             // the first warm_count of it, the one given last at the end
    std::size_t warm_count = 0;
    std::size_t warm_room = 0;    // most that stay warm; there is room for one more
    std::size_t kept = 0;         // of those in use: ready for another fiber as they are (thread::keep_warm)
    std::size_t first_ready = 0;  // slabs before this index have nothing ready
};

/// One thread's stacks. What comes back stays warm for the next fiber, within the options' limit, gives its
/// memory back beyond that, and its mapping when as many stacks lie free elsewhere.
class stack_pool {
public:
    stack_pool() = default;
    stack_pool(const stack_pool&) = delete;
    stack_pool& operator=(const stack_pool&) = delete;
    ~stack_pool();  // unmaps all slabs but those that hold a stack in use: a fiber was left behind on it

    /// @param size  bytes that are usable at least
    /// @throws std::invalid_argument  a size out of [min_stack_size, max_stack_size]
    /// @throws std::system_error, std::bad_alloc  the mapping or its guard is refused; nothing is lost
    stack take(std::size_t size) {
        if (size == recent_size_ && recent_->warm_count > 0) [[likely]]
            return recent_->warm[--recent_->warm_count];
        return take_slowly(size);
    }
    void give(const stack& s) noexcept {
        sanitizer::forget_stack(s.bottom, s.size());
        size_class& c = *s.of;
        if (c.warm_count + c.kept < c.warm_room) [[likely]] c.warm[c.warm_count++] = s;
        else give_slowly(s);
    }
    /// Whether take(size) could have given this one.
    bool serves(const stack& s, std::size_t size) const noexcept {
        return size == recent_size_ ? s.of == recent_ : is_of_size(s, size);
    }
    /// weft::trim_stacks() for this thread.
    void trim() noexcept;

    /// @throws std::invalid_argument  as take()
    static void check_size(std::size_t size);

    std::size_t in_use() const noexcept;
    std::size_t slabs() const noexcept;

private:
    static bool is_of_size(const stack& s, std::size_t size) noexcept;
    size_class& class_of(std::size_t size);
    slab& ready_slab(size_class& c);
    void add_slab(size_class& c);
    stack take_slowly(std::size_t size);
    void give_slowly(const stack& s) noexcept;

    std::size_t recent_size_ = 0;  // asked for last, and its class
    size_class* recent_ = nullptr;
    std::vector<std::unique_ptr<size_class>> classes_;
    signal_stack signal_stack_;
};

}  // namespace weft::detail
