#include <weft/hub.hpp>

#include <exception>

#include <weft/error.hpp>

#include "hub/hub_driver.hpp"
#include "sched/scheduler.hpp"
#include "sched/unhandled.hpp"

namespace weft {
namespace detail {
namespace {

struct posted_mail final : mail {
    explicit posted_mail(std::unique_ptr<posted> c) noexcept : call{std::move(c)} {}
    std::unique_ptr<posted> call;

    void arrive() noexcept override {
        const std::unique_ptr<posted_mail> self{this};
        thread& t = this_thread();
        if (t.unwinding) return;
        try {
            call->run();
        } catch (...) {
            report_unhandled(*t.current->block, std::current_exception());
        }
    }
};

}  // namespace
}  // namespace detail

hub::hub(detail::mailbox& box) noexcept : box_{&box} { box_->add_ref(); }
hub::hub(const hub& other) noexcept : box_{other.box_} { box_->add_ref(); }
hub& hub::operator=(const hub& other) noexcept {
    other.box_->add_ref();
    box_->release();
    box_ = other.box_;
    return *this;
}
hub::~hub() { box_->release(); }

hub hub::current() {
    detail::scheduler::here();
    return hub{*detail::this_thread().box};
}

bool hub::post_call(std::unique_ptr<detail::posted> call) const {
    auto letter = std::make_unique<detail::posted_mail>(std::move(call));
    if (!box_->post(*letter)) return false;
    (void)letter.release();
    return true;
}

bool hub::join(deadline by) const {
    detail::thread* const t = detail::this_thread_if_any();
    if (!t || t->box != box_) throw wrong_thread("weft: hub::join() of another thread's hub; post() a function that spawns there");
    const detail::wake cause = detail::scheduler::here().outlive_tasks(by);
    if (cause == detail::wake::killed) detail::exit_fiber();
    return cause == detail::wake::unparked;
}

uv_loop_s* hub::loop() const {
    detail::thread* t = detail::this_thread_if_any();
    if (!t || t->box != box_)
        throw wrong_thread("weft: hub::loop() of another thread's hub; libuv loops are for their own thread, use post()");
    auto* drive = dynamic_cast<detail::hub_driver*>(&detail::scheduler::here().drive());
    if (!drive) throw std::logic_error("weft: hub::loop() under a manual clock, which turns no libuv loop");
    return drive->loop();
}

}  // namespace weft
