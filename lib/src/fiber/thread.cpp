#include "fiber/thread.hpp"

#include <atomic>
#include <cstdlib>
#include <utility>

#include "base/check.hpp"
#include "fiber/trace.hpp"

namespace weft::detail {

thread_local constinit thread* current_thread = nullptr;

namespace {

std::atomic<bool> process_ending{false};

// An exit handler runs before the destructors of static objects that were there when it was registered.
void watch_exit() {
    [[maybe_unused]] static const int registered =
        std::atexit([] { process_ending.store(true, std::memory_order_relaxed); });
}

// Only gives the thread's end a place to run.
struct ender {
    bool ended = false;
    bool armed = false;
    ~ender() {
        ended = true;
        thread* t = current_thread;
        // exit() called inside a task: other stacks are left alone, as exit() leaves other threads'.
        if (!t || t->current != &t->main) return;
        t->unwind_all();
        delete t;
    }
};
thread_local ender at_thread_end;

void unwound_in_vain(thread& t, record& rec) noexcept {
    warn("a fiber did not end with its thread although it was unwound; its stack is left behind");
    t.leave_behind(rec);
}

}  // namespace

void thread::leave_behind(record& rec, bool forked) noexcept {
    rec.state = run_state::dead;
    rec.unlink();
    claim(rec);
    end_scopes(rec);
    rec.block->rec = nullptr;
    if (rec.scheduled) task_left_behind(rec, forked);
    else rec.block->state.store(phase::dead, std::memory_order_release);
}

bool process_is_ending() noexcept { return process_ending.load(std::memory_order_relaxed); }

thread& make_this_thread() {
    watch_exit();
    current_thread = new thread;
    // Once the thread's own end has passed, what is made by a late destructor lives to the process's end.
    if (!at_thread_end.ended) at_thread_end.armed = true;
    return *current_thread;
}

thread::thread()
    : current{&main}, box{new mailbox}, words{thread_words::of_this_thread()}, slow{static_cast<std::uint8_t>(leaps() ? 0 : long_way)} {
    main.owner = this;
    main.state = run_state::free;
    main.entered = true;
    main.block = ::new end_block{false};  // current_thread is not set yet
    adopt(*main.block);
    main.leaps_from = &main.block->leapt_from;
    main.block->rec = &main;
    main.block->is_main = true;
    main.block->state.store(phase::started, std::memory_order_relaxed);
    main.block->name = std::make_unique<std::string>("main");
    sanitizer::adopted(main.ctx.shadow);
}

thread::~thread() {
    end_locals(main);
    end_scopes(main);
    box->close();  // what is destroyed in it may still ask for the time, or spawn
    unwind_all();
    delete std::exchange(sched, nullptr);
    set_tracer(*this, nullptr);
    main.block->rec = nullptr;
    main.block->state.store(phase::dead, std::memory_order_release);
    release(*main.block);
    do {
        box->deliver_all();
        tidy();
        delete std::exchange(sched, nullptr);  // made by a late destructor
        cool_down();
        current_thread = nullptr;  // from here on the counts are anybody's
    } while (!box->end(claims) && (current_thread = this));
    for (void*& spare : spare_blocks)
        while (void* const at = spare) {
            spare = *static_cast<void**>(at);
            ::operator delete(at);
        }
}

std::uint64_t thread::more_ids() noexcept {
    static std::atomic<std::uint64_t> given_out{0};
    return last_id_ = given_out.fetch_add(ids_at_once, std::memory_order_relaxed) + 1;
}

void thread::attend_slowly(bool thrown_at) {
    if (slow & traced) trace_arrival(*this, thrown_at);
    tidy();
}

namespace {
void let_go(thread& t, record& gone) noexcept {
    end_block& block = *gone.block;
    t.let_go_of_stack(gone);
    release(block);
}
}  // namespace

void thread::reclaim() noexcept {
    while (record* gone = retired.pop_front()) let_go(*this, *gone);
}

bool thread::tidy_in_hub() noexcept {
    reclaim();  // leaves as orphans those whose destruction needs a fiber
    if (!orphans) slow &= ~untidy;
    return slow & untidy;
}

void thread::tidy_slowly() noexcept {
    slow &= ~untidy;
    reclaim();
    // An unwinding tidies as it comes back: were the next one in it, many would fill this stack.
    if (record& me = *current; !me.unwinds_orphans) {
        me.unwinds_orphans = true;
        while (orphans) {
            end_block* block = std::exchange(orphans, orphans->next_orphan);
            release(*block);  // the queue's reference, on the owner's thread
        }
        me.unwinds_orphans = false;
    } else if (orphans) {
        slow |= untidy;
    }
}

void thread::unwind_all() noexcept {
    unwinding = true;
    while (record* newest = records.back()) {
        end_block& block = *newest->block;
        count_here(block);
        // Its end comes here; that of a fiber which its destructors run goes to that one's parent.
        count_here(*main.block);
        end_block* const parent = std::exchange(block.parent, main.block);
        newest->owes_exit = true;
        newest->dropped = true;
        newest->refused = 0;
        if (sched) sched->forget_ready();
        switch_to(*newest, look_around);
        main.incoming = nullptr;
        main.inbox = message{};
        restore_parent(block, parent);
        reclaim();
        // It went to main instead of ending, and would do so again.
        const bool ended = block.state.load(std::memory_order_relaxed) == phase::dead;
        if (!ended && records.back() == newest) unwound_in_vain(*this, *newest);
        drop(block);
    }
}

void thread::give_up(record& me) noexcept {
    unwound_in_vain(*this, me);
    me.state = run_state::free;
    switch_to(main, look_around);
    fatal("a fiber that was given up was switched to");
}


}  // namespace weft::detail
