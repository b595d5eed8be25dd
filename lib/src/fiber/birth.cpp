// How a fiber gets its stack, and what becomes of the stack afterwards.
#include <new>
#include <stdexcept>
#include <utility>

#include "fiber/thread.hpp"

namespace weft {

std::size_t default_stack_size() noexcept { return std::size_t{WEFT_DEFAULT_STACK_KIB} * 1024; }

namespace detail {
namespace {

constexpr std::size_t line = 64;
constexpr std::size_t usual_body = 2 * line;  // room for what most callables capture

constexpr std::uintptr_t down(std::uintptr_t at, std::size_t align) noexcept { return at & ~(align - 1); }

// At the top of the stack its record, then room for the body, then frames.
struct plan {
    std::byte* record_at;
    std::byte* room;
};
plan plan_of(const stack& where, std::size_t body_size) noexcept {
    const auto rec = down(reinterpret_cast<std::uintptr_t>(where.top) - sizeof(record), line);
    const auto room = down(rec - body_size, line);
    return {reinterpret_cast<std::byte*>(rec), reinterpret_cast<std::byte*>(room)};
}

[[noreturn]] void throw_too_large() {
    throw std::invalid_argument("weft: the callable of a fiber fills half of its stack; give it a larger stack_size "
                                "or capture by pointer");
}

record& new_record(thread& t, std::size_t stack_size, std::size_t size, std::size_t align) {
    stack_pool::check_size(stack_size);
    const std::size_t room = std::max(usual_body, size + (align > line ? align : 0));
    if (sizeof(record) + room > stack_size / 2) throw_too_large();
    const stack where = t.stacks.take(stack_size);
    const plan at = plan_of(where, room);
    auto* rec = ::new (at.record_at) record;
    rec->owner = &t;
    rec->where = where;
    rec->room = at.room;
    make_context(rec->ctx, at.room, where.bottom);
    return *rec;
}

// Null where there is too little room.
std::byte* place_in(const record& rec, std::size_t size, std::size_t align) noexcept {
    const auto end = reinterpret_cast<std::uintptr_t>(&rec);
    auto* const at = reinterpret_cast<std::byte*>(down(end - size, std::max(align, alignof(void*))));
    const bool usual = size <= usual_body && align <= line;
    return usual || at >= rec.room ? at : nullptr;
}

}  // namespace

void* take_stack(end_block& block, const fiber_options* options, std::size_t size, std::size_t align) {
    thread& t = *current_thread;
    t.adopt(block);
    if (t.slow & thread::untidy && !t.current->is_hub) [[unlikely]] t.tidy();
    if (options && !options->name.empty()) block.name = std::make_unique<std::string>(options->name);
    const std::size_t stack_size = options ? options->stack_size : default_stack_size();
    record* rec = t.warm;
    std::byte* place = nullptr;
    if (rec && t.stacks.serves(rec->where, stack_size)) [[likely]] place = place_in(*rec, size, align);
    if (place) [[likely]] {
        t.unwarm(*rec);
        renew_context(rec->ctx);
    } else {
        rec = &new_record(t, stack_size, size, align);
        place = place_in(*rec, size, align);
    }
    // Every body is derived from `body` first and once, so that is where it begins.
    rec->function = reinterpret_cast<body*>(place);
    rec->block = &block;
    rec->member_of = nullptr;
    rec->attention = block.unwinds ? record::special : 0;
    rec->leaps_from = &block.leapt_from;
    block.rec = rec;
    count_here(block);  // the fiber's own, until it ends
    block.parent = (block.unwinds ? t.current : &t.main)->block;
    count_here(*block.parent);
    return place;
}

void body_made(end_block& block) noexcept { block.rec->owner->records.push_back(*block.rec); }

void release_stack(end_block& block) noexcept {
    record& rec = *std::exchange(block.rec, nullptr);
    rec.owner->let_go_of_stack(rec);
    release(block);
}

bool thread::keep_warm(record& rec) noexcept {
    size_class& c = *rec.where.of;
    if (c.warm_count + c.kept >= c.warm_room || slow & long_way) return false;
    if (c.kept >= c.warm_room - c.warm_room / 8) return false;  // the pool needs some to cool many at a time
    static_cast<life&>(rec) = life{};
    rec.next_ready = warm;
    warm = &rec;
    ++warm_count;
    ++c.kept;
    return true;
}

void thread::unwarm(record& first) noexcept {
    warm = first.next_ready;
    const auto next = reinterpret_cast<std::uintptr_t>(warm);  // a number: there may be none
    for (const std::uintptr_t at : {0, 64, 128}) __builtin_prefetch(reinterpret_cast<const void*>(next + at));
    --warm_count;
    --first.where.of->kept;
}

void thread::cool_down() noexcept {
    while (record* rec = warm) {
        unwarm(*rec);
        let_go_of_stack(*rec);
    }
}

void thread::let_go_of_stack(record& rec) noexcept {
    sanitizer::ended(rec.ctx.shadow);
    const stack where = rec.where;
    rec.~record();
    stacks.give(where);
}

}  // namespace detail
}  // namespace weft
