#include <weft/task.hpp>

#include "base/check.hpp"
#include "fiber/context_values.hpp"
#include "sched/scheduler.hpp"
#include "sched/spawn_callbacks.hpp"
#include "sched/unhandled.hpp"

namespace weft::detail {
namespace {

record& task_ended(record& rec, std::exception_ptr&& error) {
    auto& block = static_cast<task_block&>(*rec.block);
    auto& sched = static_cast<scheduler&>(*rec.owner->sched);
    block.error = std::move(error);
    block.was_killed = block.error && is_exit(block.error);
    if (rec.reason) [[unlikely]] {
        block.killed_with_reason = block.error == rec.reason;
        if (block.killed_with_reason) block.observed.store(true, std::memory_order_relaxed);  // the killer knows
        rec.reason = nullptr;
    }
    block.joiners.lock();
    block.state.store(phase::dead, std::memory_order_release);
    block.rec = nullptr;
    block.joiners.grant_all();
    end_hook* hooks = std::exchange(block.hooks, nullptr);
    block.joiners.unlock();
    while (hooks) std::exchange(hooks, hooks->next)->ended(block);
    return sched.after(rec);
}

struct kill_mail final : mail {
    kill_mail(task_block& b, std::exception_ptr why) noexcept
        : target{handle<task_block>::share(&b)}, reason{std::move(why)} {}
    handle<task_block> target;
    std::exception_ptr reason;

    void arrive() noexcept override {
        if (target->rec) scheduler::here().kill(*target->rec, std::move(reason));
        delete this;
    }
};

}  // namespace

task_block::~task_block() {
    if (error && !was_killed && !observed.load(std::memory_order_relaxed)) report_unhandled(*this, error);
}

void task_block::start() {
    scheduler& sched = scheduler::here();  // the first one of a thread may fail
    inherit_variables(*rec);
    // A task ends to the scheduler. Were its parent who spawned it, a chain of tasks that each spawn the next would
    // keep every one of them.
    end_block* const main = this_thread().main.block;
    retain(*main);
    release(*std::exchange(parent, main));
    unwinds = false;
    rec->at_end = &task_ended;
    if (spawn_is_watched()) [[unlikely]] tell_of_spawn(*this);
    sched.start(*rec);
}

bool task_block::join(deadline by) {
    if (state.load(std::memory_order_acquire) == phase::dead) return true;
    if (this_thread().current->block == this)
        throw lock_misuse("weft: a task joins itself, which would never return; return from it instead");
    joiners.lock();
    if (state.load(std::memory_order_relaxed) == phase::dead) {
        joiners.unlock();
        return true;
    }
    switch (joiners.wait(by, "the end of a task", this)) {
        case wait_end::granted: return true;
        case wait_end::granted_killed: exit_fiber(); return true;
        case wait_end::timed_out: joiners.unlock(); return false;
        case wait_end::killed: joiners.unlock(); exit_fiber(); return false;
    }
    __builtin_unreachable();
}

bool task_block::kill(deadline by, std::exception_ptr reason) {
    if (state.load(std::memory_order_acquire) == phase::dead) return true;
    thread& t = this_thread();
    if (t.box == home) {
        scheduler::here().kill(*rec, std::move(reason));
        if (t.current->block == this) {
            exit_fiber();
            return false;  // in a destructor while an exception is in flight: the next wait throws
        }
    } else {
        auto* letter = new kill_mail{*this, std::move(reason)};
        if (!home->post(*letter)) delete letter;  // its thread has ended, and it with that
    }
    return by.when() == clock::time_point::min() ? state.load(std::memory_order_acquire) == phase::dead : join(by);
}

std::exception_ptr task_block::failure() noexcept {
    if (!has_ended() || was_killed) return nullptr;
    observed.store(true, std::memory_order_relaxed);
    return error;
}

bool task_block::add(end_hook& hook) noexcept {
    hook.next = nullptr;
    joiners.lock();
    const bool taken = state.load(std::memory_order_relaxed) != phase::dead;
    if (taken) {
        end_hook** at = &hooks;
        while (*at) at = &(*at)->next;
        *at = &hook;
    }
    joiners.unlock();
    return taken;
}

bool task_block::take_out(end_hook& hook) noexcept {
    joiners.lock();
    end_hook** at = &hooks;
    while (*at && *at != &hook) at = &(*at)->next;
    const bool found = *at;
    if (found) *at = hook.next;
    joiners.unlock();
    return found;
}

void task_block::rethrow_unless_successful() {
    if (was_killed) throw task_killed("weft: the task was killed and has no result");
    if (error) {
        observed.store(true, std::memory_order_relaxed);
        std::rethrow_exception(error);
    }
}

}  // namespace weft::detail
