#include "fiber/call_note.hpp"

#include <utility>

#include "sched/scheduler.hpp"

namespace weft::detail {

bool has_hub() noexcept {
    const thread* t = this_thread_if_any();
    return t && t->sched;
}

call_note begin_call(const char* name, const void* frame) noexcept {
    call_note now;
    now.name = name;
    now.frame = frame;
    now.goes_on();
    return std::exchange(this_thread().current->call, now);
}

call_note end_call(const call_note& outer) noexcept {
    call_note& here = this_thread().current->call;
    here.lets_go(false);
    return std::exchange(here, outer);
}

}  // namespace weft::detail
