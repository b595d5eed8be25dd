#include "sched/spawn_callbacks.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include <weft/detail/small_lock.hpp>
#include <weft/task_hooks.hpp>

#include "fiber/thread.hpp"

namespace weft {
namespace detail {
namespace {

struct entry {
    std::uint64_t id;
    std::function<void(const fiber&)> function;
};
using entries = std::vector<std::shared_ptr<const entry>>;

struct store {
    small_lock lock;
    std::shared_ptr<const entries> all = std::make_shared<entries>();
    std::uint64_t last_id = 0;
};

// Never destroyed: tasks may be spawned while static objects go.
store& callbacks() {
    static store& only = *new store;
    return only;
}

std::shared_ptr<const entries> current() {
    const std::lock_guard guard{callbacks().lock};
    return callbacks().all;
}

// The list before is destroyed by the caller, without the lock.
std::shared_ptr<const entries> replace(store& s, std::shared_ptr<const entries> next) noexcept {
    spawn_callbacks_exist.store(!next->empty(), std::memory_order_relaxed);
    return std::exchange(s.all, std::move(next));
}

}  // namespace

constinit std::atomic<bool> spawn_callbacks_exist{false};

void tell_of_spawn(task_block& block) noexcept {
    const fiber spawned = fiber_of(handle<end_block>::share(&block));
    const std::shared_ptr<const entries> all = current();  // a callback may remove itself
    for (const auto& each : *all) {
        try {
            each->function(spawned);
        } catch (...) {
            report_unhandled(block, std::current_exception());
        }
    }
}

}  // namespace detail

std::uint64_t add_spawn_callback(std::function<void(const fiber&)> function) {
    detail::store& s = detail::callbacks();
    for (;;) {
        const auto before = detail::current();
        auto next = std::make_shared<detail::entries>(*before);
        auto made = std::make_shared<detail::entry>(detail::entry{0, function});
        next->push_back(made);
        std::shared_ptr<const detail::entries> gone;
        const std::lock_guard guard{s.lock};
        if (s.all != before) continue;
        made->id = ++s.last_id;
        gone = detail::replace(s, std::move(next));
        return made->id;
    }
}

bool remove_spawn_callback(std::uint64_t id) {
    detail::store& s = detail::callbacks();
    for (;;) {
        const auto before = detail::current();
        auto next = std::make_shared<detail::entries>(*before);
        if (std::erase_if(*next, [id](const auto& each) { return each->id == id; }) == 0) return false;
        std::shared_ptr<const detail::entries> gone;
        const std::lock_guard guard{s.lock};
        if (s.all != before) continue;
        gone = detail::replace(s, std::move(next));
        return true;
    }
}

}  // namespace weft
