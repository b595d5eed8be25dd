#include <weft/task.hpp>

#include "base/check.hpp"
#include "fiber/context_values.hpp"
#include "sched/cancel.hpp"
#include "sched/scheduler.hpp"
#include "sched/spawn_callbacks.hpp"
#include "sched/unhandled.hpp"

namespace weft::detail {

/// Who waits for the end of a task of its own thread; on its stack.
struct joiner {
    park_token token;
    joiner* prev = nullptr;
    joiner* next = nullptr;
};

namespace {

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

void note_error(task_block& block, record& rec, std::exception_ptr&& error) noexcept {
    block.error = std::move(error);
    block.was_killed = is_exit(block.error);
    block.killed_with_reason = rec.reason && block.error == rec.reason;
    if (block.killed_with_reason) block.observed.store(true, std::memory_order_relaxed);  // the killer knows
}

}  // namespace

record& task_ended(record& rec, std::exception_ptr&& error) noexcept {
    auto& block = static_cast<task_block&>(*rec.block);
    if (error) [[unlikely]] note_error(block, rec, std::move(error));
    if (rec.killed) [[unlikely]] rec.reason = nullptr;
    block.state.store(phase::dead, std::memory_order_release);
    block.rec = nullptr;
    block.wake_joiners();
    if (block.announced.load(std::memory_order_relaxed)) [[unlikely]] block.tell_of_end();
    return static_cast<scheduler&>(*rec.owner->sched).after(rec);
}

// As killed: nobody may take it for one that has returned.
void task_left_behind(record& rec, bool forked) noexcept {
    auto& block = static_cast<task_block&>(*rec.block);
    static const std::exception_ptr exit = std::make_exception_ptr(fiber_exit{});
    block.error = exit;
    block.was_killed = true;
    rec.reason = nullptr;
    block.state.store(phase::dead, std::memory_order_release);
    if (!forked) {
        block.wake_joiners();
        if (block.announced.load(std::memory_order_relaxed)) block.tell_of_end();
        return;
    }
    for (end_hook* told = std::exchange(block.hooks, nullptr); told;) std::exchange(told, told->next)->forked();
}

// Of its own thread.
void task_block::wake_joiners() noexcept {
    auto& sched = static_cast<scheduler&>(*current_thread->sched);
    for (const joiner* j = std::exchange(first_here, nullptr); j;) {
        const joiner* const next = j->next;
        sched.unpark(j->token);  // unless it is awake for another reason
        j = next;
    }
}

void task_block::report_unless_observed() noexcept {
    if (!was_killed && !observed.load(std::memory_order_relaxed)) report_unhandled(*this, error);
}

void* task_block::take_stack(const fiber_options* options, std::size_t size, std::size_t align) {
    scheduler::here();  // the first one of a thread may fail
    return detail::take_stack(*this, options, size, align);
}

void task_block::start() {
    thread& t = *current_thread;
    if (t.current->variables) [[unlikely]] {
        try {
            inherit_variables(*rec);
        } catch (...) {
            if (rec->function->destroy) rec->function->destroy(*rec->function);
            release_stack(*this);
            throw;
        }
    }
    t.records.push_back(*rec);
    auto& sched = static_cast<scheduler&>(*t.sched);
    sched.adopt(*rec);
    if (spawn_is_watched()) [[unlikely]] {
        tell_of_spawn(*this);
        if (!rec) return;  // a callback has waited, and its thread ended meanwhile
    }
    sched.make_ready(*rec);
}

void task_block::tell_of_end() noexcept {
    joiners.lock();
    joiners.grant_all();
    end_hook* told = std::exchange(hooks, nullptr);
    joiners.unlock();
    while (told) std::exchange(told, told->next)->ended(*this);
}

// The owner stores the end and then looks at `announced`, and nothing keeps its processor from doing that the other way
// round. So somebody of another thread may be overlooked who has not seen the end either. The letter makes up for that:
// when it arrives, the owner has seen the mark or finds the task dead, and looks once more.
void task_block::announce_first() noexcept {
    const thread* const t = this_thread_if_any();
    if (t && t->box == home) return announced.store(true, std::memory_order_relaxed);
    if (announced.exchange(true, std::memory_order_acq_rel)) return;
    retain(*this);
    letter_.to = this;
    if (!home->post_drop(letter_)) letter_.arrive();  // its thread has ended, and it with that
}

void task_block::announcement::arrive() noexcept {
    if (to->has_ended()) to->tell_of_end();
    release(*to);
}

bool task_block::join_living(deadline by) {
    thread& t = this_thread();
    if (t.box != home) return join_elsewhere(by);
    if (t.current->block == this)
        throw lock_misuse("weft: a task joins itself, which would never return; return from it instead");
    return join_here(by);
}

bool task_block::join_here(deadline by) {
    scheduler& sched = scheduler::here();
    parking pause{"the end of a task", this};
    pause.by = by;
    if (sched.would_park(pause)) {
        joiner me{sched.next_token(), first_here ? last_here : nullptr};
        (first_here ? last_here->next : first_here) = &me;
        last_here = &me;
        pause.cause = sched.park_now(pause);
        if (has_ended()) {
            if (pause.cause == wake::killed || sched.must_die()) exit_fiber();
            return true;
        }
        (me.prev ? me.prev->next : first_here) = me.next;
        (me.next ? me.next->prev : last_here) = me.prev;
    }
    if (pause.cause == wake::killed) exit_fiber();
    return false;
}

bool task_block::join_elsewhere(deadline by) {
    announce();
    joiners.lock();
    if (has_ended()) {
        joiners.unlock();
        return true;
    }
    return joiners.wait_plainly(by, "the end of a task", this);
}

bool task_block::kill(deadline by, std::exception_ptr reason) {
    if (state.load(std::memory_order_acquire) == phase::dead) return true;
    thread& t = this_thread();
    if (t.box == home) {
        scheduler::here().kill(*rec, std::move(reason));
        if (t.current->block == this) {
            if (kill_pending(*rec)) exit_fiber();
            return false;  // in a shield, or while an exception is in flight: a later wait throws
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
    announce();
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

void task_block::join_or_throw() {
    if (!join(deadline::never())) throw fiber_exit{};  // in a destructor, where the wait cannot be made any more
    rethrow_unless_successful();
}

void task_block::rethrow_unless_successful() {
    if (was_killed) throw task_killed("weft: the task was killed and has no result");
    if (error) {
        observed.store(true, std::memory_order_relaxed);
        std::rethrow_exception(error);
    }
}

}  // namespace weft::detail
