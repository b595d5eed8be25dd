#include <weft/detail/end_block.hpp>

#include <algorithm>
#include <new>

#include "base/check.hpp"
#include "fiber/thread.hpp"

namespace weft {

std::size_t default_stack_size() noexcept { return std::size_t{WEFT_DEFAULT_STACK_KIB} * 1024; }

namespace detail {
namespace {

std::atomic<std::uint64_t> last_id{0};

struct orphan_mail : mail {
    explicit orphan_mail(end_block& b) noexcept : mail{&arrive}, block{&b} {}
    end_block* block;

    static void arrive(mail& m) noexcept {
        auto& self = static_cast<orphan_mail&>(m);
        this_thread_if_any()->add_orphan(*self.block);
        delete &self;
    }
};

void drop(end_block& block) noexcept {
    if (block.refs.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(block);
}

// Throws fiber_exit into it here and now, as if the running fiber were its parent; takes over a reference.
void unwind(thread& t, end_block& block) noexcept {
    record& gone = *block.rec;
    record& me = *t.current;
    end_block* const parent = std::exchange(block.parent, me.block);
    me.block->refs.fetch_add(1, std::memory_order_relaxed);
    gone.incoming = std::make_exception_ptr(fiber_exit{});
    gone.dropped = true;
    me.state = run_state::suspended;
    t.switch_to(gone);
    me.incoming = nullptr;
    me.inbox = message{};
    release(*std::exchange(block.parent, parent));
    if (block.state.load(std::memory_order_relaxed) != phase::dead) {
        // Still suspended. With a new handle it lives on; without one it stays until its thread ends.
        gone.dropped = false;
        if (block.refs.load(std::memory_order_relaxed) == 2)
            warn("a fiber did not end although its last handle was dropped");
    }
    drop(block);
    t.reclaim();
}

}  // namespace

end_block::end_block() noexcept : id{last_id.fetch_add(1, std::memory_order_relaxed) + 1} {}

end_block::~end_block() {
    if (parent) release(*parent);
    if (home) home->release();
}

// Not by recursion into the parent: a line of dead ones may be long.
void destroy(end_block& block) noexcept {
    for (end_block* at = &block; at;) {
        end_block* const parent = std::exchange(at->parent, nullptr);
        delete at;
        at = nullptr;
        if (!parent) return;
        if (parent->refs.load(std::memory_order_acquire) == 1) at = parent;
        else release(*parent);
    }
}

void last_handle(end_block& block) noexcept {
    if (block.state.load(std::memory_order_acquire) == phase::dead || !block.home) return drop(block);
    thread* t = this_thread_if_any();
    if (t && t->box == block.home) {
        // Running: it drops its own last handle. While the thread ends, all are unwound in their turn.
        if (!block.rec || block.rec->state == run_state::running || t->unwinding) return drop(block);
        return t->current->is_hub ? t->add_orphan(block) : unwind(*t, block);
    }
    mailbox* home = block.home;
    home->add_ref();
    auto* letter = new (std::nothrow) orphan_mail{block};
    if (!letter) {
        warn("no memory to tell a fiber's thread that its last handle is gone; the fiber stays");
    } else if (!home->post(*letter)) {
        delete letter;
        drop(block);  // the owner has ended, and with it the fiber
    }
    home->release();
}

void* take_stack(end_block& block, const fiber_options& options, std::size_t size, std::size_t align) {
    thread& t = this_thread();
    if (!t.current->is_hub) t.tidy();
    stack_pool::check_size(options.stack_size);
    const std::size_t record_room = (sizeof(record) + 63) / 64 * 64;
    const std::size_t reserve = record_room + size + align;
    if (reserve > options.stack_size / 2)
        throw std::invalid_argument("weft: the callable of a fiber fills half of its stack; give it a larger "
                                    "stack_size or capture by pointer");
    block.name = options.name;
    const stack where = t.stacks.take(options.stack_size);
    auto* top = reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(where.top) / 64 * 64 - record_room);
    auto* rec = ::new (top) record;
    rec->owner = &t;
    rec->block = &block;
    rec->where = where;
    const auto room = (reinterpret_cast<std::uintptr_t>(top) - size) / align * align;
    auto* stack_top = reinterpret_cast<std::byte*>(room / 16 * 16);
    make_context(rec->ctx, stack_top, where.bottom);
    t.records.push_back(*rec);
    block.rec = rec;
    block.refs.fetch_add(1, std::memory_order_relaxed);  // the fiber's own, until it ends
    block.home = t.box;
    t.box->add_ref();
    block.parent = t.current->block;
    block.parent->refs.fetch_add(1, std::memory_order_relaxed);
    return reinterpret_cast<void*>(room);
}

void release_stack(end_block& block) noexcept {
    record* rec = std::exchange(block.rec, nullptr);
    thread& t = *rec->owner;
    rec->unlink();
    sanitizer::ended(rec->ctx.shadow);
    const stack where = rec->where;
    rec->~record();
    t.stacks.give(where);
    drop(block);
}

void set_body(end_block& block, body& made) noexcept { block.rec->function = &made; }

}  // namespace detail
}  // namespace weft
