// What weft keeps for each OS thread, and the part of a fiber that lives on its stack.  Floor: fiber.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>

#include <weft/detail/cancel_scope.hpp>
#include <weft/detail/end_block.hpp>
#include <weft/detail/hop.hpp>
#include <weft/message.hpp>

#include "base/list.hpp"
#include "base/mailbox.hpp"
#include "context/context.hpp"
#include "context/stack.hpp"
#include "fiber/call_note.hpp"

namespace weft::detail {

struct thread;
struct parking;
struct tracing;
struct fiber_locals;
struct context_values;

/// Where a fiber is, and who may move it.
enum class run_state : std::uint8_t {
    pending,    // not started: whoever switches to it, or the scheduler for a task (then it is `ready`)
    free,       // it is thread::current, or inside switch_to(): whoever switches to it
    ready,      // in the scheduler's ready queue
    parked,     // inside a wait: whoever has its token
    hub,        // the hub's own fiber while others run: only the scheduler
    dead,
};

/// What begins anew when the stack of an ended fiber serves the next one: all zero, so that it takes two stores.
struct life {
    record* next_ready = nullptr;  // also links the warm stacks
    run_state state = run_state::pending;
    bool scheduled = false;       // a task: ends to the scheduler, not to its parent
    bool killed = false;          // sticks until the task ends
    bool interruptible = false;   // while parked: kill() may wake it
    bool maybe_unowned = false;   // it runs without a handle, or did
    bool ending = false;          // its function is done: nothing is thrown into the destructors that follow
    bool dropped = false;         // being unwound for want of handles: an error goes to the report
    bool entered = false;         // it has left fiber_main, into which a jump leads, not a return
    std::uint8_t attention = 0;   // why its waits and yields have more to look at, of suspended's bits
    bool owes_exit = false;       // throws fiber_exit as it arrives, or at a later switch if it is in a destructor
    std::uint16_t eager = 0;      // calls in a row that succeeded without waiting
    std::uint16_t refused = 0;    // waits that answered a kill with an error
    std::uint16_t shared_locks = 0;  // pthread's, that it holds for reading
    std::uint16_t native = 0;     // depth of native scopes: interposed calls pass through
    bool told = false;            // record::call has a name: somebody counts or watches calls
    std::uint32_t short_name = 0;  // of its number, for who holds what; 0: not asked for yet
};

/// What a switch touches: one cache line.
struct suspended : life {
    enum : std::uint8_t {
        special = 1,  // an explicit fiber or the hub's
        scoped = 2,   // it has timeouts or shields
        doomed = 4,   // killed
    };

    context ctx;
    std::uint64_t epoch = 0;      // counts parks; a token of an earlier one is stale
};

/// At the top of the fiber's stack; a thread's main fiber has its own inside struct thread. Two more cache lines serve
/// a short life, one for its birth and end and one for its stack and explicit switches; a wait touches the fourth.
struct alignas(64) record : suspended, list_node {  // linked in thread::records while alive
    body* function = nullptr;
    void* member_of = nullptr;    // its place in a group, which the kit floor knows
    end_block* block = nullptr;
    void** leaps_from = nullptr;  // the block's leapt_from
    fiber_locals* locals = nullptr;       // of the fiber, until end_locals()
    context_values* variables = nullptr;  // likewise, counted
    cancel_scope* scopes = nullptr;  // innermost first; none when its life ends

    stack where;
    message inbox;                // for the switch that resumes it
    std::exception_ptr incoming;  // instead of the inbox

