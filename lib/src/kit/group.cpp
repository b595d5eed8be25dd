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
    if (std::uncaught_exceptions() > in_flight_) {
        core_.kill_others(nullptr);
        core_.join_all_the_same();
        return core_.report_others();
    }
    const auto end_them = [this] {
        core_.kill_others(nullptr);
        core_.join_all_the_same();
    };
    try {
        if (!core_.join(deadline::never())) end_them();
    } catch (...) {
        end_them();
        core_.report_others();
        throw;
    }
    const std::exception_ptr first = core_.take_first_failure();
    core_.report_others();
    if (first) std::rethrow_exception(first);
}

}  // namespace weft
