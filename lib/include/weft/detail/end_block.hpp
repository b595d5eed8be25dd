/// @file weft/detail/end_block.hpp
/// What handles point to: the part of a fiber that outlives its stack, its hub and its thread.  Floor: fiber.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include <weft/detail/export.hpp>
#include <weft/detail/mail.hpp>
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
struct thread;
class mailbox;

enum class phase : std::uint8_t { pending, started, dead };

/// Counted by handles, by children (for their parent), by waits and, while it lives, by the fiber itself.
///
/// Counts without an atomic read-modify-write on the owner's thread (after Choi, Shull and Torrellas, "Biased
/// Reference Counting", PACT 2018). A reference is counted in `local` when the owner's thread takes it and in
/// `shared` when another one does; it does not remember where, so either side may have to give up the other's.
/// The sum is what counts. `shared` has the owner's share as long as `local` is not 0; once it is, it stays so, and
/// the owner counts in `shared`, too.
struct WEFT_API end_block : mail {
    static constexpr std::uint32_t owners_share = 1;  // in `shared`, until `local` has come to nothing
    static constexpr std::uint32_t one_shared = 2;

    /// Nobody's before take_stack().
    /// @param unwound  when only the fiber itself is left: an explicit one, whose parent is who makes it, not main
    explicit end_block(bool unwound = true) noexcept : unwinds{unwound} {}
    end_block(const end_block&) = delete;
    end_block& operator=(const end_block&) = delete;
    virtual ~end_block() = default;

    /// The owner takes back what others have dropped.
    void arrive() noexcept override;

    static void* operator new(std::size_t size);
    static void operator delete(void* at, std::size_t size) noexcept;
    static void* operator new(std::size_t size, std::align_val_t align);
    static void operator delete(void* at, std::size_t, std::align_val_t align) noexcept {
        ::operator delete(at, align);
    }

    /// Its destruction runs nothing of the user's.
    virtual bool harmless() const noexcept { return false; }

    std::string name_text() const { return name ? *name : std::string{}; }

    /// For the owner: nobody holds more than these references of its own, wherever they were counted.
    bool unowned(std::uint32_t by_owner) const noexcept {
        return local.load(std::memory_order_relaxed) + shared.load(std::memory_order_acquire) / one_shared == by_owner;
    }

    // Stored by the owner's thread alone while that lives, by anybody afterwards.
    std::atomic<std::uint32_t> local{1};
    std::atomic<std::uint32_t> shared{owners_share};
    std::atomic<std::uint32_t> dropped_elsewhere{0};  // references on their way to the owner, who gives them up
    std::atomic<phase> state{phase::pending};
    bool is_main = false;
    const bool unwinds;
    // Where the fiber goes on that has left by a leap; null while it runs, and however else it has left. So it also
    // says who can be leapt to.
    void* leapt_from = nullptr;
    mailbox* home = nullptr;      // the owning thread's, claimed
    record* rec = nullptr;        // the owning thread's; null before it is made and once dead
    end_block* parent = nullptr;  // counted; the owning thread's
    end_block* next_orphan = nullptr;
    std::uint64_t id = 0;
    std::unique_ptr<std::string> name;  // null for none
};

WEFT_API void retain(end_block& block) noexcept;
/// Gives up a reference, which may unwind the fiber.
WEFT_API void release(end_block& block) noexcept;

/// Counted pointer to an end block.
template <class Block>
class handle {
public:
    handle() noexcept = default;
    explicit handle(Block* adopted) noexcept : block_{adopted} {}
    handle(const handle& other) noexcept : block_{other.block_} {
        if (block_) retain(*block_);
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
        if (block) retain(*block);
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
    /// @param first   what an explicit fiber's first switch brings
    /// @param result  what it returns; a task uses neither
    virtual void run(message& first, message& result) = 0;

    /// Destroys it; null where there is nothing to do.
    void (*const destroy)(body& self) noexcept;

protected:
    explicit body(void (*how)(body&) noexcept) noexcept : destroy{how} {}
    ~body() = default;
};

/// Body's own, of a callable that it holds.
template <class Body, bool Trivial>
constexpr auto destroyer() noexcept -> void (*)(body&) noexcept {
    if constexpr (Trivial) return nullptr;
    else return [](body& self) noexcept { static_cast<Body&>(self).~Body(); };
}

/// Makes `block` this thread's, gives it a stack and returns the place for its body there. What makes the body may
/// switch away, and the thread may then end: it unwinds only fibers with body_made(). release_stack() is for a body
/// that cannot be made.
/// @param options  null for the usual ones
WEFT_API void* take_stack(end_block& block, const fiber_options* options, std::size_t size, std::size_t align);
WEFT_API void body_made(end_block& block) noexcept;
WEFT_API void release_stack(end_block& block) noexcept;

/// Puts a Body, made of `args`, at `room`, where take_stack() has said.
template <class Body, class... Args>
void fill(end_block& block, void* room, Args&&... args) {
    if constexpr (std::is_nothrow_constructible_v<Body, Args&&...>) {
        ::new (room) Body(std::forward<Args>(args)...);
    } else {
        try {
            ::new (room) Body(std::forward<Args>(args)...);
        } catch (...) {
            release_stack(block);
            throw;
        }
    }
}

/// Puts a Body, made of `args`, on a new stack; the fiber is then pending.
template <class Body, class... Args>
void make_body(end_block& block, const fiber_options* options, Args&&... args) {
    void* const room = take_stack(block, options, sizeof(Body), alignof(Body));
    fill<Body>(block, room, std::forward<Args>(args)...);
    body_made(block);
}

}  // namespace detail
}  // namespace weft
