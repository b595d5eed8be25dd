// The ready queue, the deadlines, park and unpark.  Floor: sched.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <weft/detail/wait_list.hpp>

#include "fiber/thread.hpp"
#include "sched/deadline_queue.hpp"
#include "sched/driver.hpp"

namespace weft::detail {

enum class wake : std::uint8_t {
    unparked,   // by its token
    timed_out,  // the deadline passed first
    killed,     // a kill is pending, a timeout scope has expired, or the thread is ending
    signalled,  // a signal handler has run
};

/// One wait of the running fiber; lives on its stack while it is parked.
struct parking : deadline_node {
    /// @param what  a word for reports, of static lifetime: "event", "read"
    explicit parking(const char* what_for, const void* waited_on = nullptr) noexcept : what{what_for}, on{waited_on} {}

    const char* what;
    const void* on;
    deadline by;
    bool interruptible = true;  // kill() ends it; what must not fail says false
    bool foreign = false;       // below it stand frames that no exception may cross
    bool open = true;           // a kill or a scope may end it at this moment
    wake cause = wake::unparked;
    record* who = nullptr;
};

/// What park() hands out. A token whose wait is over wakes nobody.
struct park_token {
    record* who;
    std::uint64_t epoch;
};

/// One thread's. Knows fibers, deadlines and a driver; knows neither libuv nor any system call.
///
/// Order:  ready fibers run first in, first out. A parking fiber switches straight to the next one; the hub's
///         fiber runs when there is none, or when `poll_interval` of ready work has passed.
class scheduler final : public scheduler_base {
public:
    static constexpr std::uint32_t turns_between_looks = 64;
    static constexpr clock::duration poll_interval = std::chrono::milliseconds{1};

    explicit scheduler(thread& t);
    ~scheduler() override;

    /// This thread's; made at the first need.
    static scheduler& here() {
        thread& t = this_thread();
        return t.sched ? static_cast<scheduler&>(*t.sched) : make(t);
    }

    clock::time_point now() noexcept { return driver_->now(); }

    /// Parks the running fiber until unpark(), its deadline or a kill.
    /// @throws blocking_in_hub  in a callback of the hub
    wake park(parking& w);
    /// The two halves of park(), for a wait that others can see before the switch: would_park() throws, or
    /// returns false with w.cause set, while nobody knows of the wait yet; park_now() then cannot fail.
    bool would_park(parking& w) {
        record& me = *thread_.current;
        if (me.attention | thread_.unwinding | !w.by.is_never()) [[unlikely]] return would_park_perhaps(w);
        me.interruptible = w.open = w.interruptible && may_be_thrown_at(me);
        return true;
    }
    wake park_now(parking& w) noexcept;
    /// While the thread ends: what may be unwound by no exception looks at what other threads have sent, after a
    /// millisecond at most. A fiber that comes here for ever is left behind with its stack; all fibers of the thread
    /// together have little more than a second.
    void look_at_end(const char* what);
    /// For token_of() before park(): the park that comes next.
    park_token next_token() const noexcept { return {thread_.current, thread_.current->epoch + 1}; }

    void unpark(const park_token& token) noexcept {
        record& rec = *token.who;
        if (rec.state == run_state::parked && rec.epoch == token.epoch) make_ready(rec);
    }
    /// The scopes of a fiber have changed, which may be parked.
    void rearm(record& rec) noexcept;
    /// Ends the wait of a parked fiber with this cause.
    void end_wait(record& rec, wake cause) noexcept;

    /// Lets every fiber that is ready now run before the caller runs on; at least polls now and then.
    /// @returns wake::killed if it is interrupted
    wake yield() {
        record& me = *thread_.current;
        if (me.attention | thread_.unwinding) [[unlikely]] return yield_with_care();
        make_ready(me);
        switch_away(me);
        return me.attention | thread_.unwinding | (thread_.slow & thread::on_arrival) ? back_from_yield() : wake::unparked;
    }

    /// As yield(), but a pending kill does not keep the caller from yielding.
    void yield_on();

    /// Parks until a look outside has made nobody ready.
    wake idle();
    /// Parks until no task is left but those that are in here.
    wake outlive_tasks(deadline by);

    bool anybody_ready() const noexcept { return first_ready_ != nullptr; }
    void make_ready(record& rec) noexcept {
        rec.state = run_state::ready;
        if (shuffle_ != 0) [[unlikely]] return queue_anywhere(rec);
        rec.next_ready = nullptr;
        (first_ready_ ? last_ready_->next_ready : first_ready_) = &rec;
        last_ready_ = &rec;
    }
    /// The fiber is a task from now on.
    void adopt(record& rec) noexcept {
        rec.scheduled = true;
        ++tasks_;
    }
    void kill(record& rec, std::exception_ptr reason) noexcept;
    /// A task's function is done. @returns who goes on
    record& after(record& ended) noexcept {
        --tasks_;
        ++thread_.turn;
        ended.state = run_state::dead;
        ended.unlink();
        return thread_.unwinding ? thread_.main : next_turn(ended);
    }

