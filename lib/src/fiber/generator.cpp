#include <weft/detail/generator_core.hpp>

#include <stdexcept>

#include <weft/error.hpp>
#include <weft/stop_iteration.hpp>

#include "base/check.hpp"
#include "fiber/thread.hpp"

namespace weft {

const char* stop_iteration_base::what() const noexcept {
    return "weft: the generator has ended; use try_next() or a range-for, or catch weft::stop_iteration";
}

namespace detail {
namespace {

template <class F>
class at_exit {
public:
    explicit at_exit(F function) : function_{function} {}
    ~at_exit() { function_(); }

private:
    F function_;
};

void take_arrival(end_block* to, std::uintptr_t word) {
    if (word == look_around) arrive_slowly();
    else if (word == travel_slowly) switch_slowly(to, nullptr);
    else if (word) *reinterpret_cast<message*>(word) = message{};
}

void check_not_hub(const thread& t) {
    if (t.current->is_hub)
        throw invalid_switch("weft: a generator was resumed or yielded in a callback of the hub; spawn a "
                             "task there and use it in that");
}

void adopt(end_block& child, end_block& parent) noexcept {
    retain(parent);
    release(*std::exchange(child.parent, &parent));
}

}  // namespace

void throw_back(std::exception_ptr error) {
    if (!error)
        throw std::invalid_argument("weft: throw_into() of an empty exception_ptr; use close() to end it");
    std::rethrow_exception(std::move(error));
}

generator_core::generator_core() : home_{&this_thread()} {}

thread& generator_core::check_thread() const {
    if (this_thread_if_any() != home_)
        throw wrong_thread("weft: a generator was resumed or yielded on another thread than the one that "
                           "made it; hand its values over through a queue");
    check_not_hub(*home_);
    return *home_;
}

thread& generator_core::check_resumable() const {
    thread& t = check_thread();
    if (caller_ || (phase_ == generator_phase::begun && !at_))
        throw generator_misuse("weft: the generator is running already: its body resumes it, or it waits "
                               "while another fiber is in its next(); give each of them one of its own");
    return t;
}

void generator_core::resume_slowly(fiber& own, void* sent) {
    thread& t = check_resumable();
    if (ended()) return;
    sent_ = sent;
    caller_ = t.current->block;
    if (at_) return arrive_outside(own, std::exchange(at_, nullptr), travel_slowly);
    const at_exit nobody_waits{[this] { caller_ = nullptr; }};
    own.switch_to();
    arrive_outside(own, nullptr, 0);
}

// Back in the caller, whichever way; or still there, and `to` is to be switched to the slow way.
void generator_core::arrive_outside(fiber& own, end_block* to, std::uintptr_t word) {
    {
        const at_exit nobody_waits{[this] {
            caller_ = nullptr;
            raised_ = nullptr;
        }};
        take_arrival(to, word);
    }
    if (at_) return;
    if (!ended())
        throw invalid_switch("weft: somebody has switched to a fiber that waits in a generator's next(), "
                             "which alone may resume it");
    phase_ = generator_phase::ended;
    own = fiber{};
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void generator_core::send(fiber& own, void* sent) {
    check_resumable();
    if (phase_ == generator_phase::pending)
        throw generator_misuse("weft: a generator that has not begun has no yield() that could return what "
                               "is sent; call next() first");
    resume(own, sent);
}

void generator_core::raise(fiber& own, std::exception_ptr error) {
    check_resumable();
    if (at_ && error) {
        raised_ = std::move(error);
        return resume(own);
    }
    if (error) end_unbegun(own);
    throw_back(std::move(error));
}

void generator_core::close(fiber& own) {
    check_resumable();
    if (!at_) return end_unbegun(own);
    try {
        raise(own, std::make_exception_ptr(fiber_exit{}));
    } catch (const fiber_exit&) {
        if (!ended()) throw;  // it is the caller's own
    }
    if (at_)
        throw generator_misuse("weft: the generator ignored close(): it caught fiber_exit and yielded again; "
                               "let fiber_exit pass");
}

void generator_core::end_unbegun(fiber& own) noexcept {
    phase_ = generator_phase::ended;
    own = fiber{};
}

void generator_core::abandon() noexcept {
    if (caller_ || phase_ == generator_phase::ending)
        fatal("a generator was destroyed while somebody waits in its next(); keep it until it is back");
    abandoned_ = true;
}

void generator_core::suspend_slowly() {
    thread& t = check_thread();
    if (at_ || ended())
        throw generator_misuse("weft: yield() outside of its generator, which is suspended or has ended; "
                               "yield from the body or from what it calls");
    if (!caller_) return nobody_waits(t);
    at_ = t.current->block;
    arrive_inside(std::exchange(caller_, nullptr), travel_slowly);
}

// The same at the yield.
void generator_core::arrive_inside(end_block* to, std::uintptr_t word) {
    bool resumed = false;
    {
        const at_exit see_who_came{[&] {
            resumed = caller_;
            if (resumed) return;
            at_ = nullptr;
            told_ = abandoned_;
        }};
        take_arrival(to, word);
    }
    if (!resumed)
        throw invalid_switch("weft: somebody has switched to a suspended generator's fiber; only next() may");
    // An exception that left a destructor while the body unwinds would end the process.
    if (raised_ && std::uncaught_exceptions() == 0) std::rethrow_exception(std::exchange(raised_, nullptr));
}

void generator_core::nobody_waits(thread& t) {
    if (!abandoned_)
        throw generator_misuse("weft: yield() while nobody waits in next(): somebody has switched to the "
                               "fiber of the body or of its caller; only next() may resume a generator");
    if (std::uncaught_exceptions() != 0) return;
    if (!std::exchange(told_, true)) throw fiber_exit{};
    switch_message(t.current->block->parent, nullptr);  // suspended, as any fiber that survives its unwinding
}

void generator_core::fail() {
    if (!caller_) {
        phase_ = generator_phase::ended;
        throw;
    }
    try {
        try {
            throw;
        } catch (const stop_iteration_base&) {
            std::throw_with_nested(generator_misuse(
                "weft: a stop_iteration left the body of a generator and would pass for its end; catch it or "
                "use try_next()"));
        }
    } catch (...) {
        error_ = std::current_exception();
    }
}

void generator_core::end() noexcept {
    phase_ = caller_ ? generator_phase::ending : generator_phase::ended;
    end_block* const heir = std::exchange(caller_, nullptr);
    if (!heir) return;
    end_block& me = *home_->current->block;
    // A caller that descends from the body's fiber, and so will outlive its ancestor, takes that one's parent
    // now.
    for (end_block* at = heir; at->parent; at = at->parent)
        if (at->parent == &me) adopt(*at, *me.parent);
    adopt(me, *heir);
}

}  // namespace detail
}  // namespace weft

#if defined(WEFT_HAS_HOP)

using weft::detail::end_block, weft::detail::generator_core, weft::detail::thread;

std::uintptr_t weft_generator_in(generator_core* g, void* sent) noexcept {
    thread* const t = weft::detail::current_thread;
    if (t != g->home_ || !g->at_) [[unlikely]]
        return weft::detail::travel_slowly;
    end_block& to = *g->at_;
    void* const sp = weft::detail::ready_to_leap(*t, to);
    if (!sp) [[unlikely]]
        return weft::detail::travel_slowly;
    g->sent_ = sent;
    g->caller_ = t->current->block;
    g->at_ = nullptr;
    return weft::detail::leap_back(*t, to, sp, 0);
}

std::uintptr_t weft_generator_out(generator_core* g, void*) noexcept {
    thread* const t = weft::detail::current_thread;
    if (t != g->home_ || !g->caller_) [[unlikely]]
        return weft::detail::travel_slowly;
    end_block& to = *g->caller_;
    void* const sp = weft::detail::ready_to_leap(*t, to);
    if (!sp) [[unlikely]]
        return weft::detail::travel_slowly;
    g->at_ = t->current->block;
    g->caller_ = nullptr;
    return weft::detail::leap_back(*t, to, sp, 0);
}

#endif
