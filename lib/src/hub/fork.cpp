#include "hub/fork.hpp"

#include <system_error>

#include <pthread.h>

#include "base/check.hpp"
#include "hub/worker_pool.hpp"
#include "sched/scheduler.hpp"

namespace weft::detail {
namespace {

void in_parent() noexcept { worker_pool::after_fork(false); }

// Runs in the child, on the stack of the fiber that forked, before fork() returns there.
void in_child() noexcept {
    forget_own_threads();
    worker_pool::after_fork(true);
    on_fork();
    thread* t = this_thread_if_any();
    if (!t) return;
    t->box->after_fork();
    if (!t->sched) return;
    try {
        static_cast<scheduler*>(t->sched)->after_fork();
    } catch (const std::system_error& error) {
        fatal(error.what());
    }
}

}  // namespace

void watch_forks() {
    static const int registered = pthread_atfork(worker_pool::before_fork, in_parent, in_child);
    if (registered != 0) throw std::system_error(registered, std::generic_category(), "weft: pthread_atfork");
}

}  // namespace weft::detail
