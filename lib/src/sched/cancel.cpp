// What ends a wait before its time: a kill, or a timeout scope.
#include "sched/cancel.hpp"

#include <algorithm>
#include <utility>

#include <weft/error.hpp>
#include <weft/timeout.hpp>

#include "base/check.hpp"
#include "sched/scheduler.hpp"

namespace weft {
namespace detail {
namespace {

// What of the scopes the next waits have to mind, so that they need not walk the list.
void summarise(record& rec) noexcept {
    rec.limit = cancel_scope::never;
    rec.shields = 0;
    for (const cancel_scope* at = rec.scopes; at; at = at->outer) {
        if (at->shields) ++rec.shields;
        else if (rec.shields == 0) rec.limit = std::min(rec.limit, at->when);
    }
}

// The scope that ends a wait now: the earliest, the outermost of equal ones.
cancel_scope* due_scope(const record& rec, clock::time_point time) noexcept {
    cancel_scope* due = nullptr;
    for (cancel_scope* at = rec.scopes; at && !at->shields; at = at->outer)
        if ((at->fired || at->when <= time) && (!due || at->when <= due->when)) due = at;
    return due;
}

[[noreturn]] void throw_for(cancel_scope& scope, const timed_out& usual) {
    scope.fired = true;
    scope.owed = false;
    scope.of->refused = 0;
    if (scope.instead) std::rethrow_exception(scope.instead);
    throw usual;
}

bool may_throw(const thread& t) noexcept { return t.words.exceptions->uncaught == 0 && !t.current->ending; }

}  // namespace

cancel_scope::cancel_scope(bool is_shield) : of{this_thread().current}, outer{of->scopes}, shields{is_shield} {
    if (outer) outer->inner = this;
    of->scopes = this;
    of->attention |= record::scoped;
    if (is_shield) summarise(*of);
}

cancel_scope::~cancel_scope() {
    if (!of) return;
    if (process_is_ending() && of->owner != this_thread_if_any()) return;
    WEFT_CHECK(of == this_thread().current || process_is_ending(),
               "a timeout or shield is destroyed by another fiber than the one that it was made in; let that one do it, "
               "or cancel() it");
    (inner ? inner->outer : of->scopes) = outer;
    if (!of->scopes) of->attention &= static_cast<std::uint8_t>(~record::scoped);
    if (outer) outer->inner = inner;
    if (fired) of->refused = 0;
    summarise(*of);
}

bool kill_pending(const record& rec) noexcept { return rec.killed && rec.shields == 0; }

bool interrupted_now(const record& rec) noexcept {
    return kill_pending(rec) || (rec.limit != cancel_scope::never && rec.limit <= now());
}

bool fire_scope(record& rec, clock::time_point time) noexcept {
    cancel_scope* const due = due_scope(rec, time);
    if (due) due->fired = true;
    return due;
}

void throw_interruption() {
    record& me = *this_thread().current;
    if (kill_pending(me)) {
        if (me.reason) std::rethrow_exception(me.reason);
        throw fiber_exit{};
    }
    if (cancel_scope* const due = due_scope(me, now())) throw_for(*due, timed_out{due->id});
    throw fiber_exit{};  // the thread is ending
}

void exit_fiber() {
    thread& t = this_thread();
    record& me = *t.current;
    if (!may_throw(t)) {
        me.incoming = nullptr;  // or the next switch back would meet what was meant for this wait
        return;
    }
    if (me.incoming) std::rethrow_exception(std::exchange(me.incoming, nullptr));
    throw_interruption();
}

bool answer_for_timeout() noexcept {
    thread& t = this_thread();
    if (t.unwinding || kill_pending(*t.current)) return false;
    cancel_scope* const due = due_scope(*t.current, now());
    if (due) due->fired = due->owed = true;
    return due;
}

}  // namespace detail

bool timed_out::is(const timeout& scope) const noexcept { return scope_ == scope.id; }

timeout::timeout(deadline by) : cancel_scope{false} {
    id = of->owner->next_id();
    restart(by);
}

timeout::timeout(deadline by, std::exception_ptr in_place) : timeout{by} {
    if (!in_place) throw std::invalid_argument("weft: a timeout that throws an empty exception_ptr; leave it away for timed_out");
    instead = std::move(in_place);
}

timeout::~timeout() noexcept(false) { throw_owed(); }

void timeout::throw_owed() {
    if (!owed || !of || of != detail::this_thread().current || !detail::may_throw(*of->owner)) return;
    detail::throw_for(*this, timed_out{id});
}

bool timeout::may_change() const {
    if (!of) return false;
    const detail::thread* const t = detail::this_thread_if_any();
    if (of->owner != t)
        throw wrong_thread("weft: a timeout is changed on another thread than its fiber's; use hub::post() to reach that one");
    return of == t->current || !fired;
}

void timeout::cancel() { restart(deadline::never()); }

void timeout::restart(deadline by) {
    if (!may_change()) return;
    when = by.when();
    fired = owed = false;
    detail::summarise(*of);
    if (of != of->owner->current) detail::scheduler::here().rearm(*of);
}

bool timeout::pending() const noexcept { return of && when != never && !expired(); }
bool timeout::expired() const noexcept { return fired || (when != never && when <= now()); }

}  // namespace weft
