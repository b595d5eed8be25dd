#include <weft/detail/group_core.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include <weft/error.hpp>

#include "sched/scheduler.hpp"

namespace weft::detail {

void member::ended(task_block& ended) noexcept {
    // While it is a member the group lives.
    group_core& group = *of;
    group.waiters_.lock();
    const bool failed = ended.error && !ended.was_killed && !ended.killed_with_reason;
    if (failed && group.policy_ == group_core::on_error::kills_siblings) {
        group.keep(ended);
        ended.observed.store(true, std::memory_order_relaxed);
        if (!std::exchange(group.killed_, true)) group.kill_all_but(&ended, nullptr);
    }
    const bool on_heap = added;
    group.strike(*this);
    group.waiters_.unlock();
    if (on_heap) delete this;
}

// The lock may have been held by a thread that does not exist here: it is not asked for.
void member::forked() noexcept { of->strike(*this); }

void group_core::keep(const task_block& failed) noexcept {
    try {
        failures_.push_back(failed.error);
    } catch (...) {
        report_unhandled(failed, failed.error);
    }
}

// Under the lock.
void group_core::strike(member& who) noexcept {
    (who.prev ? who.prev->next_member : first_) = who.next_member;
    (who.next_member ? who.next_member->prev : last_) = who.prev;
    if (std::exchange(who.has_permit, false)) give_back_permit();
    if (--count_ == 0) waiters_.grant_all();
}

// Under the lock, so that none of them can end and be gone meanwhile. Wakes, and does not switch.
void group_core::kill_all_but(const task_block* spared, const std::exception_ptr& reason) noexcept {
    for (member* at = first_; at; at = at->next_member)
        if (at->task != spared) (void)at->task->kill(deadline::past(), reason);
}

void group_core::enter(member& who, task_block& task) noexcept {
    who.of = this;
    who.task = &task;
    if (!who.added && task.rec) task.rec->member_of = &who;
    waiters_.lock();
    who.prev = last_;
    (last_ ? last_->next_member : first_) = &who;
    last_ = &who;
    ++count_;
    const bool too_late = killed_;
    waiters_.unlock();
    if (!task.add(who)) who.ended(task);
    else if (too_late) (void)task.kill(deadline::past());
}

bool group_core::add(task_block& task) {
    if (contains(task)) return false;
    auto made = std::make_unique<member>();
    made->added = true;
    enter(*made.release(), task);
    return true;
}

bool group_core::discard(const task_block& task) noexcept {
    waiters_.lock();
    member* const place = place_of(&task);
    // One whose task is ending on another thread leaves by itself.
    const bool out = place && place->added && place->task->take_out(*place);
    if (out) strike(*place);
    waiters_.unlock();
    if (out) delete place;
    return out;
}

bool group_core::contains(const task_block& task) const noexcept {
    const std::lock_guard guard{waiters_};
    return place_of(&task) != nullptr;
}

bool group_core::join(deadline by) {
    waiters_.lock();
    if (count_ == 0) {
        waiters_.unlock();
        return true;
    }
    if (place_of(this_thread().current->block)) {
        waiters_.unlock();
        throw lock_misuse("weft: a member joins its own group, which would wait for itself; join from outside");
    }
    return waiters_.wait_plainly(by, "the end of a group", this);
}

void group_core::leave() {
    if (left_by_exception()) return end_members();
    try {
        if (join(deadline::never())) return;
    } catch (...) {
        end_members();
        throw;
    }
    end_members();
}

void group_core::end_members() noexcept {
    kill_others(nullptr);
    join_all_the_same();
}

// Whatever comes.
void group_core::join_all_the_same() noexcept {
    waiters_.lock();
    if (count_ > 0 && !this_thread().unwinding && !this_thread().current->is_hub) {
        if (waiters_.wait(deadline::never(), "the end of a group", this, nullptr, false) == wait_end::granted) return;
    }
    waiters_.unlock();
    disband();
}

void group_core::kill_others(const std::exception_ptr& reason) noexcept {
    const task_block* const me = static_cast<task_block*>(this_thread().current->block);
    const std::lock_guard guard{waiters_};
    killed_ = true;
    kill_all_but(me, reason);
}

void group_core::disband() noexcept {
    thread& t = this_thread();
    for (;;) {
        waiters_.lock();
        member* const oldest = first_;
        if (!oldest) break;
        // Its hook is in its block, which may go once the hook is out.
        const auto kept = handle<task_block>::share(oldest->task);
        // One that is ending on another thread is about to leave by itself.
        const bool out = oldest->task->take_out(*oldest);
        if (out) strike(*oldest);
        waiters_.unlock();
        if (out && oldest->added) delete oldest;
        if (!out && !t.box->deliver_all()) t.box->sleep_briefly();
    }
    waiters_.unlock();
}

std::size_t group_core::size() const noexcept {
    const std::lock_guard guard{waiters_};
    return count_;
}

member* group_core::mine() noexcept {
    auto* const place = static_cast<member*>(this_thread().current->member_of);
    return place && place->of == this ? place : nullptr;
}

member* group_core::place_of(const end_block* task) const noexcept {
    for (member* at = first_; at; at = at->next_member)
        if (at->task == task) return at;
    return nullptr;
}

bool group_core::give_permit_to_caller() noexcept {
    const std::lock_guard guard{waiters_};
    member* const place = mine();
    if (place) place->has_permit = true;
    return place;
}

bool group_core::take_permit_of_caller() noexcept {
    const std::lock_guard guard{waiters_};
    member* const place = mine();
    return place && std::exchange(place->has_permit, false);
}

void group_core::reopen() noexcept {
    const std::lock_guard guard{waiters_};
    killed_ = false;
}

std::vector<std::exception_ptr> group_core::failures() const {
    const std::lock_guard guard{waiters_};
    std::vector<std::exception_ptr> all = failures_;
    seen_ = all.size();
    return all;
}

std::exception_ptr group_core::take_first_failure() noexcept {
    const std::lock_guard guard{waiters_};
    if (failures_.empty() || std::exchange(taken_, true)) return nullptr;
    return failures_.front();
}

bool group_core::failed() const noexcept {
    const std::lock_guard guard{waiters_};
    return !failures_.empty();
}

void group_core::report_others() noexcept {
    for (std::size_t i = std::max<std::size_t>(seen_, taken_ ? 1 : 0); i < failures_.size(); ++i)
        report_unhandled(*this_thread().current->block, failures_[i]);
    seen_ = failures_.size();
}

}  // namespace weft::detail
