#include "sched/scheduler.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <weft/error.hpp>
#include <weft/task.hpp>

#include "base/check.hpp"
#include "sched/cancel.hpp"
#include "sched/unhandled.hpp"

namespace weft {

clock::time_point now() noexcept {
    detail::thread* t = detail::this_thread_if_any();
    if (!t || !t->sched) return clock::now();
    return static_cast<detail::scheduler*>(t->sched)->now();
}

namespace detail {
namespace {

// After so many failed waits a fiber that is being unwound with its thread will not end by itself.
constexpr std::uint16_t unwinding_patience = 1000;

struct hub_body final : body {
    explicit hub_body(scheduler& s) noexcept : body{nullptr}, sched{s} {}
    void run(message&, message&) override { sched.run_hub(); }
    scheduler& sched;
};

}  // namespace

scheduler& scheduler::make(thread& t) {
    auto* made = new scheduler{t};
    t.sched = made;
    return *made;
}

// With its hub from the start: no later wait can fail for want of one, as an interposed call must not.
scheduler::scheduler(thread& t) : thread_{t}, driver_{make_hub_driver(t)} { make_hub(); }

scheduler::~scheduler() {
    end_locals(*hub_);
    end_scopes(*hub_);
    hub_->state = run_state::dead;
    sanitizer::ended(hub_->ctx.shadow);
    const stack s = hub_->where;
    hub_->~record();
    thread_.stacks.give(s);
    hub_block_->rec = nullptr;
    hub_block_->state.store(phase::dead, std::memory_order_release);
    release(*hub_block_);
}

void scheduler::make_hub() {
    handle<end_block> block{new end_block{false}};
    const fiber_options options{.name = "hub"};
    make_body<hub_body>(*block, &options, *this);
    hub_ = block->rec;
    hub_->is_hub = true;
    hub_->attention = record::special;
    hub_->state = run_state::hub;
    hub_->unlink();  // not unwound with the others: it ends with the scheduler
    hub_block_ = block.get();  // whose own reference is given up with the scheduler
}

record& scheduler::next_to_run() noexcept { return first_to_run(); }

bool scheduler::time_to_poll() noexcept {
    turns_left_ = turns_between_looks;
    return now() - last_poll_ >= poll_interval;
}

void scheduler::switch_the_long_way(record& me, record& next) noexcept {
    if (thread_.slow & thread::traced) thread_.note_origin();
    thread_.current = &next;
    switch_context(thread_.words, me.ctx, next.ctx, look_around, !next.entered);
}

// Kept out of line: its call of the jump is the one site that every parked fiber leaves and returns through.
[[gnu::noinline]] void scheduler::switch_away(record& me) noexcept {
    record& next = next_turn(me);
    next.state = run_state::free;
    ++thread_.turn;
    if (&next == &me) return;
#if defined(WEFT_HAS_LEAP)
    if ((thread_.slow & (thread::traced | thread::long_way)) == 0) [[likely]] {
        thread_.current = &next;
        exchange_state(thread_.words, me.ctx, next.ctx);
        jump(&me.ctx.sp, look_around, next.ctx.sp, !next.entered);
        return;
    }
#endif
    switch_the_long_way(me, next);
}

bool scheduler::must_leave() const noexcept {
    const record& me = *thread_.current;
    return may_be_thrown_at(me) && interrupted_now(me);
}

wake scheduler::refuse(record& me) noexcept {
    me.owes_exit = false;
    if (++me.refused > unwinding_patience) thread_.give_up(me);
    return wake::killed;
}

void scheduler::look_at_end(const char* what) {
    constexpr unsigned together = 1000, each = 10;
    if (naps_at_end_ < together || thread_.current->refused < each) {
        ++naps_at_end_;
        thread_.box->sleep_briefly();
    }
    thread_.box->deliver_all();
    parking refused{what};
    refused.interruptible = false;
    would_park(refused);
}

bool scheduler::would_park_perhaps(parking& w) {
    record& me = *thread_.current;
    if (thread_.unwinding) {
        w.cause = refuse(me);
        return false;
    }
    w.open = w.interruptible && may_be_thrown_at(me);
    me.interruptible = w.open && me.shields == 0;
    if (w.open && interrupted_now(me)) {
        w.cause = wake::killed;
        return false;
    }
    if (w.by.is_past()) {
        w.cause = wake::timed_out;
        return false;
    }
    if (me.is_hub)
        throw blocking_in_hub(std::string{"weft: "} + w.what +
                              " would wait in a callback of the hub, which nobody could then wake; spawn a task there "
                              "and wait in it");
    return true;
}

wake scheduler::park(parking& w) {
    if (!would_park(w)) return w.cause;
    return park_now(w);
}

void scheduler::arm(parking& w) noexcept {
    w.when = w.by.when();
    if (w.open) w.when = std::min(w.when, w.who->limit);
    if (w.when != clock::time_point::max()) deadlines_.insert(w);
}

void scheduler::rearm(record& rec) noexcept {
    if (rec.state != run_state::parked) return;
    parking& w = *rec.waiting;
    if (w.queued && w.when == (w.open ? std::min(w.by.when(), rec.limit) : w.by.when())) return;  // it keeps its turn
    if (w.queued) deadlines_.erase(w);
    arm(w);
}

wake scheduler::park_now(parking& w) noexcept {
    record& me = *thread_.current;
    w.who = &me;
    w.cause = wake::unparked;
    ++me.epoch;
    me.waiting = &w;
    me.state = run_state::parked;
    arm(w);
    switch_pinned(me);
    if (w.queued) deadlines_.erase(w);
    me.waiting = nullptr;
    if (thread_.unwinding) return refuse(me);
    return w.cause;
}

// A wait keeps an explicit fiber alive; a task and main are kept by others.
void scheduler::switch_pinned(record& me) noexcept {
    const bool special = me.attention & record::special;
    if (special) [[unlikely]] count_here(*me.block);
    const bool told = me.told;
    if (told) [[unlikely]] me.call.lets_go(me.state == run_state::parked);
    switch_away(me);
    if (told) [[unlikely]] me.call.goes_on();
    if (special) [[unlikely]] {
        release(*me.block);
        thread_.mind(me);
    }
    if (thread_.slow & thread::on_arrival) [[unlikely]] attend();
}

void scheduler::attend() noexcept {
    const record& me = *thread_.current;
    try {
        thread_.attend();
    } catch (...) {
        report_unhandled(*me.block, std::current_exception());
    }
}

void scheduler::end_wait(record& rec, wake cause) noexcept {
    rec.waiting->cause = cause;
    make_ready(rec);
}

void scheduler::kill(record& rec, std::exception_ptr reason) noexcept {
    if (!rec.killed) rec.reason = std::move(reason);
    rec.killed = true;
    rec.attention |= record::doomed;
    if (rec.state == run_state::parked && rec.interruptible) end_wait(rec, wake::killed);
}

wake scheduler::yield_with_care() {
    if (thread_.current->is_hub)
        throw blocking_in_hub("weft: yield() in a callback of the hub; it returns to the hub by itself");
    if (thread_.unwinding) return refuse(*thread_.current);
    if (must_leave()) return wake::killed;
    yield_on();
    return back_from_yield();
}

wake scheduler::back_from_yield() noexcept {
    if (thread_.slow & thread::on_arrival) attend();
    if (thread_.unwinding) return refuse(*thread_.current);
    return must_leave() ? wake::killed : wake::unparked;
}

void scheduler::yield_on() {
    if (thread_.unwinding) return;  // the others are unwound in their turn
    record& me = *thread_.current;
    make_ready(me);
    switch_pinned(me);
}

namespace {
struct idler : list_node {
    explicit idler(parking& p) noexcept : pause{p} {}
    ~idler() {
        if (linked()) unlink();
    }
    parking& pause;
};
}  // namespace

wake scheduler::idle() {
    parking pause{"an idle moment"};
    if (!would_park(pause)) return pause.cause;
    idler me{pause};
    idlers_.push_back(me);
    return park_now(pause);
}

wake scheduler::outlive_tasks(deadline by) {
    parking pause{"the end of all tasks"};
    pause.by = by;
    const bool is_task = thread_.current->scheduled;
    tasks_outliving_ += is_task;
    if (tasks_ > tasks_outliving_ && would_park(pause)) {
        idler me{pause};
        outliving_.push_back(me);
        pause.cause = park_now(pause);
    }
    tasks_outliving_ -= is_task;
    return pause.cause;
}

void scheduler::wake_idlers() noexcept {
    const auto wake_all = [this](list<list_node>& all) {
        while (auto* const node = static_cast<idler*>(all.pop_front()))
            if (node->pause.who->state == run_state::parked) end_wait(*node->pause.who, wake::unparked);
    };
    wake_all(idlers_);
    if (tasks_ == tasks_outliving_) wake_all(outliving_);
}

void scheduler::expire() noexcept {
    const auto time = now();
    while (deadline_node* first = deadlines_.due(time)) {
        auto& w = static_cast<parking&>(*first);
        deadlines_.erase(w);
        // Already woken by its token: it is ready and will see that it was in time.
        if (w.who->state != run_state::parked) continue;
        // Its own deadline, unless a scope's is earlier.
        const bool own = w.by.when() <= time && !(w.open && w.who->limit < w.by.when());
        end_wait(*w.who, own || !fire_scope(*w.who, time) ? wake::timed_out : wake::killed);
    }
}

void scheduler::after_fork() {
    first_ready_ = last_ready_ = nullptr;
    deadlines_ = {};
    while (signalable_.pop_front()) {}
    while (idlers_.pop_front()) {}
    while (outliving_.pop_front()) {}
    tasks_outliving_ = 0;
    const auto scheduled_elsewhere = [](const record& rec) {
        return rec.state == run_state::parked || rec.state == run_state::ready;
    };
    for (record* rec = thread_.records.front(); rec;) {
        record* const next = thread_.records.after(*rec);
        if (scheduled_elsewhere(*rec)) {
            if (rec->scheduled) --tasks_;
            thread_.leave_behind(*rec, true);
        }
        rec = next;
    }
    main_is_left_behind_ = scheduled_elsewhere(thread_.main);
    if (main_is_left_behind_) thread_.main.state = run_state::dead;  // no grant of its wait wakes it here
    driver_->expected = 0;
    driver_->after_fork();
}

// What the hub may not do itself, a task does as it starts.
void scheduler::call_undertaker() noexcept {
    try {
        spawn(fiber_options{.name = "undertaker"}, [] {});
    } catch (...) {
        // Without memory for a task, the next fiber that switches does it.
    }
}

void scheduler::run_hub() {
    for (;;) {
        thread_.slow |= thread::careful;
        thread_.box->deliver_all();
        if (thread_.tidy_in_hub() && !first_ready_) call_undertaker();
        const auto until = first_ready_ || !idlers_.empty() ? clock::time_point::min() : deadlines_.next();
        const bool something_may_happen = driver_->poll(until);
        thread_.box->deliver_all();
        expire();
        if (!first_ready_) wake_idlers();
        if (first_ready_) {
            turns_left_ = turns_between_looks;
            last_poll_ = now();
            hub_->state = run_state::hub;
            thread_.slow &= static_cast<std::uint8_t>(~thread::careful);
            switch_away(*hub_);
        } else if (main_is_left_behind_ && !something_may_happen) {
            std::exit(0);
        } else if (!something_may_happen) {
            explain_deadlock();
        }
    }
}

std::string scheduler::describe_parked() {
    std::string text;
    const auto describe = [&](record& rec) {
        if (rec.state != run_state::parked) return;
        char line[160];
        const char* const name = rec.block->name ? rec.block->name->c_str() : "";
        const char* const quote = *name ? "'" : "";
        std::snprintf(line, sizeof line, "\n  %s %llu%s%s%.60s%s: waits for %.40s %p", rec.scheduled ? "task" : "fiber",
                      static_cast<unsigned long long>(rec.block->id), *name ? " " : "", quote, name, quote,
                      rec.waiting->what, rec.waiting->on);
        text += line;
    };
    describe(thread_.main);
    for (record* rec = thread_.records.front(); rec; rec = thread_.records.after(*rec)) describe(*rec);
    return text;
}

// It is inside switch_to(), which rethrows what is incoming.
void scheduler::wake_from_switch(record& rec) noexcept {
    thread_.claim(rec);
    make_ready(rec);
}

void scheduler::explain_deadlock() {
    record& main = thread_.main;
    const std::string text =
        "weft: blocked for ever: nothing is ready, no timer, descriptor or job is awaited, and no other thread "
        "exists that could wake anybody" + describe_parked();
    // Nothing can be thrown there, and what must not be left undone would be.
    if (main.state == run_state::parked && (main.waiting->foreign || !main.waiting->interruptible)) fatal(text.c_str());
    main.incoming = std::make_exception_ptr(deadlock{text});
    if (main.state == run_state::parked) end_wait(main, wake::killed);
    else wake_from_switch(main);
}

std::unique_ptr<driver> scheduler::replace_driver(std::unique_ptr<driver> next) noexcept {
    last_poll_ = {};
    auto previous = std::exchange(driver_, std::move(next));
    driver_->installed();
    return previous;
}

}  // namespace detail
}  // namespace weft
