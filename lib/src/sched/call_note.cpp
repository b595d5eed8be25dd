#include "fiber/call_note.hpp"

#include <utility>

#include "sched/scheduler.hpp"

namespace weft::detail {

bool has_hub() noexcept {
    const thread* t = this_thread_if_any();
    return t && t->sched;
}

call_note begin_call(const char* name, const void* frame) noexcept {
    record& me = *this_thread().current;
    call_note& here = me.call;
    if (here.name) here.lets_go(false);
    me.told = true;
    call_note now;
    now.name = name;
    now.frame = frame;
    now.goes_on();
    return std::exchange(here, now);
}

call_note end_call(const call_note& outer) noexcept {
    record& me = *this_thread().current;
    call_note& here = me.call;
    here.lets_go(false);
    const call_note ended = std::exchange(here, outer);
    me.told = outer.name != nullptr;
    if (outer.name) {
        // One within another, as a condition's lock: what has become of it is the outer one's, too.
        here.goes_on();
        here.parked = here.parked || ended.parked;
        here.pooled = here.pooled || ended.pooled;
        if (ended.longest > here.longest) here.longest = ended.longest;
    }
    return ended;
}

}  // namespace weft::detail