    record& next_to_run() noexcept override;
    void forget_ready() noexcept override { first_ready_ = nullptr; }

    /// A kill that the running fiber must meet now: it is pending and no exception is in flight.
    bool must_die() const noexcept {
        const record& me = *thread_.current;
        return me.killed && me.shields == 0 && may_be_thrown_at(me);
    }
    /// The same for an expired scope, too.
    bool must_leave() const noexcept;

    driver& drive() noexcept { return *driver_; }
    std::unique_ptr<driver> replace_driver(std::unique_ptr<driver> next) noexcept;
    /// Runs until nothing is ready, without waiting; for tests on a hand-driven clock.
    void settle();
    /// Ready fibers queue in an order drawn from this from now on; 0 for first in, first out. @returns what was before
    std::uint64_t shuffle(std::uint64_t seed) noexcept { return std::exchange(shuffle_, seed); }

    /// Waits that a signal handler ends, longest first; the io floor's.
    list<list_node>& signalable() noexcept { return signalable_; }
    std::size_t tasks() const noexcept { return tasks_; }

    /// Every parked fiber with what it waits for, a line each.
    std::string describe_parked();

    /// In a forked child: the running fiber goes on, with those that it alone can switch to. What was parked or
    /// ready is the parent's: neither run nor unwound here. When nothing is left to run the process exits, as with
    /// its last thread.
    void after_fork();

    void run_hub();          // the body of the hub's fiber
    void expire() noexcept;  // wakes those whose deadline has passed

private:
    static scheduler& make(thread& t);
    void make_hub();
    void call_undertaker() noexcept;
    // The first that is ready, else the hub's fiber.
    record& first_to_run() noexcept {
        record* const next = first_ready_;
        if (!next) return *hub_;
        record* const second = first_ready_ = next->next_ready;
        if (second) fetch_ahead(*second);
        return *next;
    }
    // The same, or the hub if it is time to look outside.
    record& next_turn(const record& me) noexcept {
        const bool look_outside = --turns_left_ == 0 && time_to_poll();
        return look_outside && !me.is_hub ? *hub_ : first_to_run();
    }
    static void fetch_ahead(const record& rec) noexcept {
        // A number: null for a main fiber that leaves its stack for the first time.
        const auto frames = reinterpret_cast<std::uintptr_t>(rec.ctx.sp);
        for (const std::uintptr_t line : {0, 64, 128, 192})
            __builtin_prefetch(reinterpret_cast<const void*>(frames + line));
        __builtin_prefetch(rec.next_ready);
        if (rec.entered) return;
        // Its first turn begins with what lies beside its record: the function, and what leads to the block.
        const auto* const at = reinterpret_cast<const std::byte*>(&rec);
        for (const std::ptrdiff_t line : {-64, 64, 128}) __builtin_prefetch(at + line);
    }
    bool would_park_perhaps(parking& w);
    wake yield_with_care();
    wake back_from_yield() noexcept;
    void switch_away(record& me) noexcept;
    void switch_the_long_way(record& me, record& next) noexcept;
    void attend() noexcept;
    void switch_pinned(record& me) noexcept;
    bool time_to_poll() noexcept;
    bool may_be_thrown_at(const record& me) const noexcept {
        return !me.ending && thread_.words.exceptions->uncaught == 0;
    }
    void arm(parking& w) noexcept;
    void queue_anywhere(record& rec) noexcept;
    void wake_idlers() noexcept;
    void explain_deadlock();
    void wake_from_switch(record& rec) noexcept;
    wake refuse(record& me) noexcept;

    thread& thread_;
    std::unique_ptr<driver> driver_;
    record* first_ready_ = nullptr;
    record* last_ready_ = nullptr;  // while there is a first one
    record* hub_ = nullptr;
    end_block* hub_block_ = nullptr;  // counted
    deadline_queue deadlines_;
    list<list_node> signalable_;
    list<list_node> idlers_;
    list<list_node> outliving_;
    std::size_t tasks_outliving_ = 0;
    std::uint32_t turns_left_ = turns_between_looks;
    clock::time_point last_poll_{};
    std::size_t tasks_ = 0;
    std::uint64_t shuffle_ = 0;
    unsigned naps_at_end_ = 0;
    bool main_is_left_behind_ = false;  // a task forked: main lives in the parent only
};

}  // namespace weft::detail
