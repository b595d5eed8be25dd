#include "hub/offload.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include <weft/offload.hpp>

#include "hub/worker_pool.hpp"
#include "sched/scheduler.hpp"

namespace weft {
namespace detail {
namespace {

constexpr std::chrono::seconds idle_limit{5};

/// On the stack of the fiber that waits for it, or part of an errand_job.
struct job : work, mail {
    job(thread& t, void (*function)(void*), void* with) noexcept : home{t.box}, function{function}, argument{with} {
        home->add_ref();
    }
    virtual ~job() { home->release(); }

    void run() noexcept override {
        function(argument);
        finish();
    }
    void drop(int why) noexcept override {
        error = why;
        finish();
    }
    void finish() noexcept {
        mailbox* to = home;
        to->add_ref();
        // Once it is delivered it is its owner's.
        if (!to->post(*this)) undeliverable();
        to->release();
    }
    void arrive() noexcept override {
        done = true;
        if (!abandoned) scheduler::here().unpark(token);
    }
    virtual void undeliverable() noexcept {}

    mailbox* home;  // counted
    void (*function)(void*);
    void* argument;
    park_token token{};
    int error = 0;           // why it was dropped
    bool done = false;       // the asking thread's
    bool abandoned = false;  // the asking thread's: nobody waits any more
};

struct errand_job final : job {
    errand_job(thread& t, std::shared_ptr<errand> e) noexcept
        : job{t, [](void* p) { static_cast<errand*>(p)->run(); }, e.get()}, what{std::move(e)} {}
    void undeliverable() noexcept override { delete this; }
    void arrive() noexcept override {
        job::arrive();
        if (abandoned) delete this;
    }
    std::shared_ptr<errand> what;
};

/// Never destroyed: pool threads may outlive every static object.
template <int Which>
worker_pool& pool_with(int limit, bool counts) {
    alignas(worker_pool) static unsigned char room[sizeof(worker_pool)];
    static worker_pool* const made = new (room) worker_pool{limit, idle_limit, counts};
    return *made;
}

worker_pool& pool_of(offload_kind kind) {
    constexpr int names = 16, files = 16, unbounded = 1 << 15;
    switch (kind) {
        case offload_kind::dns: return pool_with<0>(names, false);
        case offload_kind::file: return pool_with<1>(files, false);
        case offload_kind::unbounded: break;
    }
    return pool_with<2>(unbounded, false);
}

worker_pool& pool_of_functions() {
    static const int usual = std::max(10, static_cast<int>(std::thread::hardware_concurrency()));
    return pool_with<3>(usual, true);
}

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

/// `ends`: by itself, however late. @returns 0, or an error number: why it was not run
int run_in(worker_pool& p, void (*function)(void*), void* argument, const char* what, bool ends) {
    refuse_in_hub(what);
    thread& t = this_thread();
    driver& drive = scheduler::here().drive();
    job j{t, function, argument};
    j.token = scheduler::here().next_token();
    if (const int error = p.submit(j)) return error;
    t.current->call.pooled = true;
    ++drive.expected;
    while (!j.done) {
        if (t.unwinding) {
            // A thread that ends parks nobody, and the job still has to finish before its stack goes.
            // What may never end is left to the pool after many looks, and the stack with it.
            if (t.box->deliver_all()) continue;
            if (ends) t.box->sleep_briefly();
            else scheduler::here().look_at_end(what);
            continue;
        }
        parking pause{what, argument};
        pause.interruptible = false;
        wait_for(j, pause);
    }
    --drive.expected;
    return j.error;
}

}  // namespace

bool offload(offload_kind kind, void (*function)(void*), void* argument, const char* what) {
    return run_in(pool_of(kind), function, argument, what, kind != offload_kind::unbounded) == 0;
}

int hand_in(offload_kind kind, work& w, const char* what) {
    refuse_in_hub(what);
    return pool_of(kind).submit(w);
}

errand_end send_out(offload_kind kind, std::shared_ptr<errand> asked, const char* what, bool foreign,
                    bool interruptible) {
    refuse_in_hub(what);
    worker_pool& p = pool_of(kind);
    driver& drive = scheduler::here().drive();
    auto owned = std::make_unique<errand_job>(this_thread(), std::move(asked));
    if (p.submit(*owned) != 0) return errand_end::no_thread;
    errand_job* const j = owned.release();
    this_thread().current->call.pooled = true;
    ++drive.expected;
    wake cause = wake::unparked;
    while (!j->done && cause != wake::killed) {
        parking pause{what, j->what.get()};
        pause.foreign = foreign;
        pause.interruptible = interruptible;
        cause = wait_for(*j, pause);
    }
    --drive.expected;
    if (!j->done) {
        j->abandoned = true;
        return errand_end::killed;
    }
    const int error = j->error;
    delete j;
    return error == 0 ? errand_end::done : errand_end::no_thread;
}

void call_in_pool(void (*function)(void*), void* argument) {
    worker_pool& p = pool_of_functions();
    if (p.is_on_own_thread()) return function(argument);
    if (const int error = run_in(p, function, argument, "an offloaded function", true))
        throw std::system_error(error, std::generic_category(), "weft: no thread for offload()");
}

}  // namespace detail

void set_offload_limit(int threads) {
    if (threads < 1) throw std::invalid_argument("weft: offload() needs a limit of 1 thread or more");
    detail::pool_of_functions().set_limit(threads);
}

int offload_limit() { return detail::pool_of_functions().limit(); }

}  // namespace weft
