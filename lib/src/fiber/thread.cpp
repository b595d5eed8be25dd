#include "fiber/thread.hpp"

#include <atomic>
#include <cstdlib>
#include <utility>

#include "base/check.hpp"

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
        current_thread = nullptr;
    }
};
thread_local ender at_thread_end;

void unwound_in_vain(thread& t, record& rec) noexcept {
    warn("a fiber did not end with its thread although it was unwound; its stack is left behind");
    t.leave_behind(rec);
}

}  // namespace

void thread::leave_behind(record& rec) noexcept {
    rec.state = run_state::dead;
    rec.unlink();
    rec.block->rec = nullptr;
    rec.block->state.store(phase::dead, std::memory_order_release);
}

bool process_is_ending() noexcept { return process_ending.load(std::memory_order_relaxed); }

thread& make_this_thread() {
    watch_exit();
    current_thread = new thread;
    // Once the thread's own end has passed, what is made by a late destructor lives to the process's end.
    if (!at_thread_end.ended) at_thread_end.armed = true;
    return *current_thread;
}

thread::thread() : words{thread_words::of_this_thread()}, current{&main}, box{new mailbox} {
    main.owner = this;
    main.state = run_state::running;
    main.block = new end_block;
    main.block->rec = &main;
    main.block->home = box;
    box->add_ref();
    main.block->unwinds = false;
    main.block->state.store(phase::started, std::memory_order_relaxed);
    main.block->name = "main";
    sanitizer::adopted(main.ctx.shadow);
}

thread::~thread() {
    box->close();  // what is destroyed in it may still ask for the time, or spawn
    unwind_all();
    delete std::exchange(sched, nullptr);
    tidy();
    delete std::exchange(sched, nullptr);  // made by a late destructor
    main.block->rec = nullptr;
    main.block->state.store(phase::dead, std::memory_order_release);
    release(*main.block);
    box->release();
}

namespace {
void let_go(thread& t, record& gone) noexcept {
    sanitizer::ended(gone.ctx.shadow);
    const stack s = gone.where;
    end_block& block = *gone.block;
    gone.~record();
    t.stacks.give(s);
    if (block.refs.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(block);
}
}  // namespace

void thread::reclaim() noexcept {
    while (record* gone = retired.pop_front()) let_go(*this, *gone);
}

bool thread::tidy_in_hub() noexcept {
    for (record* gone = retired.front(); gone;) {
        record* const next = retired.after(*gone);
        if (gone->block->harmless() || gone->block->refs.load(std::memory_order_relaxed) > 1) {
            gone->unlink();
            let_go(*this, *gone);
        }
        gone = next;
    }
    return untidy();
}

void thread::bury_orphans() noexcept {
    while (orphans) {
        end_block* block = std::exchange(orphans, orphans->next_orphan);
        release(*block);  // the queue's reference, on the owner's thread
    }
}

void thread::unwind_all() noexcept {
    unwinding = true;
    while (record* newest = records.back()) {
        newest->incoming = std::make_exception_ptr(fiber_exit{});
        newest->dropped = true;
        newest->refused = 0;
        main.state = run_state::suspended;
        switch_to(*newest);
        main.incoming = nullptr;
        main.inbox = message{};
        reclaim();
        // It went to main instead of ending, and would do so again.
        if (records.back() == newest && newest->state != run_state::dead) unwound_in_vain(*this, *newest);
    }
}

void thread::give_up(record& me) noexcept {
    unwound_in_vain(*this, me);
    me.state = run_state::suspended;
    switch_to(main);
    fatal("a fiber that was given up was switched to");
}

void leave_for_ever(thread& t, record& me, record& next) noexcept {
    t.retired.push_back(me);
    t.current = &next;
    next.state = run_state::running;
    switch_final(t.words, me.ctx, next.ctx);
}

}  // namespace weft::detail
