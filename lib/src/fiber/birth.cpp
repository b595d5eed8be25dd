#include <stdexcept>

#include "fiber/thread.hpp"

namespace weft {

std::size_t default_stack_size() noexcept { return std::size_t{WEFT_DEFAULT_STACK_KIB} * 1024; }

namespace detail {

void* take_stack(end_block& block, const fiber_options& options, std::size_t size, std::size_t align) {
    thread& t = this_thread();
    if (!t.current->is_hub) t.tidy();
    stack_pool::check_size(options.stack_size);
    const std::size_t record_room = (sizeof(record) + 63) / 64 * 64;
    const std::size_t reserve = record_room + size + align;
    if (reserve > options.stack_size / 2)
        throw std::invalid_argument("weft: the callable of a fiber fills half of its stack; give it a larger "
                                    "stack_size or capture by pointer");
    std::unique_ptr<std::string> name = options.name.empty() ? nullptr : std::make_unique<std::string>(options.name);
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
    block.name = std::move(name);
    block.rec = rec;
    retain(block);  // the fiber's own, until it ends
    block.parent = t.current->block;
    retain(*block.parent);
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
    release(block);
}

void set_body(end_block& block, body& made) noexcept { block.rec->function = &made; }

}  // namespace detail
}  // namespace weft
