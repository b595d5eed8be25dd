#include <weft/detail/end_block.hpp>

#include <iterator>
#include <new>

#include "base/check.hpp"
#include "fiber/thread.hpp"

namespace weft::detail {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto acquire = std::memory_order_acquire;
constexpr auto acq_rel = std::memory_order_acq_rel;

bool is_owner(const thread* t, const end_block& b) noexcept { return t && t->box == b.home; }
// What others have counted becomes the owner's: whoever drops one of those from now on sends a letter.
void take_over(end_block& b) noexcept {
    if (b.shared.load(acquire) == end_block::owners_share) return;
    const std::uint32_t count = b.shared.exchange(end_block::owners_share, acq_rel) / end_block::one_shared;
    b.local.store(b.local.load(relaxed) + count, relaxed);
}

// By the owner, without a look at what the fiber does. @returns whether the caller destroys the block
bool drop_here(end_block& b) noexcept {
    if (b.local.load(relaxed) == 1) take_over(b);
    const std::uint32_t left = b.local.load(relaxed) - 1;
    b.local.store(left, relaxed);
    return left == 0;
}

// Throws fiber_exit into it here and now, as if the running fiber were its parent; takes over a reference.
void unwind(thread& t, end_block& block) noexcept {
    record& gone = *block.rec;
    record& me = *t.current;
    end_block* const parent = std::exchange(block.parent, me.block);
    count_here(*me.block);
    gone.owes_exit = true;
    gone.dropped = true;
    t.switch_to(gone, look_around);
    t.mind(me);
    me.incoming = nullptr;
    me.inbox = message{};
    try {
        t.attend();
    } catch (...) {
        report_unhandled(*me.block, std::current_exception());
    }
    restore_parent(block, parent);
    if (block.state.load(relaxed) != phase::dead) {
        // Still suspended. With a new handle it lives on; without one it stays until its thread ends.
        gone.dropped = false;
        if (block.unowned(2)) warn("a fiber did not end although its last handle was dropped");
    }
    drop(block);
}

// The reference may be the last one beside the living fiber's own; takes it over.
void last_handle(thread& t, end_block& block) noexcept {
    record& rec = *block.rec;
    if (&rec == t.current) {
        rec.maybe_unowned = true;  // it is unwound by whoever runs next, if it is still nobody's when it leaves
        t.slow |= thread::careful;
        return drop(block);
    }
    t.current->is_hub ? t.add_orphan(block) : unwind(t, block);
}

bool give_up_here(thread& t, end_block& b) noexcept {
    if (b.rec && b.unwinds) {
        if (b.local.load(relaxed) == 1) take_over(b);
        if (b.unowned(2)) [[unlikely]] {
            last_handle(t, b);
            return false;
        }
    }
    if (!drop_here(b)) return false;
    if (!t.current->is_hub || b.harmless()) return true;
    count_here(b);
    t.add_orphan(b);
    return false;
}

// The owner has ended, and what it has counted is given up by all alike.
bool drop_after_owner(end_block& b) noexcept {
    std::uint32_t count = b.shared.load(relaxed);
    while (count >= end_block::one_shared)
        if (b.shared.compare_exchange_weak(count, count - end_block::one_shared, acq_rel, relaxed))
            return count == end_block::one_shared;
    return b.local.fetch_sub(1, acq_rel) == 1 &&
           (b.shared.load(acquire) == end_block::owners_share ||
            b.shared.fetch_sub(end_block::owners_share, acq_rel) == end_block::owners_share);
}

bool give_up_elsewhere(end_block& b) noexcept {
    std::uint32_t count = b.shared.load(relaxed);
    while (count >= end_block::one_shared) {
        // Whether this is the last handle of a fiber that must be unwound, only its thread can say.
        const bool may_be_last = count == (end_block::one_shared | end_block::owners_share);
        if (may_be_last && b.unwinds && b.state.load(acquire) != phase::dead) break;
        if (b.shared.compare_exchange_weak(count, count - end_block::one_shared, acq_rel, relaxed))
            return count == end_block::one_shared;
    }
    if (b.dropped_elsewhere.fetch_add(1, acq_rel) > 0) return false;  // a letter is under way and says how many
    mailbox* const home = b.home;
    home->add_ref();  // the owner may take the letter, and end, before this is done
    bool last = false;
    if (!home->post_drop(b))
        for (std::uint32_t left = b.dropped_elsewhere.exchange(0, acq_rel); left > 0; --left)
            last = drop_after_owner(b);
    home->release();
    return last;
}

[[gnu::noinline]] bool give_up_slowly(thread* t, end_block& block) noexcept {
    return is_owner(t, block) ? give_up_here(*t, block) : give_up_elsewhere(block);
}

// Whether the caller destroys the block. What there is to think about happens once in a life.
[[gnu::always_inline]] inline bool give_up(thread* t, end_block& block) noexcept {
    if (is_owner(t, block)) [[likely]] {
        const std::uint32_t held = block.local.load(relaxed);
        if (held > 2) {
            block.local.store(held - 1, relaxed);
            return false;
        }
        if (held == 1 && !block.rec && block.shared.load(acquire) == end_block::owners_share && !t->current->is_hub)
            return true;
    }
    return give_up_slowly(t, block);
}

// Not by recursion into the parent: a line of dead ones may be long.
void destroy(thread* t, end_block& block) noexcept {
    for (end_block* at = &block; at;) {
        end_block* const parent = std::exchange(at->parent, nullptr);
        mailbox* const home = at->home;
        delete at;
        if (t && t->box == home) [[likely]] --t->claims;
        else home->release();
        at = parent && give_up(t, *parent) ? parent : nullptr;
    }
}

}  // namespace

