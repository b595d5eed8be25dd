#include <weft/fiber.hpp>

#include "base/check.hpp"
#include "fiber/thread.hpp"

namespace weft {
namespace detail {
namespace {

[[noreturn]] void throw_no_fiber() {
    throw std::invalid_argument("weft: this handle names no fiber; assign one made with weft::fiber{function} first");
}

// The fiber itself, or its nearest ancestor that lives.
end_block& nearest_living(end_block& block) {
    end_block* at = &block;
    while (at->state.load(std::memory_order_acquire) == phase::dead && at->parent) at = at->parent;
    return *at;
}

[[noreturn]] void throw_foreign(const end_block& block) {
    if (block.home->has_ended())
        throw wrong_thread("weft: the fiber's thread has ended, and the fiber with it; make a new one in this thread");
    throw wrong_thread("weft: the fiber belongs to another thread; fibers never leave their thread, use "
                       "weft::hub::post() to have something run there");
}

bool can_be_switched_to(const record& rec) noexcept {
    return rec.state == run_state::free || (rec.state == run_state::pending && !rec.scheduled);
}

// Whom a switch to `target` resumes; the running fiber itself is a valid answer.
record& destination(thread& t, end_block& target) {
    // The owner's parents may be looked at by the owner only; they all belong to it.
    end_block& block = target.home == t.box ? nearest_living(target) : target;
    if (block.home != t.box || !block.rec)
        throw_foreign(block);
    if (t.current->is_hub)
        throw invalid_switch("weft: switch_to() in a callback of the hub; spawn a task there and switch in it");
    record& rec = *block.rec;
    if (&rec != t.current && !can_be_switched_to(rec))
        throw invalid_switch("weft: the fiber waits in the scheduler, which alone may resume it; use a weft::event "
                             "to wake it, or kill() to end its wait");
    return rec;
}

// Not into destructors that an unwinding, or the end of a fiber, has called: then at a later switch.
void throw_what_is_owed(thread& t, record& me) {
    if (!me.owes_exit) return;
    if (t.words.exceptions->uncaught != 0 || me.ending) {
        t.slow |= thread::careful;
        return;
    }
    me.owes_exit = false;
    throw fiber_exit{};
}

// The running fiber has been switched to with `word`, and its call has still to take what came.
message arrive(thread& t, std::uintptr_t word) {
    record& me = *t.current;
    auto* const sent = reinterpret_cast<message*>(word & ~look_around);
    message got = std::move(sent ? *sent : me.inbox);
    std::exception_ptr error = std::exchange(me.incoming, nullptr);
    t.attend(error || me.owes_exit);
    if (error) [[unlikely]]
        std::rethrow_exception(std::move(error));
    if (me.owes_exit) [[unlikely]]
        throw_what_is_owed(t, me);
    return got;
}

// Nobody could ever switch back to a fiber without a handle: whoever runs next unwinds it.
void leave_behind_if_unowned(thread& t, record& me) noexcept {
    t.slow &= static_cast<std::uint8_t>(~thread::careful);
    if (!me.maybe_unowned) return;
    me.maybe_unowned = false;
    if (!me.block->unowned(1)) return;
    count_here(*me.block);
    t.add_orphan(*me.block);
}

// Leaves by a switch in the library itself, and takes what has come.
message travel(thread& t, record& next, std::uintptr_t word) {
    record& me = *t.current;
    if (t.slow & thread::careful) leave_behind_if_unowned(t, me);
    return arrive(t, t.switch_to(next, word));
}

// Who takes the end of the running fiber; null if nobody can.
record* taker(const thread& t, const record& me) noexcept {
    const end_block& heir = nearest_living(*me.block->parent);
    return heir.home == t.box && heir.rec && can_be_switched_to(*heir.rec) ? heir.rec : nullptr;
}

// An explicit fiber's function is done. @returns who goes on, with what it is sent
record& heir_of(thread& t, record& me, message& value, std::exception_ptr& error) noexcept {
    if (error && is_exit(error)) [[unlikely]] {
        value = message::of(fiber_exit{});
        error = nullptr;
    }
    record* target = taker(t, me);
    // While this is still a fiber that can be switched back to: destroying what nobody takes may switch.
    while ((error && (me.dropped || !target)) || (!target && !value.empty())) [[unlikely]] {
        if (error) report_unhandled(*me.block, std::exchange(error, nullptr));
        else value = message{};
        t.tidy();
        target = taker(t, me);
    }
    me.block->state.store(phase::dead, std::memory_order_release);
    me.block->rec = nullptr;
    me.state = run_state::dead;
    me.unlink();
    if (target) {
        target->incoming = std::move(error);
        target->inbox = std::move(value);
        return *target;
    }
    if (t.unwinding) return t.main;
    WEFT_CHECK(t.sched, "a fiber ended with nobody to go on");
    return t.sched->next_to_run();
}

std::uintptr_t word_for(const thread& t, record& next) noexcept {
    if (t.slow || next.incoming) return look_around;
    return next.inbox.empty() ? 0 : reinterpret_cast<std::uintptr_t>(&next.inbox);
}

// Runs the function of the fiber that has just been started, unless something was thrown at it. `error` is how it ended.
[[gnu::always_inline]] inline void run(thread& t, record& me, std::exception_ptr& error, message& first,
                                       message& result) noexcept {
    try {
        if (!me.is_hub) t.attend(error || me.owes_exit);
        if (error) return;
        if (me.killed | me.owes_exit) [[unlikely]] {
            if (me.reason) std::rethrow_exception(me.reason);
            throw fiber_exit{};
        }
        me.block->state.store(phase::started, std::memory_order_relaxed);
        me.function->run(first, result);
    } catch (...) {
        error = std::current_exception();
    }
}

// The last of the user's code that runs in this fiber, but for what an heir makes it wait for.
[[gnu::always_inline]] inline void end(thread& t, record& me) {
    if (me.function->destroy) me.function->destroy(*me.function);
    if (me.locals || me.variables) [[unlikely]] end_locals(me);
    t.tidy();  // while this is still a fiber that can wait and be switched back to
    if (me.scopes) [[unlikely]] end_scopes(me);
}

record& live_explicitly(thread& t, record& me) noexcept {
    message first = std::move(me.inbox), result;
    std::exception_ptr error = std::exchange(me.incoming, nullptr);
    run(t, me, error, first, result);
    me.ending = true;
    first = message{};
    end(t, me);
    record& next = heir_of(t, me, result, error);
    t.claim(next);
    return next;
}

// Nothing is sent to a task, and nobody goes on after it who has left by a leap.
[[gnu::always_inline]] inline record& live_as_task(thread& t, record& me) noexcept {
    std::exception_ptr error;
    run(t, me, error, me.inbox, me.inbox);
    me.ending = true;
    end(t, me);
    return task_ended(me, std::move(error));
}

}  // namespace

void end_scopes(record& rec) noexcept {
    for (cancel_scope* at = rec.scopes; at; at = at->outer) at->of = nullptr;
    rec.scopes = nullptr;
    rec.limit = cancel_scope::never;
    rec.shields = 0;
}

bool is_exit(const std::exception_ptr& error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (const fiber_exit&) {
        return true;
    } catch (...) {
        return false;
    }
}

void fiber_main(context& left) noexcept {
    sanitizer::arrived(current_thread->current->ctx.shadow, &left.shadow);
    for (;;) {
        thread& t = *current_thread;
        record& me = *t.current;
        me.entered = true;
        const bool is_task = me.scheduled;
        record& next = is_task ? live_as_task(t, me) : live_explicitly(t, me);
        end_block& block = *me.block;
        const bool done = block.local.load(std::memory_order_relaxed) > 1 && t.keep_warm(me);
        if (done) uncount_here(block);
        else t.retire(me);
        if (t.slow & thread::traced) [[unlikely]] t.note_origin();
        next.state = run_state::free;
        t.current = &next;
        if (!done) switch_final(t.words, me.ctx, next.ctx, look_around);
#if defined(WEFT_HAS_LEAP)
        // There is no call on this stack that a return could match. Comes back for another life.
        exchange_state(t.words, me.ctx, next.ctx);
        leap(&me.ctx.sp, is_task ? look_around : word_for(t, next), next.ctx.sp);
#endif
    }
}

#if defined(WEFT_HAS_LEAP)
namespace {


[[gnu::noinline]] std::uintptr_t start(thread& t, record* next, message* values) noexcept {
    if (!next || next->state != run_state::pending || next->scheduled) return travel_slowly;
    if (!exchange_plain_state(t.words, t.current->ctx, next->ctx)) return travel_slowly;
    if (values) next->inbox = std::move(*values);
    next->state = run_state::free;
    record& me = *t.current;
    t.current = next;
    return weft_leap(me.leaps_from, 0, next->ctx.sp);
}

}  // namespace

[[gnu::aligned(64)]] std::uintptr_t weft_switch(end_block* target, message* values) noexcept {
    thread* const t = current_thread;
    if (!target || !t || target->home != t->box) [[unlikely]]
        return travel_slowly;
    if (void* const sp = ready_to_leap(*t, *target)) [[likely]]
        return leap_back(*t, *target, sp, reinterpret_cast<std::uintptr_t>(values));
    return t->slow ? travel_slowly : start(*t, target->rec, values);
}
#endif

message switch_slowly(end_block* target, message* values) {
    if (!target) throw_no_fiber();
    thread& t = this_thread();
    t.tidy();
    record& next = destination(t, *target);
    if (&next == t.current) {
        if (t.slow & thread::traced) t.note_origin();
        t.attend();
        return values ? std::move(*values) : message{};
    }
    throw_what_is_owed(t, *t.current);
    if (values) next.inbox = std::move(*values);
    return travel(t, next, look_around);
}

message arrive_slowly() { return arrive(*current_thread, look_around); }

message throw_message(end_block* target, std::exception_ptr error) {
    if (!target) throw_no_fiber();
    if (!error) throw std::invalid_argument("weft: throw_into() of an empty exception_ptr; use throw_into() without "
                                            "arguments to throw fiber_exit");
    thread& t = this_thread();
    t.tidy();
    const bool was_dead = target->state.load(std::memory_order_acquire) == phase::dead;
    if (was_dead && is_exit(error)) return message::of(fiber_exit{});
    record& next = destination(t, *target);
    if (&next == t.current) std::rethrow_exception(std::move(error));
    throw_what_is_owed(t, *t.current);
    next.incoming = std::move(error);
    return travel(t, next, look_around);
}

fiber fiber_of(handle<end_block> block) noexcept { return fiber{std::move(block)}; }
end_block* block_of(const fiber& f) noexcept { return f.block_.get(); }

}  // namespace detail

namespace {
detail::end_block& named(const detail::handle<detail::end_block>& block) {
    if (!block) detail::throw_no_fiber();
    return *block;
}
}  // namespace

fiber fiber::parent() const& {
    return fiber{detail::handle<detail::end_block>::share(block_ ? block_->parent : nullptr)};
}

fiber fiber::parent() && {
    const fiber child = std::move(*this);
    return child.parent();
}

void fiber::set_parent(const fiber& parent) const {
    detail::end_block& child = named(block_);
    detail::end_block& wanted = named(parent.block_);
    if (!child.parent)
        throw std::invalid_argument("weft: a thread's main fiber has no parent and cannot be given one");
    if (child.home != wanted.home || child.home != detail::this_thread().box)
        throw wrong_thread("weft: a parent must belong to the same thread as its child");
    for (detail::end_block* at = &wanted; at; at = at->parent)
        if (at == &child)
            throw std::invalid_argument("weft: the new parent is the fiber itself or one of its descendants; the "
                                        "chain of parents would be a circle");
    retain(wanted);
    release(*std::exchange(child.parent, &wanted));
}

bool fiber::dead() const noexcept {
    return block_ && block_->state.load(std::memory_order_acquire) == detail::phase::dead;
}

bool fiber::started() const noexcept {
    return block_ && block_->state.load(std::memory_order_acquire) != detail::phase::pending;
}

fiber fiber::current() {
    return fiber{detail::handle<detail::end_block>::share(detail::this_thread().current->block)};
}

fiber fiber::main() { return fiber{detail::handle<detail::end_block>::share(detail::this_thread().main.block)}; }

}  // namespace weft
