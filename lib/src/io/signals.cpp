#include "io/signals.hpp"

#include "base/sys.hpp"

namespace weft::detail {
namespace {

// The kernel's layout, which is not libc's (rt_sigaction(2)).
struct kernel_action {
    void* handler;
    unsigned long flags;
#if defined(__x86_64__)
    void* restorer;
#endif
    std::uint64_t mask;
};

// Which handler ran is not known; whether there is any, and whether all ask for restarts, is.
struct handlers {
    bool any = false;
    bool all_restart = true;
};

handlers installed() noexcept {
    constexpr unsigned long sa_restart = 0x10000000;
    constexpr int signals = 64;
    handlers found;
    for (int signal = 1; signal <= signals; ++signal) {
        if (signal == 32 || signal == 33) continue;  // libc's own, for cancelling and changing ids of threads
        kernel_action action{};
        if (sys::call(SYS_rt_sigaction, signal, 0, sys::word(&action), sizeof action.mask) < 0) continue;
        if (reinterpret_cast<std::uintptr_t>(action.handler) <= 1) continue;  // default, or ignored
        found.any = true;
        if ((action.flags & sa_restart) == 0) found.all_restart = false;
    }
    return found;
}

}  // namespace

// As the kernel interrupts one of a process's threads, one wait is interrupted: main's if it is in a call that can
// be, else the longest.
void on_signal() noexcept {
    scheduler& sched = scheduler::here();
    const handlers ours = installed();
    if (!ours.any) return;  // stopped and continued: no call is interrupted by that
    const record& main = this_thread().main;
    io::signal_node* chosen = nullptr;
    for (list_node* at = sched.signalable().front(); at; at = sched.signalable().after(*at)) {
        auto* node = static_cast<io::signal_node*>(at);
        if (node->rule == io::signal_rule::restarts && ours.all_restart) continue;
        if (node->pause.who->state != run_state::parked) continue;
        if (!chosen || node->pause.who == &main) chosen = node;
    }
    if (chosen) sched.end_wait(*chosen->pause.who, wake::signalled);
}

}  // namespace weft::detail
