#include <weft/task.hpp>

#include "base/check.hpp"
#include "sched/scheduler.hpp"
#include "sched/unhandled.hpp"

namespace weft::detail {
namespace {

record& task_ended(record& rec, std::exception_ptr&& error) {
    auto& block = static_cast<task_block&>(*rec.block);
    auto& sched = static_cast<scheduler&>(*rec.owner->sched);
    block.error = std::move(error);
    block.was_killed = block.error && is_exit(block.error);
    block.joiners.lock();
    block.state.store(phase::dead, std::memory_order_release);
    block.rec = nullptr;
    block.joiners.grant_all();
    block.joiners.unlock();
    return sched.after(rec);
}

struct kill_mail final : mail {
    explicit kill_mail(task_block& b) noexcept : target{handle<task_block>::share(&b)} {}
    handle<task_block> target;

    void arrive() noexcept override {
        if (target->rec) scheduler::here().kill(*target->rec);
        delete this;
    }
};

}  // namespace

task_block::~task_block() {
    if (error && !was_killed && !observed.load(std::memory_order_relaxed)) report_unhandled(*this, error);
}

void task_block::start() {
    scheduler& sched = scheduler::here();  // the first one of a thread may fail
    // A task ends to the scheduler. Were its parent who spawned it, a chain of tasks that each spawn the next would
    // keep every one of them.
    end_block* const main = this_thread().main.block;
    retain(*main);
    release(*std::exchange(parent, main));
    unwinds = false;
    rec->at_end = &task_ended;
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

bool task_block::kill(deadline by) {
    if (state.load(std::memory_order_acquire) == phase::dead) return true;
    thread& t = this_thread();
    if (t.box == home) {
        scheduler::here().kill(*rec);
        if (t.current->block == this) {
            exit_fiber();
            return false;  // in a destructor while an exception is in flight: the next wait throws
        }
    } else {
        auto* letter = new kill_mail{*this};
        if (!home->post(*letter)) delete letter;  // its thread has ended, and it with that
    }
    return by.when() == clock::time_point::min() ? state.load(std::memory_order_acquire) == phase::dead : join(by);
}

void task_block::rethrow_unless_successful() {
    if (was_killed) throw task_killed("weft: the task was killed and has no result");
    if (error) {
        observed.store(true, std::memory_order_relaxed);
        std::rethrow_exception(error);
    }
}

}  // namespace weft::detail
