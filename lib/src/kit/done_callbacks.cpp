#include <weft/detail/done_callbacks.hpp>

#include <exception>
#include <utility>

#include <weft/task.hpp>

#include "sched/scheduler.hpp"

namespace weft::detail {

done_callback::done_callback() {
    scheduler::here();  // made now: arrive() spawns
    home = this_thread().box;
    home->add_ref();
}

done_callback::~done_callback() { home->release(); }

void done_callback::arrive() noexcept {
    thread& t = this_thread();
    if (t.unwinding) {
        delete this;
        return;
    }
    try {
        weft::spawn([self = std::unique_ptr<done_callback>{this}] { self->run(self->done); });
    } catch (...) {
        report_unhandled(*t.current->block, std::current_exception());
    }
}

done_callbacks::~done_callbacks() {
    while (first_) delete static_cast<done_callback*>(std::exchange(first_, first_->next));
}

void done_callbacks::add(std::unique_ptr<done_callback> callback, const std::shared_ptr<void>& of) {
    lock_.lock();
    const bool done = done_;
    if (!done) {
        mail* const added = callback.release();
        added->next = nullptr;
        (last_ ? last_->next : first_) = added;
        last_ = added;
    }
    lock_.unlock();
    if (!done) return;
    // Behind those that are on their way there already.
    callback->done = of;
    done_callback* const posted = callback.release();
    if (!posted->home->post(*posted)) delete posted;
}

void done_callbacks::complete(const std::shared_ptr<void>& of) noexcept {
    lock_.lock();
    done_ = true;
    mail* at = std::exchange(first_, nullptr);
    last_ = nullptr;
    lock_.unlock();
    while (at) {
        auto* const callback = static_cast<done_callback*>(std::exchange(at, at->next));
        callback->done = of;
        mailbox* const to = callback->home;
        to->add_ref();
        if (!to->post(*callback)) delete callback;  // its thread has ended
        to->release();
    }
}

}  // namespace weft::detail
