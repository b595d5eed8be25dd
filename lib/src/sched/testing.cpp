#include <weft/testing.hpp>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <stdexcept>

#include "sched/scheduler.hpp"

namespace weft::detail {

void scheduler::queue_anywhere(record& rec) noexcept {
    std::size_t length = 1;
    for (const record* at = first_ready_; at; at = at->next_ready) ++length;
    // Xorshift (Marsaglia, "Xorshift RNGs", 2003).
    shuffle_ ^= shuffle_ << 13;
    shuffle_ ^= shuffle_ >> 7;
    shuffle_ ^= shuffle_ << 17;
    record** at = &first_ready_;
    for (std::size_t before = (shuffle_ >> 32) % length; before > 0; --before) at = &(*at)->next_ready;
    rec.next_ready = *at;
    *at = &rec;
    if (!rec.next_ready) last_ready_ = &rec;
}

void scheduler::settle() {
    constexpr int patience = 100'000;
    for (int turns = 0; turns < patience; ++turns) {
        // The hub takes in posts and deadlines before anybody else runs.
        turns_left_ = 1;
        last_poll_ = clock::time_point{} - poll_interval;
        if (yield() == wake::killed) exit_fiber();
        if (!first_ready_ && thread_.box->empty()) return;
    }
    throw std::logic_error("weft: settle() gave up after 100000 turns; a task yields for ever");
}

}  // namespace weft::detail

namespace weft::testing {
namespace {

class manual_driver final : public detail::driver {
public:
    manual_driver(detail::mailbox& box, time_passes how) noexcept : box_{box}, how_{how} {}

    std::unique_ptr<detail::driver> replaced;  // what it stands in for

    clock::time_point now() noexcept override { return time_; }
    long watch(int, std::uint64_t) noexcept override { return -ENOTSUP; }
    void installed() noexcept override { box_.wake_by(-1); }

    bool poll(clock::time_point until) override {
        if (until == clock::time_point::min()) return true;
        if (how_ == time_passes::when_idle && until != clock::time_point::max()) {
            time_ = std::max(time_, until);
            return true;
        }
        if (expected == 0 && detail::only_our_threads()) return false;
        // Another thread may post; if none does within the patience, nobody will.
        for (int tenths = 0; tenths < patience_tenths; ++tenths) {
            if (!box_.going_to_sleep()) return true;
            const timespec tenth{0, 100'000'000};
            box_.sleep(&tenth);
            box_.woke_up();
            if (!box_.empty()) return true;
            if (expected == 0 && detail::only_our_threads()) return false;
        }
        return false;
    }

    void advance(clock::duration by) noexcept { time_ += by; }

private:
    static constexpr int patience_tenths = 100;

    detail::mailbox& box_;
    const time_passes how_;
    clock::time_point time_ = clock::now();
};

}  // namespace

manual_clock::manual_clock(time_passes how) {
    auto& sched = detail::scheduler::here();
    if (dynamic_cast<manual_driver*>(&sched.drive())) throw std::logic_error("weft: this thread has a manual clock already; use that one");
    if (sched.drive().expected > 0)
        throw std::logic_error("weft: tasks of this thread wait for descriptors, which a manual clock does not "
                               "look at; end those waits first");
    auto made = std::make_unique<manual_driver>(*detail::this_thread().box, how);
    manual_driver& by_hand = *made;
    by_hand.replaced = sched.replace_driver(std::move(made));
}

manual_clock::~manual_clock() {
    auto& sched = detail::scheduler::here();
    auto& by_hand = static_cast<manual_driver&>(sched.drive());
    sched.replace_driver(std::move(by_hand.replaced));
}

void manual_clock::advance(clock::duration by) {
    if (by < clock::duration::zero()) throw std::invalid_argument("weft: time does not go back; advance by 0 or more");
    auto& sched = detail::scheduler::here();
    static_cast<manual_driver&>(sched.drive()).advance(by);
    sched.expire();
}

seeded_order::seeded_order(std::uint64_t seed) : before_{detail::scheduler::here().shuffle(seed * 2 + 1)} {}
seeded_order::~seeded_order() { detail::scheduler::here().shuffle(before_); }

void settle() { detail::scheduler::here().settle(); }

census count() {
    detail::thread& t = detail::this_thread();
    t.tidy();
    auto& sched = detail::scheduler::here();
    census c{sched.tasks(), 0, t.stacks.in_use() - t.warm_count, static_cast<std::size_t>(sched.drive().expected)};
    for (detail::record* rec = t.records.front(); rec; rec = t.records.after(*rec)) ++c.fibers;
    return c;
}

const char* switch_kind() noexcept { return detail::switch_kind(); }

}  // namespace weft::testing
