#include <cstring>

#include <weft/stack.hpp>

#include "context/overflow.hpp"
#include "fiber/thread.hpp"

namespace weft {

void trim_stacks() noexcept {
    if (detail::thread* t = detail::this_thread_if_any()) t->stacks.trim();
}

bool detail::describe_overflow(const void* address, overflow_report& report) noexcept {
    const thread* t = this_thread_if_any();
    if (!t || !in_guard(t->current->where, address)) return false;
    const record& rec = *t->current;
    report.task = rec.scheduled;
    report.id = rec.block->id;
    std::strncpy(report.name.data(), rec.block->name.c_str(), report.name.size() - 1);
    report.stack_size = rec.where.size();
    report.wanted = static_cast<std::size_t>(rec.where.top - static_cast<const std::byte*>(address));
    return true;
}

}  // namespace weft
