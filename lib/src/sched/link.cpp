// Functions of the user's that are called when a task has ended.
#include <utility>

#include <weft/task.hpp>

#include "sched/scheduler.hpp"

namespace weft::detail {

link_call::link_call(when condition, bool in_hub)
    : id{this_thread().next_id()}, home_{this_thread().box}, condition_{condition}, in_hub_{in_hub} {
    scheduler::here();  // or nobody would ever take the call in
    home_->add_ref();
}

link_call::~link_call() { home_->release(); }

void link_call::ended(task_block& task) noexcept {
    wanted_ = condition_ == when::ended || (condition_ == when::returned && !task.error) ||
              (condition_ == when::failed && task.error && !task.was_killed);
    task_ = handle<task_block>::share(&task);
    if (home_->post(*this)) return;
    // It holds things of the user's, whose destruction needs a fiber of some thread that lives.
    wanted_ = false;
    if (!this_thread().box->post(*this)) delete this;
}

void link_call::arrive() noexcept {
    std::unique_ptr<link_call> self{this};
    thread& t = this_thread();
    if (t.unwinding) return;
    try {
        if (in_hub_ && wanted_) return run();
        spawn([call = std::move(self)] {
            if (call->wanted_) call->run();
        });
    } catch (...) {
        report_unhandled(*t.current->block, std::current_exception());
    }
}

std::uint64_t task_block::link(std::unique_ptr<link_call> call) noexcept {
    const std::uint64_t id = call->id;
    link_call& given = *call.release();
    if (!add(given)) static_cast<end_hook&>(given).ended(*this);
    return id;
}

bool task_block::unlink(std::uint64_t id) noexcept {
    std::unique_ptr<link_call> found;
    joiners.lock();
    for (end_hook** at = &hooks; *at && !found; at = &(*at)->next) {
        auto* const call = dynamic_cast<link_call*>(*at);
        if (!call || call->id != id) continue;
        *at = (*at)->next;
        found.reset(call);
        break;
    }
    joiners.unlock();
    return found != nullptr;  // what it holds of the user's is destroyed without the lock
}

void task_block::unlink_all() noexcept {
    end_hook* found = nullptr;
    joiners.lock();
    for (end_hook** at = &hooks; *at;) {
        if (!dynamic_cast<link_call*>(*at)) {
            at = &(*at)->next;
            continue;
        }
        end_hook* const call = *at;
        *at = call->next;
        call->next = std::exchange(found, call);
    }
    joiners.unlock();
    while (found) delete static_cast<link_call*>(std::exchange(found, found->next));
}

}  // namespace weft::detail