    parking* waiting = nullptr;   // while parked
    call_note call;
    cancel_scope::time_point limit = cancel_scope::never;  // the earliest of those that no shield hides
    std::exception_ptr reason;    // what a kill throws; null for fiber_exit
    int shields = 0;
    thread* owner = nullptr;
    std::byte* room = nullptr;    // the body lies between here and the record
    bool is_hub = false;
    bool unwinds_orphans = false;  // one after the other, in tidy_slowly()
};

#if !defined(WEFT_ASAN) && !defined(WEFT_TSAN)
static_assert(sizeof(suspended) == 64);
#endif

/// A task's function is done, with this error or none: who goes on. Defined by the sched floor.
record& task_ended(record& rec, std::exception_ptr&& error) noexcept;

/// The scheduler as the fiber floor sees it.
struct scheduler_base {
    /// Whom to run when the running fiber has ended and has no ancestor to go to.
    virtual record& next_to_run() noexcept = 0;
    /// The thread is ending: who is ready is unwound like all others.
    virtual void forget_ready() noexcept = 0;
    /// The thread is ending; every fiber has been unwound.
    virtual ~scheduler_base() = default;
};

/// Made at a thread's first use of weft, ended with the thread.
struct thread {
    thread();
    ~thread();

    // Why an explicit switch may not just leap, and why whoever arrives has to attend().
    enum : std::uint8_t {
        untidy = 1,    // something is retired or an orphan
        traced = 2,    // set_trace()
        long_way = 4,  // Boost's jump serves, or a sanitizer is told of each switch
        careful = 8,   // the hub runs, or a fiber that is maybe nobody's
        on_arrival = untidy | traced,
    };

    record* current;
    std::uint64_t turn = 1;  // counts parks, yields and ends of tasks
    mailbox* box;  // claimed by end blocks, counted by others
    thread_words words;
    std::uint8_t slow = 0;
    record main;
    scheduler_base* sched = nullptr;  // owned
    std::int64_t claims = 0;          // on the mailbox, by end blocks that this thread has made and not destroyed
    stack_pool stacks;
    record* warm = nullptr;   // of ended fibers: each stands in fiber_main(), ready for another life
    std::size_t warm_count = 0;
    list<record> records;     // every living fiber but main, oldest first
    list<record> retired;     // ended; their stacks and end blocks are let go by a fiber that runs after them
    end_block* orphans = nullptr;  // to be unwound by this thread, linked by end_block::next_orphan, counted
    bool unwinding = false;   // the thread ends: every wait fails at once
    std::unique_ptr<tracing> trace;
    // Memory of end blocks for the next ones, by size in units of block_unit; each list linked by its first words.
    static constexpr std::size_t block_unit = alignof(std::max_align_t) / 2;
    void* spare_blocks[32] = {};
    std::uint32_t spares = 0;

    std::uint64_t next_id() noexcept { return last_id_ % ids_at_once == 0 ? more_ids() : ++last_id_; }
    /// `block` becomes this thread's.
    void adopt(end_block& block) noexcept {
        block.home = box;
        block.id = next_id();
        ++claims;
    }

    /// Leaves the running fiber, whose state the caller has set, for `next`. @returns the word of the switch back
    std::uintptr_t switch_to(record& next, std::uintptr_t word) noexcept {
        record& me = *current;
        if (slow & traced) [[unlikely]] note_origin();
        prepare(next);
        return switch_context(words, me.ctx, next.ctx, word);
    }
    /// Whoever has left by a leap cannot be leapt to any more.
    void claim(record& rec) noexcept {
        void* const sp = std::exchange(rec.block->leapt_from, nullptr);
        if (!sp) return;
        rec.ctx.sp = sp;
        rec.ctx.caught = nullptr;  // or it would not have leapt
        rec.ctx.uncaught = 0;
    }
    /// `next` is about to run, however it has been left.
    void prepare(record& next) noexcept {
        claim(next);
        next.state = run_state::free;
        current = &next;
    }
    /// `me` runs again, but for arrive(): whoever ran meanwhile may have taken the flag back that it needs.
    void mind(const record& me) noexcept {
        if (me.owes_exit || me.maybe_unowned) [[unlikely]] slow |= careful;
    }
    /// For the tracer: the running fiber is being left.
    void note_origin() noexcept;
    /// What a fiber does as it arrives, once it has taken what was sent to it: tells the tracer, lets go of what has
    /// ended, unwinds orphans. All of it runs the user's code: in a fiber, not in the hub's.
    /// @throws anything  that the tracer throws
    void attend(bool thrown_at = false) {
        if (slow & on_arrival) [[unlikely]] attend_slowly(thrown_at);
    }
    void add_orphan(end_block& block) noexcept {
        slow |= untidy;
        block.next_orphan = orphans;
        orphans = &block;
    }
    void retire(record& rec) noexcept {
        slow |= untidy;
        retired.push_back(rec);
    }
    void tidy() noexcept {
        if (slow & untidy) [[unlikely]] tidy_slowly();
    }
    /// What of that can be done in the hub. @returns whether something is left for a fiber
    bool tidy_in_hub() noexcept;
    void reclaim() noexcept;
    /// Keeps the stack of the running fiber, which has ended and leaves next. @returns false if there are enough
    bool keep_warm(record& rec) noexcept;
    /// The first of the warm ones is taken.
    void unwarm(record& first) noexcept;
    /// Gives the warm stacks back to the pool.
    void cool_down() noexcept;
    void let_go_of_stack(record& rec) noexcept;
    void unwind_all() noexcept;
    /// Will neither run nor be unwound any more; its stack stays mapped.
    void leave_behind(record& rec, bool forked = false) noexcept;
    /// The running fiber will not end by itself while its thread ends: its stack is left behind, for good.
    [[noreturn]] void give_up(record& me) noexcept;

private:
    static constexpr std::uint64_t ids_at_once = 1024;

