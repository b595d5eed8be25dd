#include <weft/async_result.hpp>

#include <weft/error.hpp>

namespace weft {

already_set::already_set()
    : std::logic_error{"weft: an outcome was set a second time; let one side alone set it, look at ready() first, or "
                       "use a queue for more than one value"} {}

namespace detail {

bool result_core::wait(deadline by) const {
    if (ready()) return true;
    waiters_.lock();
    if (ready()) {
        waiters_.unlock();
        return true;
    }
    return waiters_.wait_plainly(by, "a result", this);
}

void result_core::wait_or_throw() const {
    if (!wait(deadline::never())) throw fiber_exit{};
}

void result_core::claim() {
    stage expected = stage::unset;
    // Acquire: an earlier claimer may have begun to store and given up.
    if (!stage_.compare_exchange_strong(expected, stage::claimed, std::memory_order_acquire, std::memory_order_relaxed))
        throw already_set{};
}

void result_core::publish(stage outcome) noexcept {
    waiters_.lock();
    stage_.store(outcome, std::memory_order_release);
    waiters_.grant_all();
    waiters_.unlock();
}

void result_core::publish_error(std::exception_ptr error) noexcept {
    error_ = std::move(error);
    publish(stage::has_error);
}

void result_core::set_error(std::exception_ptr error) {
    if (!error)
        throw std::invalid_argument("weft: set_exception() with a null exception_ptr, which cannot be rethrown; pass "
                                    "std::current_exception() or an exception object");
    claim();
    publish_error(std::move(error));
}

std::exception_ptr result_core::exception() const noexcept {
    return stage_.load(std::memory_order_acquire) == stage::has_error ? error_ : nullptr;
}

}  // namespace detail
}  // namespace weft
