#include "hub/offload.hpp"

#include <cerrno>

#include <pthread.h>
#include <signal.h>

#include <utility>

#include "base/check.hpp"
#include "hub/fork.hpp"
#include "sched/scheduler.hpp"

namespace weft::detail {
namespace {

constexpr timespec idle_limit{5, 0};

/// On the stack of the fiber that waits for it, or part of an errand_job; `next` links it in the pool, then in the
/// mailbox.
struct job : mail {
    explicit job(thread& t) noexcept : home{t.box} { home->add_ref(); }
    virtual ~job() { home->release(); }

    /// On the pool thread. @returns false if the asking thread has ended
    bool finish() noexcept {
        mailbox* to = home;
        to->add_ref();
        const bool delivered = to->post(*this);  // if so, from here on it is its owner's
        to->release();
        return delivered;
    }
    void arrive() noexcept override {
        done = true;
        if (!abandoned) scheduler::here().unpark(token);
    }

    mailbox* home;  // counted
    park_token token{};
    void (*work)(void*) = nullptr;
    void* argument = nullptr;
    void (*undeliverable)(job&) noexcept = nullptr;
    bool done = false;       // the asking thread's
    bool abandoned = false;  // the asking thread's: nobody waits any more
};

struct errand_job : job {
    errand_job(thread& t, std::shared_ptr<errand> e) noexcept : job{t}, what{std::move(e)} {
        work = [](void* p) { static_cast<errand*>(p)->run(); };
        argument = what.get();
        undeliverable = [](job& j) noexcept { delete static_cast<errand_job*>(&j); };
    }
    void arrive() noexcept override {
        job::arrive();
        if (abandoned) delete this;
    }
    std::shared_ptr<errand> what;
};

struct pool {
    explicit pool(int most) noexcept : limit{most} {}

    const int limit;  // threads
    small_lock lock;
    mail* first = nullptr;  // jobs waiting for a thread
    mail* last = nullptr;
    int queued = 0;
    int threads = 0;
    int idle = 0;
    std::atomic<std::uint32_t> calls{0};  // counts submissions; idle threads sleep on it

    /// @returns whether the caller owes the pool a thread, which is counted already. A thread that is idle by then
    /// looks at the queue once more before it leaves.
    bool submit(job& j) noexcept {
        j.next = nullptr;
        lock.lock();
        if (last) last->next = &j;
        else first = &j;
        last = &j;
        ++queued;
        const bool wanted = idle < queued && threads < limit;
        if (wanted) ++threads;
        lock.unlock();
        calls.fetch_add(1, std::memory_order_release);
        sys::futex_wake(calls, 1);
        return wanted;
    }

    /// The thread that was counted cannot be made. @returns whether the job is the caller's again
    bool take_back(job& j) noexcept {
        lock.lock();
        const bool nobody = --threads == 0;
        bool mine = false;
        for (mail** at = &first; nobody && *at; at = &(*at)->next) {
            if (*at != &j) continue;
            *at = j.next;
            --queued;
            mine = true;
            break;
        }
        if (mine) {
            last = first;
            while (last && last->next) last = last->next;
        }
        lock.unlock();
        return mine;
    }

    job* take() noexcept {
        job* j = static_cast<job*>(first);
        if (!j) return nullptr;
        first = j->next;
        if (!first) last = nullptr;
        --queued;
        return j;
    }

    void work() noexcept {
        for (;;) {
            const std::uint32_t seen = calls.load(std::memory_order_acquire);
            lock.lock();
            job* j = take();
            if (!j) ++idle;
            lock.unlock();
            if (j) {
                j->work(j->argument);
                if (!j->finish()) j->undeliverable(*j);
                continue;
            }
            const bool timed_out = sys::futex_wait(calls, seen, &idle_limit) == -ETIMEDOUT;
            lock.lock();
            --idle;
            const bool leave = timed_out && !first;
            if (leave) --threads;
            lock.unlock();
            if (leave) return;
        }
    }
};

// Never destroyed: pool threads may outlive every static object.
pool& pool_of(offload_kind kind) {
    alignas(pool) static unsigned char rooms[2][sizeof(pool)];
    static pool* const dns = new (rooms[0]) pool{16};
    static pool* const accepting = new (rooms[1]) pool{1024};  // each may wait without bound
    return kind == offload_kind::dns ? *dns : *accepting;
}

void* thread_main(void* p) {
    static_cast<pool*>(p)->work();
    count_own_thread(-1);
    return nullptr;
}

bool add_thread(pool& p) noexcept {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    count_own_thread(1);
    pthread_t id;
    const bool made = pthread_create(&id, &attributes, thread_main, &p) == 0;
    if (!made) count_own_thread(-1);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    return made;
}

// @returns false if nobody will ever take it: it is the caller's again
bool hand_in(pool& p, job& j) noexcept { return !p.submit(j) || add_thread(p) || !p.take_back(j); }

// Before the pool has the job: it could not be taken back.
void refuse_in_hub(const char* what) {
    parking nothing{what};
    nothing.interruptible = false;
    if (this_thread().current->is_hub) scheduler::here().park(nothing);
}

wake wait_for(job& j, parking pause) {
    scheduler& sched = scheduler::here();
    j.token = sched.next_token();
    return sched.park(pause);
}

}  // namespace

void forget_pool_threads() noexcept {
    for (const offload_kind kind : {offload_kind::dns, offload_kind::accept}) {
        pool& p = pool_of(kind);
        new (&p.lock) small_lock;  // perhaps held by a thread that does not exist here
        p.first = p.last = nullptr;
        p.queued = p.threads = p.idle = 0;
    }
}

bool offload(offload_kind kind, void (*function)(void*), void* argument, const char* what) {
    refuse_in_hub(what);
    pool& p = pool_of(kind);
    thread& t = this_thread();
    driver& drive = scheduler::here().drive();
    job j{t};
    j.work = function;
    j.argument = argument;
    j.token = scheduler::here().next_token();
    if (!hand_in(p, j)) return false;
    ++drive.expected;
    while (!j.done) {
        if (t.unwinding) {
            // A thread that ends parks nobody, and the job still has to finish before its stack goes.
            if (!t.box->deliver_all()) t.box->sleep_briefly();
            continue;
        }
        parking pause{what, argument};
        pause.interruptible = false;
        wait_for(j, pause);
    }
    --drive.expected;
    return true;
}

errand_end send_out(offload_kind kind, std::shared_ptr<errand> work, const char* what, bool foreign) {
    refuse_in_hub(what);
    pool& p = pool_of(kind);
    driver& drive = scheduler::here().drive();
    auto owned = std::make_unique<errand_job>(this_thread(), std::move(work));
    if (!hand_in(p, *owned)) return errand_end::no_thread;
    errand_job* const j = owned.release();
    ++drive.expected;
    wake cause = wake::unparked;
    while (!j->done && cause != wake::killed) {
        parking pause{what, j->what.get()};
        pause.foreign = foreign;
        cause = wait_for(*j, pause);
    }
    --drive.expected;
    const bool done = j->done;
    if (done) delete j;
    else j->abandoned = true;
    return done ? errand_end::done : errand_end::killed;
}

}  // namespace weft::detail
