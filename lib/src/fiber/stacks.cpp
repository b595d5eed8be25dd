#include <cstring>
#include <stdexcept>

#include <weft/fiber.hpp>
#include <weft/stack.hpp>

#include "context/overflow.hpp"
#include "fiber/thread.hpp"

namespace weft {

void trim_stacks() noexcept {
    detail::thread* t = detail::this_thread_if_any();
    if (!t) return;
    t->cool_down();
    t->stacks.trim();
}

namespace {
const detail::record* living(const detail::end_block* block) {
    if (!block) throw std::invalid_argument("weft: this handle names no fiber; assign one made with weft::fiber{function}");
    if (block->home != detail::this_thread().box)
        throw wrong_thread("weft: the stack of another thread's fiber; ask in that thread, by weft::hub::post()");
    return block->rec && block->rec->where.of ? block->rec : nullptr;
}
}  // namespace

std::size_t fiber::stack_size() const {
    const detail::record* rec = living(block_.get());
    return rec ? rec->where.size() : 0;
}

std::size_t fiber::stack_used() const {
    const detail::record* rec = living(block_.get());
    return rec ? detail::stack_used(rec->where) : 0;
}

bool detail::describe_overflow(const void* address, overflow_report& report) noexcept {
    const thread* t = this_thread_if_any();
    if (!t || !in_guard(t->current->where, address)) return false;
    const record& rec = *t->current;
    report.task = rec.scheduled;
    report.id = rec.block->id;
    if (rec.block->name) std::strncpy(report.name.data(), rec.block->name->c_str(), report.name.size() - 1);
    report.stack_size = rec.where.size();
    report.wanted = static_cast<std::size_t>(rec.where.top - static_cast<const std::byte*>(address));
    return true;
}

}  // namespace weft
