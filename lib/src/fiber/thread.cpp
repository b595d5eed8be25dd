#include "fiber/thread.hpp"

#include "base/check.hpp"

namespace weft::detail {
namespace {

// The plain pointer is the fast path; the ender only gives the thread's end a place to run.
[[gnu::tls_model("initial-exec")]] thread_local constinit thread* current_thread = nullptr;

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

void abandon(record& rec) noexcept {
    warn("a fiber did not end with its thread although it was unwound; its stack is left behind");
    rec.unlink();
    rec.block->rec = nullptr;
    rec.block->state.store(phase::dead, std::memory_order_release);
}

}  // namespace

thread* this_thread_if_any() noexcept { return current_thread; }

thread& this_thread() {
    if (!current_thread) [[unlikely]] {
        current_thread = new thread;
        // Once the thread's own end has passed, what is made by a late destructor lives to the process's end.
        if (!at_thread_end.ended) at_thread_end.armed = true;
    }
    return *current_thread;
}

thread::thread() : words{thread_words::of_this_thread()}, current{&main}, box{new mailbox} {
    main.owner = this;
    main.state = run_state::running;
    main.block = new end_block;
    main.block->rec = &main;
    main.block->home = box;
    box->add_ref();
    main.block->state.store(phase::started, std::memory_order_relaxed);
    main.block->name = "main";
    sanitizer::adopted(main.ctx.shadow);
}

thread::~thread() {
    delete sched;
    box->close();
    bury_orphans();
    reclaim();
    main.block->rec = nullptr;
    main.block->state.store(phase::dead, std::memory_order_release);
    handle<end_block>{main.block};
    box->release();
}

void thread::switch_jmp_to(record& next) noexcept {
    record& me = *current;
    current = &next;
    next.state = run_state::running;
    switch_jmp(words, me.ctx, next.ctx);
}

void thread::reclaim() noexcept {
    if (!retired) return;
    record* gone = std::exchange(retired, nullptr);
    sanitizer::ended(gone->ctx.shadow);
    const stack s = gone->where;
    gone->~record();
    stacks.give(s);
}

void thread::bury_orphans() noexcept {
    while (orphans) {
        end_block* block = std::exchange(orphans, orphans->next_orphan);
        handle<end_block>{block};  // drops the queue's reference: unreferenced() runs here, on the owner
    }
}

void thread::unwind_all() noexcept {
    unwinding = true;
    while (record* newest = records.back()) {
        newest->incoming = std::make_exception_ptr(fiber_exit{});
        newest->dropped = true;
        newest->refused = 0;
        main.state = run_state::suspended;
        switch_jmp_to(*newest);
        main.incoming = nullptr;
        main.inbox = message{};
        // It went to main instead of ending, and would do so again.
        if (records.back() == newest && newest->state != run_state::dead) abandon(*newest);
    }
}

void thread::give_up(record& me) noexcept {
    abandon(me);
    me.state = run_state::suspended;
    switch_jmp_to(main);
    fatal("a fiber that was given up was switched to");
}

void leave_for_ever(thread& t, record& me, record& next) noexcept {
    t.reclaim();
    t.retired = &me;
    t.current = &next;
    next.state = run_state::running;
    switch_final(t.words, me.ctx, next.ctx);
}

}  // namespace weft::detail
