#include "hub/worker_pool.hpp"

#include <cerrno>
#include <new>

#include <pthread.h>
#include <signal.h>

#include <weft/error.hpp>

#include "base/sys.hpp"
#include "hub/fork.hpp"
#include "sched/scheduler.hpp"

namespace weft::detail {

/// One of the threads.
struct worker_pool::worker {
    worker_pool* pool;
    std::uint32_t forks;
    bool gone = false;  // it destroyed the pool itself

    bool serves() const noexcept { return !gone && forks == pool->forks_; }
};

struct worker_pool::waiting {
    reason what;
    bool satisfied = false;
};

namespace {

/// Of every pool. Never destroyed: pools may be static objects.
struct registry {
    small_lock lock;
    list<list_node> pools;
};
registry& all() {
    alignas(registry) static unsigned char room[sizeof(registry)];
    static registry* const made = new (room) registry;
    return *made;
}

thread_local void* own_pool = nullptr;  // of a pool's thread

timespec as_timespec(clock::duration span) noexcept {
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(span);
    return {whole.count(), static_cast<long>((span - whole).count())};
}

}  // namespace

worker_pool::worker_pool(int limit, clock::duration idle, bool counts)
    : idle_limit_{idle}, counts_{counts}, limit_{limit} {
    watch_forks();
    registry& r = all();
    r.lock.lock();
    r.pools.push_back(*this);
    r.lock.unlock();
}

worker_pool::~worker_pool() {
    close();
    wait_for_threads();
    if (is_on_own_thread()) {
        static_cast<worker*>(own_pool)->gone = true;
        if (counts_) count_job(-1);  // for the job that this is part of
    }
    registry& r = all();
    r.lock.lock();
    unlink();
    r.lock.unlock();
}

int worker_pool::submit(work& w) noexcept {
    w.next_work = nullptr;
    waiters_.lock();
    if (closed_) {
        waiters_.unlock();
        return ESHUTDOWN;
    }
    if (last_) last_->next_work = &w;
    else first_ = &w;
    last_ = &w;
    ++queued_;
    ++unfinished_;
    if (counts_) count_job(1);
    const bool wanted = may_add();
    if (wanted) ++threads_, ++present_;  // the pool stays until this thread has come or failed to
    const bool wakes = idle_ > waking_;  // a burst wakes each thread once, not once for each of its jobs
    if (wakes) ++waking_;
    calls_.fetch_add(1, std::memory_order_release);
    waiters_.unlock();
    if (wakes) sys::futex_wake(calls_, 1);
    if (!wanted) return 0;
    const int error = add_thread();
    return error == 0 ? 0 : no_thread(w, error);
}

/// The thread that was counted cannot be made. Others may do the work; without any, nobody will.
int worker_pool::no_thread(work& w, int error) noexcept {
    waiters_.lock();
    work* lost = nullptr;
    if (--threads_ == 0) {
        lost = first_;
        first_ = last_ = nullptr;
        queued_ = 0;
    }
    bool mine = false;
    for (work** at = &lost; *at; at = &(*at)->next_work) {
        if (*at != &w) continue;
        *at = w.next_work;
        mine = true;
        --unfinished_;
        if (counts_) count_job(-1);
        break;
    }
    waiters_.unlock();
    drop_all(lost, error);
    waiters_.lock();
    --present_;
    tell();
    waiters_.unlock();
    return mine ? error : 0;
}

void worker_pool::drop_all(work* first, int error) noexcept {
    while (first) {
        work* const next = first->next_work;
        first->drop(error);
        finished();
        first = next;
    }
}

int worker_pool::add_thread() noexcept {
    pthread_attr_t attributes;
    if (const int error = pthread_attr_init(&attributes)) return error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    count_own_thread(1);
    const auto body = [](void* at) -> void* {
        /// Its destructor runs after those of all other thread-locals, which are made later.
        struct last_act {
            worker me{};
            ~last_act() {
                own_pool = nullptr;
                if (me.gone) count_own_thread(-1);
                else if (me.serves()) me.pool->left();
            }
        };
        thread_local last_act at_end;
        auto* const pool = static_cast<worker_pool*>(at);
        at_end.me = worker{pool, pool->forks_};
        own_pool = &at_end.me;
        pool->serve(at_end.me);
        return nullptr;
    };
    pthread_t id;
    const int error = pthread_create(&id, &attributes, body, this);
    if (error != 0) count_own_thread(-1);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    return error;
}

work* worker_pool::take() noexcept {
    work* const w = first_;
    if (!w) return nullptr;
    first_ = w->next_work;
    if (!first_) last_ = nullptr;
    --queued_;
    return w;
}

void worker_pool::serve(worker& me) noexcept {
    for (;;) {
        const std::uint32_t seen = calls_.load(std::memory_order_acquire);
        waiters_.lock();
        const bool surplus = threads_ > limit_;
        work* const w = surplus ? nullptr : take();
        const bool leaves = !w && (surplus || closed_);
        if (leaves) --threads_;
        else if (!w) ++idle_;
        waiters_.unlock();
        if (leaves) return;
        if (!w) {
            if (rest(seen)) return;
            continue;
        }
        w->run();
        if (!me.serves()) return;
        finished();
    }
}

/// @returns whether the thread is to leave
bool worker_pool::rest(std::uint32_t seen) noexcept {
    const timespec limit = as_timespec(idle_limit_);
    const bool for_ever = idle_limit_ == clock::duration::max();
    const bool timed_out = sys::futex_wait(calls_, seen, for_ever ? nullptr : &limit) == -ETIMEDOUT;
    waiters_.lock();
    --idle_;
    if (waking_ > 0) --waking_;
    const bool leaves = timed_out && !first_;
    if (leaves) --threads_;
    waiters_.unlock();
    return leaves;
}

void worker_pool::finished() noexcept {
    waiters_.lock();
    --unfinished_;
    tell();
    waiters_.unlock();
    if (counts_) count_job(-1);  // after the wake-ups: who looks for a deadlock sees one or the other
}

void worker_pool::left() noexcept {
    count_own_thread(-1);
    waiters_.lock();
    --present_;
    tell();
    waiters_.unlock();
}

void worker_pool::wake_all() noexcept {
    calls_.fetch_add(1, std::memory_order_release);
    sys::futex_wake(calls_, 1 << 30);
}

void worker_pool::close() noexcept {
    waiters_.lock();
    closed_ = true;
    waiters_.unlock();
    wake_all();
}

void worker_pool::drop_queued() noexcept {
    waiters_.lock();
    work* const dropped = first_;
    first_ = last_ = nullptr;
    queued_ = 0;
    waiters_.unlock();
    drop_all(dropped, 0);
}

void worker_pool::set_limit(int most) noexcept {
    waiters_.lock();
    limit_ = most;
    tell();
    waiters_.unlock();
    wake_all();  // those that are too many leave
    for (;;) {
        waiters_.lock();
        const bool wanted = may_add();
        if (wanted) ++threads_, ++present_;
        waiters_.unlock();
        if (!wanted) return;
        if (add_thread() == 0) continue;
        waiters_.lock();  // the others do the work: there are some, or nothing would be queued
        --threads_;
        --present_;
        waiters_.unlock();
        return;
    }
}

template <class T>
T worker_pool::locked(const T& member) const noexcept {
    waiters_.lock();
    const T value = member;
    waiters_.unlock();
    return value;
}

bool worker_pool::closed() const noexcept { return locked(closed_); }
int worker_pool::limit() const noexcept { return locked(limit_); }
int worker_pool::threads() const noexcept { return locked(threads_); }
int worker_pool::unfinished() const noexcept { return locked(unfinished_); }

bool worker_pool::is_on_own_thread() const noexcept {
    const auto* const me = static_cast<const worker*>(own_pool);
    return me && me->pool == this && me->serves();
}

bool worker_pool::holds(reason what) const noexcept {
    switch (what) {
        case reason::finished: return unfinished_ == 0;
        case reason::room: return unfinished_ < limit_;
        case reason::left: return present_ == 0;
    }
    __builtin_unreachable();
}

/// Under the lock: something has become less. A list gives out its first only, so all are woken, and who came for
/// something else waits again.
void worker_pool::tell() noexcept {
    if (waiters_.empty()) return;
    if (!(holds(reason::finished) || holds(reason::left) || (wants_room_ > 0 && holds(reason::room)))) return;
    while (!waiters_.empty()) {
        auto& w = *static_cast<waiting*>(waiters_.first_item());
        w.satisfied = holds(w.what);
        if (w.what == reason::room) --wants_room_;
        waiters_.grant_first();
    }
}

bool worker_pool::wait_until(reason what, deadline by, bool interruptible) {
    waiting me{what};
    const int room = what == reason::room ? 1 : 0;
    waiters_.lock();
    while (!holds(what)) {
        wants_room_ += room;
        wait_end end;
        try {
            end = waiters_.wait(by, "a pool of threads", this, &me, interruptible);
        } catch (...) {
            waiters_.lock();
            wants_room_ -= room;
            waiters_.unlock();
            throw;
        }
        if (end == wait_end::granted_killed) {
            exit_fiber();
            return me.satisfied;
        }
        if (end != wait_end::granted) {
            wants_room_ -= room;
            waiters_.unlock();
            if (end == wait_end::killed && interruptible) exit_fiber();
            return false;
        }
        if (me.satisfied) return true;  // and the pool may be gone
        waiters_.lock();
    }
    waiters_.unlock();
    return true;
}

bool worker_pool::join(deadline by) {
    if (is_on_own_thread())
        throw lock_misuse("weft: a job joins the pool that runs it, which would never return; join from elsewhere");
    return wait_until(reason::finished, by, true);
}

bool worker_pool::wait_for_room(deadline by) { return wait_until(reason::room, by, true); }

void worker_pool::wait_for_threads() noexcept {
    thread* const t = this_thread_if_any();
    const int those_who_stay = is_on_own_thread() ? 1 : 0;
    // exit() in a task leaves the others alone.
    const bool may_park = t && t->sched && !t->unwinding && !t->current->is_hub && !process_is_ending();
    const bool parks = may_park && those_who_stay == 0;
    count_job(1);  // threads on their way out wake this one
    const bool done = parks && wait_until(reason::left, deadline::never(), false);
    while (!done) {
        waiters_.lock();
        const bool gone = present_ <= those_who_stay;
        waiters_.unlock();
        if (gone) break;
        if (t && t->unwinding) t->box->deliver_all();  // somebody may wait for what is in there
        const timespec millisecond{0, 1'000'000};
        sys::futex_wait(calls_, calls_.load(std::memory_order_relaxed), &millisecond);
    }
    count_job(-1);
}

void worker_pool::before_fork() noexcept { all().lock.lock(); }

void worker_pool::after_fork(bool in_child) noexcept {
    registry& r = all();
    if (in_child) {
        for (list_node* at = r.pools.front(); at; at = r.pools.after(*at)) {
            auto& p = static_cast<worker_pool&>(*at);
            new (&p.waiters_) wait_list;  // its lock perhaps held, its waiters asleep, in the parent
            p.first_ = p.last_ = nullptr;
            p.queued_ = p.unfinished_ = p.threads_ = p.present_ = p.idle_ = p.waking_ = p.wants_room_ = 0;
            ++p.forks_;
        }
    }
    r.lock.unlock();
}

}  // namespace weft::detail
