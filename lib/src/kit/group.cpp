#include <weft/group.hpp>

#include "sched/scheduler.hpp"

namespace weft {

bool group::join(deadline by) {
    if (!core_.join(by)) return false;
    if (const std::exception_ptr first = core_.take_first_failure()) std::rethrow_exception(first);
    return true;
}

bool group::kill(const std::exception_ptr& reason, deadline by) {
    core_.kill_others(reason);
    if (core_.has_caller()) static_cast<detail::task_block*>(detail::this_thread().current->block)->kill(deadline::past(), reason);
    return core_.has_caller() ? false : core_.join(by);
}

void group::leave() {
    const bool by_exception = core_.left_by_exception();
    try {
        core_.leave();
    } catch (...) {
        core_.report_others();
        throw;
    }
    const std::exception_ptr first = by_exception ? nullptr : core_.take_first_failure();
    core_.report_others();
    if (first) std::rethrow_exception(first);
}

}  // namespace weft
