#include <weft/barrier.hpp>

#include <exception>

#include <weft/error.hpp>

#include "sched/scheduler.hpp"

namespace weft {
namespace {

enum class outcome : std::uint8_t { none, passed, broken, again };

struct participant {
    bool arrived;  // false: waits for the end of another phase's completion function
    outcome how = outcome::none;
};

std::uint64_t self() { return detail::this_thread().current->block->id; }

void let_all_go(detail::wait_list& waiters, outcome how) noexcept {
    while (auto* first = static_cast<participant*>(waiters.first_item())) {
        first->how = first->arrived ? how : outcome::again;
        waiters.grant_first();
    }
}

[[noreturn]] void throw_broken() {
    throw barrier_broken("weft: the barrier is broken: a participant was killed or timed out, its completion function "
                         "failed, or somebody called abort() or reset(); reset() makes it whole");
}

[[noreturn]] void throw_in_hub() {
    throw blocking_in_hub("weft: a barrier would wait in a callback of the hub, which nobody could then wake; spawn a "
                          "task there and wait in it");
}

}  // namespace

std::optional<std::size_t> barrier::arrive_and_wait(deadline by) {
    detail::scheduler::here();  // the first one of a thread may fail: before anything is counted
    for (;;) {
        waiters_.lock();
        const std::size_t index = arrived_;
        participant me{runner_ == 0};
        const bool last = me.arrived && index + 1 == parties_;
        const bool in_itself = !me.arrived && runner_ == self();
        const bool in_hub = !last && detail::this_thread().current->is_hub && !by.is_past();
        const bool broken = broken_;
        if (broken || in_itself || in_hub) {
            waiters_.unlock();
            if (broken) throw_broken();
            if (in_hub) throw_in_hub();
            throw lock_misuse("weft: a barrier's completion function arrives at the barrier, which would wait for "
                              "itself; it is called once all have arrived");
        }
        if (last) {
            if (completion_) run_completion();
            end_phase(false);
            waiters_.unlock();
            return index;
        }
        if (me.arrived) ++arrived_;
        switch (waiters_.wait(by, "a barrier", this, &me)) {
            case detail::wait_end::granted_killed: detail::exit_fiber(); [[fallthrough]];
            case detail::wait_end::granted:
                if (me.how == outcome::again) continue;
                if (me.how == outcome::broken) throw_broken();
                return index;
            case detail::wait_end::timed_out:
                if (me.arrived) end_phase(true);
                waiters_.unlock();
                return std::nullopt;
            case detail::wait_end::killed:
                if (me.arrived) end_phase(true);
                waiters_.unlock();
                detail::exit_fiber();
                return std::nullopt;
        }
    }
}

// Gives the lock up while the function runs, and for good if it throws.
void barrier::run_completion() {
    const std::uint64_t phase = phase_;
    runner_ = self();
    waiters_.unlock();
    std::exception_ptr error;
    try {
        (*completion_)();
    } catch (...) {
        error = std::current_exception();
    }
    waiters_.lock();
    runner_ = 0;
    const bool over = phase_ != phase;  // broken meanwhile, or reset
    if (!error && !over) return;
    if (over) let_all_go(waiters_, outcome::broken);
    else end_phase(true);
    waiters_.unlock();
    if (error) std::rethrow_exception(error);
    throw_broken();
}

void barrier::end_phase(bool broken) noexcept {
    broken_ = broken;
    arrived_ = 0;
    ++phase_;
    let_all_go(waiters_, broken ? outcome::broken : outcome::passed);
}

void barrier::abort() noexcept {
    waiters_.lock();
    end_phase(true);
    waiters_.unlock();
}

void barrier::reset() noexcept {
    waiters_.lock();
    end_phase(true);
    broken_ = false;
    waiters_.unlock();
}

bool barrier::broken() const noexcept {
    waiters_.lock();
    const bool is = broken_;
    waiters_.unlock();
    return is;
}

std::size_t barrier::waiting() const noexcept {
    waiters_.lock();
    const std::size_t arrived = arrived_;
    waiters_.unlock();
    return arrived;
}

}  // namespace weft
