#include "hub/offload.hpp"

#include <cerrno>

#include <pthread.h>
#include <signal.h>

#include "base/check.hpp"
#include "sched/scheduler.hpp"

namespace weft::detail {
namespace {

constexpr timespec idle_limit{5, 0};

/// Lives on the stack of the fiber that waits for it; `next` links it in the pool, then in the mailbox.
struct job : mail {
    job(thread& t, const park_token& waiting_as) noexcept : mail{&arrive}, home{t.box}, token{waiting_as} {}

    static void arrive(mail& m) noexcept {
        auto& self = static_cast<job&>(m);
        self.done = true;
        scheduler::here().unpark(self.token);
    }
    void finish() noexcept {
        mailbox* to = home;
        to->add_ref();
        to->post(*this);  // from here on it is its owner's
        to->release();
    }

    mailbox* home;
    park_token token;
    void (*function)(void*) = nullptr;
    void* argument = nullptr;
    bool done = false;  // the owning thread's
};

struct pool {
    explicit pool(int most) noexcept : limit{most} {}

    const int limit;  // threads
    small_lock lock;
    job* first = nullptr;  // waiting for a thread
    job* last = nullptr;
    int queued = 0;
    int threads = 0;
    int idle = 0;
    std::atomic<std::uint32_t> calls{0};  // counts submissions; idle threads sleep on it

    void submit(job& j) noexcept {
        j.next = nullptr;
        lock.lock();
        if (last) last->next = &j;
        else first = &j;
        last = &j;
        ++queued;
        lock.unlock();
        calls.fetch_add(1, std::memory_order_release);
        sys::futex_wake(calls, 1);
    }

    job* take() noexcept {
        job* j = first;
        if (!j) return nullptr;
        first = static_cast<job*>(j->next);
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
                j->function(j->argument);
                j->finish();
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

}  // namespace

bool offload(offload_kind kind, void (*function)(void*), void* argument, const char* what) {
    pool& p = pool_of(kind);
    p.lock.lock();
    const bool wanted = p.idle <= p.queued && p.threads < p.limit;
    if (wanted) ++p.threads;
    p.lock.unlock();
    if (wanted && !add_thread(p)) {
        p.lock.lock();
        const bool nobody = --p.threads == 0;
        p.lock.unlock();
        if (nobody) return false;
    }

    thread& t = this_thread();
    scheduler& sched = scheduler::here();
    job j{t, sched.next_token()};
    j.function = function;
    j.argument = argument;
    ++sched.drive().expected;
    p.submit(j);
    while (!j.done) {
        parking pause{what, argument};
        pause.interruptible = false;
        j.token = sched.next_token();
        sched.park(pause);
        // A thread that ends parks nobody, and the job still has to finish before its stack goes.
        if (t.unwinding && !t.box->deliver_all()) t.box->sleep_briefly();
    }
    --sched.drive().expected;
    return true;
}

}  // namespace weft::detail
