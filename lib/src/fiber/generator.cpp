#include <weft/detail/generator_core.hpp>

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

void adopt(end_block& child, end_block& parent) noexcept {
    parent.refs.fetch_add(1, std::memory_order_relaxed);
    release(*std::exchange(child.parent, &parent));
}

template <class F>
struct at_exit {
    F function;
    ~at_exit() { function(); }
};

}  // namespace

generator_core::generator_core() : home_{&this_thread()} {}

thread& generator_core::check_thread() const {
    if (this_thread_if_any() != home_)
        throw wrong_thread("weft: a generator was resumed or yielded on another thread than the one that made it; "
                           "hand its values over through a queue");
    return *home_;
}

thread& generator_core::check_resumable() const {
    thread& t = check_thread();
    if (phase_ == generator_phase::running || caller_)
        throw generator_misuse("weft: the generator is running already: its body resumes it, or it waits while another "
                               "fiber is in its next(); give each of them a generator of its own");
    return t;
}

// The one switch in. Whichever way the caller comes back, nobody waits in resume() any more.
void generator_core::switch_in(thread& t, fiber& own) {
    caller_ = t.current->block;
    const at_exit done{[this] {
        caller_ = nullptr;
        raised_ = nullptr;
    }};
    if (at_) switch_message(at_, {});
    else own.switch_to();
}

// The one switch out.
void generator_core::switch_out(thread& t) {
    at_ = t.current->block;
    phase_ = generator_phase::suspended;
    const at_exit done{[this] {
        at_ = nullptr;
        phase_ = generator_phase::running;
        told_ = abandoned_;
    }};
    switch_message(caller_, {});
}

void generator_core::resume(fiber& own, void* sent) {
    thread& t = check_resumable();
    if (phase_ == generator_phase::ended) return;
    sent_ = sent;
    switch_in(t, own);
    if (phase_ == generator_phase::suspended) return;
    if (phase_ != generator_phase::ended)
        throw invalid_switch("weft: somebody has switched to a fiber that waits in a generator's next(), which "
                             "alone may resume it");
    own = fiber{};
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void generator_core::send(fiber& own, void* sent) {
    check_resumable();
    if (phase_ == generator_phase::pending)
        throw generator_misuse("weft: a generator that has not begun has no yield() that could return what is sent; "
                               "call next() first");
    resume(own, sent);
}

void generator_core::raise(fiber& own, std::exception_ptr error) {
    if (!error) throw std::invalid_argument("weft: throw_into() of an empty exception_ptr; use close() to end it");
    check_resumable();
    if (phase_ == generator_phase::suspended) {
        raised_ = std::move(error);
        return resume(own);
    }
    end_unbegun(own);
    std::rethrow_exception(std::move(error));
}

void generator_core::close(fiber& own) {
    check_resumable();
    if (phase_ != generator_phase::suspended) return end_unbegun(own);
    try {
        raise(own, std::make_exception_ptr(fiber_exit{}));
    } catch (const fiber_exit&) {
        if (phase_ != generator_phase::ended) throw;  // it is the caller's own
    }
    if (phase_ == generator_phase::suspended)
        throw generator_misuse("weft: the generator ignored close(): it caught fiber_exit and yielded again; let "
                               "fiber_exit pass");
}

void generator_core::end_unbegun(fiber& own) {
    phase_ = generator_phase::ended;
    own = fiber{};
}

void generator_core::abandon() noexcept {
    if (caller_)
        fatal("a generator was destroyed while somebody waits in its next(); keep it until next() has returned");
    abandoned_ = true;
}

void generator_core::suspend() {
    thread& t = check_thread();
    if (phase_ != generator_phase::running)
        throw generator_misuse("weft: yield() outside of its generator, which is suspended or has ended; yield from "
                               "the body or from what it calls");
    if (!caller_) return nobody_waits(t);
    switch_out(t);
    if (!caller_) throw invalid_switch("weft: somebody has switched to a suspended generator's fiber; only next() "
                                       "resumes it");
    // An exception that left a destructor while the body unwinds would end the process.
    if (raised_ && std::uncaught_exceptions() == 0) std::rethrow_exception(std::exchange(raised_, nullptr));
}

void generator_core::nobody_waits(thread& t) {
    if (!abandoned_)
        throw generator_misuse("weft: yield() while nobody waits in next(): the generator's fiber was switched to by "
                               "somebody else, or its caller has been woken; only next() resumes it");
    if (std::uncaught_exceptions() != 0) return;
    if (!std::exchange(told_, true)) throw fiber_exit{};
    switch_message(t.current->block->parent, {});  // it does not end: suspended as a fiber that survives its unwinding
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
                "weft: a stop_iteration left the body of a generator and would pass for its end; catch it or use "
                "try_next()"));
        }
    } catch (...) {
        error_ = std::current_exception();
    }
}

void generator_core::end() noexcept {
    phase_ = generator_phase::ended;
    if (!caller_) return;
    end_block& me = *home_->current->block;
    // A caller that descends from the body's fiber, and so will outlive its ancestor, takes that one's parent now.
    for (end_block* at = caller_; at->parent; at = at->parent)
        if (at->parent == &me) adopt(*at, *me.parent);
    adopt(me, *caller_);
}

}  // namespace detail
}  // namespace weft