    std::uint64_t more_ids() noexcept;
    void attend_slowly(bool thrown_at);
    void tidy_slowly() noexcept;

    std::uint64_t last_id_ = 0;  // at a multiple of ids_at_once they have run out
};

/// This thread's, or null while it has not used weft. Fibers never leave their thread, so a value kept across a
/// switch stays right.
[[gnu::tls_model("initial-exec")]] WEFT_API extern thread_local constinit thread* current_thread;
thread& make_this_thread();

inline thread* this_thread_if_any() noexcept { return current_thread; }
inline thread& this_thread() {
    if (!current_thread) [[unlikely]]
        return make_this_thread();
    return *current_thread;
}

/// Counts a reference, on the owner's thread.
inline void count_here(end_block& block) noexcept {
    block.local.store(block.local.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

/// Gives one up there, whatever the fiber does.
void drop(end_block& block) noexcept;

/// Gives up a reference that is not the last of this thread's, which owns the block.
inline void uncount_here(end_block& block) noexcept {
    block.local.store(block.local.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

#if defined(WEFT_HAS_LEAP)
/// For functions that a hop has entered. @returns where `to`, of this thread, goes on once leap_back() leaves for it,
/// which is owed then; null if there is more to do than that, or nowhere to go
[[gnu::always_inline]] inline void* ready_to_leap(thread& t, const end_block& to) noexcept {
    void* const sp = to.leapt_from;
    if (t.slow || !sp) [[unlikely]]
        return nullptr;
    return exchange_plain_state(t.words, t.current->ctx, to.rec->ctx) ? sp : nullptr;
}
[[gnu::always_inline]] inline std::uintptr_t leap_back(thread& t, end_block& to, void* sp, std::uintptr_t word) noexcept {
    void** const save = t.current->leaps_from;
    to.leapt_from = nullptr;
    t.current = to.rec;
    return weft_leap_back(save, word, sp);
}
#endif

/// Destroys what a fiber has of its own, newest first, and lets go of its context: at its end, in it.
void end_locals(record& rec) noexcept;

/// A task will not end by itself: tells those who wait for its end, in a forked child only who belongs with it. Defined by
/// the sched floor.
void task_left_behind(record& rec, bool forked) noexcept;

/// Timeouts and shields that outlive their fiber bound nobody any more.
void end_scopes(record& rec) noexcept;

/// exit() has begun: main has returned, or somebody has called it.
bool process_is_ending() noexcept;

/// Nobody observed this error: calls the user's hook, by default a line on standard error. Defined by the sched floor.
void report_unhandled(const end_block& block, const std::exception_ptr& error) noexcept;

/// Gives a fiber that has been unwound its parent back, whose reference it takes over.
void restore_parent(end_block& block, end_block* parent) noexcept;

/// `error` is a fiber_exit.
bool is_exit(const std::exception_ptr& error) noexcept;

}  // namespace weft::detail
