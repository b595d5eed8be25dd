// What weft keeps for each OS thread, and the part of a fiber that lives on its stack.  Floor: fiber.
#pragma once

#include <cstdint>
#include <exception>

#include <weft/detail/end_block.hpp>
#include <weft/message.hpp>

#include "base/list.hpp"
#include "base/mailbox.hpp"
#include "context/context.hpp"
#include "context/stack.hpp"

namespace weft::detail {

struct thread;
struct parking;

/// Where a fiber is, and who may move it.
enum class run_state : std::uint8_t {
    pending,    // not started: whoever switches to it, or the scheduler for a task (then it is `ready`)
    running,    // it is thread::current
    suspended,  // inside switch_to(): whoever switches to it
    ready,      // in the scheduler's ready queue
    parked,     // inside a wait: whoever has its token
    hub,        // the hub's own fiber while others run: only the scheduler
    dead,
};

/// At the top of the fiber's stack; a thread's main fiber has its own inside struct thread.
struct record : list_node {  // linked in thread::records while alive
    context ctx;
    thread* owner = nullptr;
    end_block* block = nullptr;
    body* function = nullptr;
    message inbox;                // for the switch that resumes it
    std::exception_ptr incoming;  // instead of the inbox
    stack where;
    run_state state = run_state::pending;

    // The scheduler's part.
    bool is_hub = false;
    bool scheduled = false;       // a task: ends to the scheduler, not to its parent
    bool dropped = false;         // being unwound for want of handles: an error goes to the report
    bool killed = false;          // sticks until the task ends
    bool interruptible = false;   // while parked: kill() may wake it
    std::uint32_t refused = 0;    // waits that answered a kill with an error
    std::uint32_t eager = 0;      // calls in a row that succeeded without waiting
    int native = 0;               // depth of native scopes: interposed calls pass through
    std::uint64_t epoch = 0;      // counts parks; a token of an earlier one is stale
    record* next_ready = nullptr;
    parking* waiting = nullptr;      // while parked
    void (*at_end)(record&) = nullptr;  // tells the scheduler that a task's function is done
};

/// The scheduler as the fiber floor sees it.
struct scheduler_base {
    /// Whom to run when the running fiber has ended and has no ancestor to go to.
    virtual record& next_to_run() noexcept = 0;
    /// Nobody observed this error; tells the user.
    virtual void report(end_block& block, const std::exception_ptr& error) noexcept = 0;
    /// The thread is ending; every fiber has been unwound.
    virtual ~scheduler_base() = default;
};

/// Made at a thread's first use of weft, ended with the thread.
struct thread {
    thread();
    ~thread();

    thread_words words;
    record* current;
    record main;
    scheduler_base* sched = nullptr;  // owned
    mailbox* box;                     // counted
    stack_pool stacks;
    list<record> records;     // every living fiber but main, oldest first
    record* retired = nullptr;  // ended last; its stack is given back by the next that ends or is made
    end_block* orphans = nullptr;  // to be unwound by this thread, linked by end_block::next_orphan, counted
    bool unwinding = false;   // the thread ends: every wait fails at once

    void switch_jmp_to(record& next) noexcept;
    void reclaim() noexcept;  // gives back the stack of `retired`
    void bury_orphans() noexcept;
    void unwind_all() noexcept;
    /// The running fiber will not end by itself while its thread ends: its stack is left behind, for good.
    [[noreturn]] void give_up(record& me) noexcept;
};

/// This thread's, or null while it has not used weft. The address is read once per call: fibers never leave
/// their thread, so a value kept across a switch stays right.
thread* this_thread_if_any() noexcept;
thread& this_thread();

/// The running fiber is done and `next` runs; its stack is given back by whoever ends or is made after it.
[[noreturn]] void leave_for_ever(thread& t, record& me, record& next) noexcept;

/// `error` is a fiber_exit.
bool is_exit(const std::exception_ptr& error) noexcept;

}  // namespace weft::detail
