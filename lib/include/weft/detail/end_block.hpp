/// @file weft/detail/end_block.hpp
/// What handles point to: the part of a fiber that outlives its stack, its hub and its thread.  Floor: fiber.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include <weft/detail/export.hpp>
#include <weft/message.hpp>

namespace weft {

/// Bytes of stack that a fiber gets unless it asks for another size: the build option default_stack_kib.
WEFT_API std::size_t default_stack_size() noexcept;

/// How a fiber or task is made.
struct fiber_options {
    std::string name{};  ///< for reports; need not be unique
    /// Usable bytes, from 16 KiB to 1 GiB, rounded up to pages: reserved at once, committed when touched.
    std::size_t stack_size = default_stack_size();
};

namespace detail {

struct record;  // the part that lives on the fiber's stack and dies with it
class mailbox;

enum class phase : std::uint8_t { pending, started, dead };

/// Counted by handles, by children (for their parent), by waits and, while it lives, by the fiber itself.
struct WEFT_API end_block {
    end_block() noexcept;
    end_block(const end_block&) = delete;
    end_block& operator=(const end_block&) = delete;
    virtual ~end_block();

    /// Its destruction runs nothing of the user's.
    virtual bool harmless() const noexcept { return false; }

    std::atomic<std::uint32_t> refs{1};
    std::atomic<phase> state{phase::pending};
    std::uint64_t id;
    record* rec = nullptr;        // the owning thread's; null before it is made and once dead
    mailbox* home = nullptr;      // the owning thread's, counted
    end_block* parent = nullptr;  // counted
    std::exception_ptr error;     // why it ended, readable once state is dead
    end_block* next_orphan = nullptr;
    bool unwinds = true;  // when only the fiber itself is left: an explicit one; constant once it is shared
    std::string name;
};

WEFT_API void destroy(end_block& block) noexcept;
/// Takes over the reference of a handle that may be the last one beside the fiber's own: unwinds the fiber, or asks
/// its thread to.
WEFT_API void last_handle(end_block& block) noexcept;

inline void release(end_block& block) noexcept {
    std::uint32_t count = block.refs.load(std::memory_order_relaxed);
    // Nobody but the owner's thread may take the count from two to one: the one left could be the living fiber's.
    while (count != 2 || !block.unwinds) {
        if (block.refs.compare_exchange_weak(count, count - 1, std::memory_order_acq_rel, std::memory_order_relaxed)) {
            if (count == 1) destroy(block);
            return;
        }
    }
    last_handle(block);
}

/// Counted pointer to an end block.
template <class Block>
class handle {
public:
    handle() noexcept = default;
    explicit handle(Block* adopted) noexcept : block_{adopted} {}
    handle(const handle& other) noexcept : block_{other.block_} {
        if (block_) block_->refs.fetch_add(1, std::memory_order_relaxed);
    }
    handle(handle&& other) noexcept : block_{std::exchange(other.block_, nullptr)} {}
    handle& operator=(handle other) noexcept {
        std::swap(block_, other.block_);
        return *this;
    }
    ~handle() {
        if (block_) release(*block_);
    }

    static handle share(Block* block) noexcept {
        if (block) block->refs.fetch_add(1, std::memory_order_relaxed);
        return handle{block};
    }

    Block* get() const noexcept { return block_; }
    Block* operator->() const noexcept { return block_; }
    Block& operator*() const noexcept { return *block_; }
    explicit operator bool() const noexcept { return block_ != nullptr; }

private:
    Block* block_ = nullptr;
};

/// A callable on the fiber's own stack.
struct body {
    virtual ~body() = default;
    virtual message run(message&& first) = 0;
};

/// Gives `block` a stack with room for a body; release_stack() undoes it if the body cannot be made.
WEFT_API void* take_stack(end_block& block, const fiber_options& options, std::size_t size, std::size_t align);
WEFT_API void release_stack(end_block& block) noexcept;
WEFT_API void set_body(end_block& block, body& made) noexcept;

/// Puts a Body, made of `args`, on a new stack; the fiber is then pending.
template <class Body, class... Args>
void make_body(end_block& block, const fiber_options& options, Args&&... args) {
    void* room = take_stack(block, options, sizeof(Body), alignof(Body));
    try {
        set_body(block, *::new (room) Body(std::forward<Args>(args)...));
    } catch (...) {
        release_stack(block);
        throw;
    }
}

}  // namespace detail
}  // namespace weft
