#include <weft/timer.hpp>

#include <mutex>
#include <utility>

#include <weft/detail/wait_list.hpp>
#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/task.hpp>

#include "fiber/thread.hpp"

namespace weft {
namespace detail {

struct timer_core {
    timer_core(std::function<void()> f, std::string n) : function{std::move(f)}, name{std::move(n)} {}

    const std::function<void()> function;
    const std::string name;
    event idle{true};      // it has no task
    wait_list sleeper;     // its task while it waits for the time; what follows is under its lock
    clock::duration first{};
    clock::duration period{};  // 0: once
    clock::time_point next{};
    bool started = false;
    bool active = false;
    bool has_task = false;
    std::uint64_t starts = 0;  // goes on with each start
    std::uint64_t runner = 0;  // the fiber in the function; 0 for none
    std::uint64_t calls = 0;
    std::uint64_t missed = 0;

    /// @returns whether it needs a task; one that is there has been told
    bool arm(clock::duration to_first, clock::duration between, clock::time_point at) noexcept;
    void run();
    void give_up() noexcept {
        sleeper.lock();
        end();
    }

private:
    bool time_has_come();
    void call();
    void skip_missed() noexcept;
    void end() noexcept;
};

/// Held by a timer's task until it runs.
class timer_turn {
public:
    explicit timer_turn(std::shared_ptr<timer_core> of) noexcept : core_{std::move(of)} {}
    timer_turn(timer_turn&&) noexcept = default;
    timer_turn& operator=(timer_turn&&) = delete;
    ~timer_turn() {
        if (core_) core_->give_up();
    }
    std::shared_ptr<timer_core> take() noexcept { return std::move(core_); }

private:
    std::shared_ptr<timer_core> core_;
};

namespace {

clock::time_point later(clock::time_point from, clock::duration span) noexcept {
    return span >= clock::time_point::max() - from ? clock::time_point::max() : from + span;
}

}  // namespace

bool timer_core::arm(clock::duration to_first, clock::duration between, clock::time_point at) noexcept {
    first = to_first;
    period = between;
    next = later(at, to_first);
    started = active = true;
    ++starts;
    sleeper.grant_all();
    if (has_task) return false;
    idle.clear();
    return has_task = true;
}

// With the lock held. Somebody may destroy the timer at once: this object is its task's, too.
void timer_core::end() noexcept {
    active = has_task = false;
    idle.set();
    sleeper.unlock();
}

void timer_core::run() {
    for (sleeper.lock(); active;)
        if (time_has_come()) call();
    end();
}

// Gives the lock back for as long as it waits. @returns false if there is news
bool timer_core::time_has_come() {
    if (next <= now()) return true;
    switch (sleeper.wait(deadline::at(next), "a timer's time", this)) {
        case wait_end::timed_out: return true;
        case wait_end::granted: sleeper.lock(); return false;
        case wait_end::granted_killed: sleeper.lock(); [[fallthrough]];
        case wait_end::killed:
            end();
            exit_fiber();
            sleeper.lock();
            return false;
    }
    __builtin_unreachable();
}

void timer_core::call() {
    const std::uint64_t start = starts;
    end_block& me = *this_thread().current->block;
    if (period == period.zero()) active = false;
    ++calls;
    runner = me.id;
    sleeper.unlock();
    try {
        function();
    } catch (const fiber_exit&) {
        sleeper.lock();
        runner = 0;
        end();
        throw;
    } catch (...) {
        report_unhandled(me, std::current_exception());
    }
    sleeper.lock();
    runner = 0;
    if (active && starts == start) skip_missed();
}

// To the first time after the one just served that has not passed.
void timer_core::skip_missed() noexcept {
    const clock::duration late = now() - next;
    const auto passed = late > period ? (late - clock::duration{1}) / period : 0;
    missed += static_cast<std::uint64_t>(passed);
    next = later(next + passed * period, period);
}

}  // namespace detail

timer::timer(std::function<void()> function, std::string name)
    : core_{std::make_shared<detail::timer_core>(std::move(function), std::move(name))} {}

timer::~timer() { cancel(); }

void timer::start_at(clock::duration first, clock::duration period) {
    const auto at = now();
    core_->sleeper.lock();
    const bool needs_task = core_->arm(first, period, at);
    core_->sleeper.unlock();
    if (!needs_task) return;
    // Also a task that never comes to its first turn has to say that there is none any more.
    spawn(fiber_options{.name = core_->name}, [turn = detail::timer_turn{core_}]() mutable { turn.take()->run(); });
}

void timer::again() {
    core_->sleeper.lock();
    const bool started = core_->started;
    const auto first = core_->first, period = core_->period;
    core_->sleeper.unlock();
    if (!started)
        throw std::logic_error("weft: timer::again() of one that was never started; use start() or start_every()");
    start_at(first, period);
}

void timer::cancel() noexcept {
    core_->sleeper.lock();
    core_->active = false;
    core_->sleeper.grant_all();
    core_->sleeper.unlock();
}

bool timer::active() const noexcept {
    const std::lock_guard guard{core_->sleeper};
    return core_->active;
}

bool timer::join(deadline by) {
    core_->sleeper.lock();
    const bool in_itself = core_->runner != 0 && core_->runner == detail::this_thread().current->block->id;
    core_->sleeper.unlock();
    if (in_itself)
        throw lock_misuse("weft: a timer's function joins the timer, which would wait for itself; return from it "
                          "instead");
    return core_->idle.wait(by);
}

std::uint64_t timer::calls() const noexcept {
    const std::lock_guard guard{core_->sleeper};
    return core_->calls;
}

std::uint64_t timer::missed() const noexcept {
    const std::lock_guard guard{core_->sleeper};
    return core_->missed;
}

}  // namespace weft