// Small blocks come and go with their fibers; malloc's own cache takes longer than all the rest of a short life.
constexpr std::uint32_t most_spares = 4096;

void** spares_for(thread& t, std::size_t size) noexcept {
    if (sanitizer::active) return nullptr;  // they are to see every block end
    const std::size_t index = (size - 1) / thread::block_unit;
    return index < std::size(t.spare_blocks) ? &t.spare_blocks[index] : nullptr;
}

// The thread is made here at the latest, before there is a block that could be nobody's.
void* end_block::operator new(std::size_t size) {
    thread& t = this_thread();
    void** const spares = spares_for(t, size);
    if (!spares || !*spares)
        return ::operator new((size + thread::block_unit - 1) / thread::block_unit * thread::block_unit);
    void* const at = *spares;
    *spares = *static_cast<void**>(at);
    __builtin_prefetch(*spares);
    --t.spares;
    return at;
}

void* end_block::operator new(std::size_t size, std::align_val_t align) {
    this_thread();
    return ::operator new(size, align);
}

void end_block::operator delete(void* at, std::size_t size) noexcept {
    thread* const t = this_thread_if_any();
    void** const spares = t && t->spares < most_spares ? spares_for(*t, size) : nullptr;
    if (!spares) return ::operator delete(at);
    *static_cast<void**>(at) = *spares;
    *spares = at;
    ++t->spares;
}

// Gives up all but the last by counting.
void end_block::arrive() noexcept {
    const std::uint32_t dropped = dropped_elsewhere.exchange(0, acq_rel);
    take_over(*this);
    const std::uint32_t left = local.load(relaxed) - (dropped - 1);
    local.store(left, relaxed);
    const bool may_be_last = left == 1 || (left == 2 && rec && unwinds);
    if (may_be_last) current_thread->add_orphan(*this);  // its end may run the user's code, which needs a fiber
    else local.store(left - 1, relaxed);
}

void restore_parent(end_block& block, end_block* parent) noexcept {
    // Unless that has become its descendant meanwhile.
    for (const end_block* at = parent; at; at = at->parent)
        if (at == &block) return release(*parent);
    release(*std::exchange(block.parent, parent));
}

void drop(end_block& block) noexcept {
    if (drop_here(block)) destroy(current_thread, block);
}

void retain(end_block& block) noexcept {
    if (is_owner(this_thread_if_any(), block)) [[likely]] count_here(block);
    else block.shared.fetch_add(end_block::one_shared, relaxed);
}

void release(end_block& block) noexcept {
    thread* const t = this_thread_if_any();
    if (give_up(t, block)) destroy(t, block);
}

}  // namespace weft::detail
