#include <weft/watchdog.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <weft/error.hpp>
#include <weft/hub.hpp>

#include "base/check.hpp"
#include "base/sys.hpp"
#include "fiber/thread.hpp"
#include "sched/driver.hpp"
#include "sched/onlooker.hpp"

namespace weft {
namespace detail {

struct watchdog_core : std::enable_shared_from_this<watchdog_core> {
    watchdog_core(watch_from w, clock::duration p, std::function<void()> a)
        : where{w}, period{p}, action{std::move(a)}, home{hub::current()} {}

    const watch_from where;
    const clock::duration period;
    const std::function<void()> action;  // empty: report()
    const onlooker watched;
    const hub home;
    std::atomic<clock::rep> fed{0};
    std::atomic<std::uint64_t> bites{0};
    std::atomic<std::uint32_t> stopped{0};  // a futex
    std::optional<timer> ticker;            // for watch_from::task

    clock::time_point time() const noexcept { return where == watch_from::thread ? clock::now() : now(); }
    void feed() noexcept { fed.store(time().time_since_epoch().count(), std::memory_order_relaxed); }
    clock::time_point last_fed() const noexcept {
        return clock::time_point{clock::duration{fed.load(std::memory_order_relaxed)}};
    }
    clock::time_point due() const noexcept {
        const auto since = last_fed();
        return period >= clock::time_point::max() - since ? clock::time_point::max() : since + period;
    }
    void bite();
    void report() const noexcept;
    void start_task();
    void start_thread();
    void watch();
};

void watchdog_core::report() const noexcept {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time() - last_fed()).count();
    char line[256];
    if (where == watch_from::thread) {
        char who[128];
        watched.describe(who, sizeof who);
        std::snprintf(line, sizeof line, "%s hogs its thread: the hub has not turned for %lld ms", who,
                      static_cast<long long>(ms));
    } else {
        std::snprintf(line, sizeof line, "a watchdog was not fed for %lld ms", static_cast<long long>(ms));
    }
    warn(line);
}

void watchdog_core::bite() {
    bites.fetch_add(1, std::memory_order_relaxed);
    if (!action) return report();
    try {
        action();
    } catch (const fiber_exit&) {
        throw;
    } catch (...) {
        report_unhandled(*this_thread().current->block, std::current_exception());
    }
}

// Looks when its food runs out, and at once again if it was fed meanwhile.
void watchdog_core::start_task() {
    ticker.emplace([weak = weak_from_this()] {
        const auto self = weak.lock();
        if (!self || self->stopped.load(std::memory_order_acquire) != 0) return;
        if (self->due() <= now()) {
            self->bite();
            self->feed();
        }
        if (self->stopped.load(std::memory_order_acquire) == 0)
            self->ticker->start(std::max(self->due() - now(), clock::duration::zero()));
    }, "watchdog");
    ticker->start(period);
}

void watchdog_core::start_thread() {
    auto self = std::make_unique<std::shared_ptr<watchdog_core>>(shared_from_this());
    const int error = start_own_thread("weft-watchdog", [](void* p) {
        using shared = std::shared_ptr<watchdog_core>;
        std::unique_ptr<shared>{static_cast<shared*>(p)}->get()->watch();
    }, self.get());
    if (error) throw std::system_error(error, std::generic_category(), "weft: a watchdog's thread");
    (void)self.release();
}

// On its own thread.
void watchdog_core::watch() {
    clock::time_point bitten{}, asked{};
    while (stopped.load(std::memory_order_acquire) == 0) {
        const auto time = clock::now();
        const auto half = last_fed() + period / 2;
        const bool bit = bitten > last_fed();
        const auto by = bit ? bitten + period : due();
        if (time >= by) {
            try {
                bite();
            } catch (const fiber_exit&) {
                // Nobody but the action itself could have killed it here.
            }
            bitten = clock::now();
            asked = {};  // the thread may have ended with the letter unread
            continue;
        }
        // One letter a period: a hub that was stuck does not find thousands.
        const bool ask = asked <= last_fed() && time >= half;
        if (ask) {
            asked = time;
            if (!home.post([self = shared_from_this()] { self->feed(); })) return;  // the hub's thread has ended
        }
        const auto until = half > time ? std::min(half, by) : by;
        const auto span = std::min<clock::duration>(until - time, std::chrono::hours{1});
        const auto whole = std::chrono::duration_cast<std::chrono::seconds>(span);
        const timespec limit{whole.count(), (span - whole).count()};
        sys::futex_wait(stopped, 0, &limit);
    }
}

}  // namespace detail

watchdog::watchdog(watch_from where, clock::duration period, std::function<void()> action) {
    if (period == period.zero()) throw std::invalid_argument("weft: a watchdog's period is 0; it would never rest");
    core_ = std::make_shared<detail::watchdog_core>(where, period, std::move(action));
    core_->feed();
    if (where == watch_from::thread) core_->start_thread();
    else core_->start_task();
}

watchdog::~watchdog() { stop(); }

void watchdog::feed() noexcept { core_->feed(); }

void watchdog::stop() noexcept {
    core_->stopped.store(1, std::memory_order_release);
    if (core_->ticker) core_->ticker->cancel();
    detail::sys::futex_wake(core_->stopped, 1);
}

std::uint64_t watchdog::bites() const noexcept { return core_->bites.load(std::memory_order_relaxed); }

}  // namespace weft
