#include "io/readiness.hpp"

#include <cstdio>

#include "base/check.hpp"
#include "base/sys.hpp"
#include "io/signals.hpp"
#include "sched/scheduler.hpp"

// What a call owes the others besides waiting: native scopes, turns, and the brake on a killed loop.

namespace weft::detail::io {
namespace {

// Successes in a row before a fiber lets others run: a peer that always has data must not starve them.
constexpr std::uint32_t eager_limit = 32;

// Answers of ECANCELED to one kill before a loop that ignores them is slowed down.
constexpr std::uint32_t refusals_before_brake = 1000;

}  // namespace

bool perhaps_in_handler() noexcept {
    std::uint64_t blocked = 0;
    return sys::call(SYS_rt_sigprocmask, 0, 0, sys::word(&blocked), sizeof blocked) < 0 || blocked != 0;
}

bool may_park() noexcept {
    const thread* t = this_thread_if_any();
    if (!t || !t->sched) return false;
    const record& me = *t->current;
    if (me.native > 0 || ((me.attention & me.special) != 0 && me.is_hub)) return false;
    // While the thread ends, a fiber that is unwound has its waits refused, and main's calls are libc's again.
    return !t->unwinding || t->current != &t->main;
}

int enter_native() noexcept { return this_thread().current->native++; }
void leave_native() noexcept { --this_thread().current->native; }

bool in_native_scope() {
    scheduler::here();
    return this_thread().current->native > 0;
}
void yield_on() { scheduler::here().yield_on(); }

void refuse(const char* call) {
    thread& t = this_thread();
    record& me = *t.current;
    if (t.unwinding) {
        // Counts, and gives up on a fiber that never ends.
        parking once{call};
        scheduler::here().park(once);
        return;
    }
    if (++me.refused <= refusals_before_brake) {
        scheduler::here().yield_on();
        return;
    }
    if (me.refused == refusals_before_brake + 1) {
        char text[200];
        std::snprintf(text, sizeof text,
                      "task %llu '%.40s' is to end (a kill, or a timeout) and goes on although %s has told it so %u times; it is "
                      "slowed down from now on",
                      static_cast<unsigned long long>(me.block->id), me.block->name ? me.block->name->c_str() : "", call,
                      refusals_before_brake);
        warn(text);
    }
    parking brake{call};
    brake.interruptible = false;
    brake.by = deadline::at(scheduler::here().now() + std::chrono::milliseconds{10});
    scheduler::here().park(brake);
}

void spent_turn() {
    thread& t = this_thread();
    record& me = *t.current;
    if (++me.eager < eager_limit || !may_park()) return;
    me.eager = 0;
    if (perhaps_in_handler()) return;
    scheduler::here().yield_on();
}

}  // namespace weft::detail::io
