// Whoever waits at a barrier stands in one line, tasks and threads, and the last to come takes all; of the real one only the
// number that it was made with is used.
#include <weft/shim/sync.hpp>

#include "hub/offload.hpp"
#include "thread_sleeper.hpp"

namespace weft::shim::sync {
namespace {

/// glibc's, as its threads see it.
struct barrier_words {
    unsigned come, round, size;
    int shared;
};

// Of several processes, or begun before the area was patched: libc's waiters are not in the line.
bool is_libcs(const barrier_words& b) noexcept {
    return b.shared != 0 || __atomic_load_n(&b.come, __ATOMIC_RELAXED) % b.size != 0;
}

int wait_in_pool(pthread_barrier_t* barrier) {
    struct job {
        pthread_barrier_t* barrier;
        int result;
    } work{barrier, 0};
    const auto run = [](void* p) {
        auto& j = *static_cast<job*>(p);
        j.result = original().pthread_barrier_wait(j.barrier);
    };
    if (!detail::offload(detail::offload_kind::unbounded, run, &work, "a barrier of several processes")) run(&work);
    return work.result;
}

int wait_in_task(pthread_barrier_t* barrier, unsigned size, const asking& how) {
    constexpr const char* what = "a pthread barrier";
    // Who comes while its thread ends would be counted, but could not wait.
    while (tasks_here()->unwinding) lot::refuse(what);
    lot::fiber_sleeper me{barrier};
    if (lot::complete(me, size)) return PTHREAD_BARRIER_SERIAL_THREAD;
    if (me.wait(how.manner(what)) == io::outcome::ready) return 0;
    for (;;) lot::refuse(what);
}

int wait_in_thread(pthread_barrier_t* barrier, unsigned size) {
    thread_sleeper me{barrier};
    if (lot::complete(me, size)) return PTHREAD_BARRIER_SERIAL_THREAD;
    int state;  // no point where a thread may be cancelled, unlike the semaphore below
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    me.wait({});
    pthread_setcancelstate(state, nullptr);
    return 0;
}

int wait(pthread_barrier_t* barrier, detail::thread* t, const asking& how) {
    WEFT_TELL_WAIT(pthread_barrier_wait);
    const auto& words = *reinterpret_cast<const barrier_words*>(barrier);
    const bool parks = t && may_park(*t);
    if (is_libcs(words)) return parks ? wait_in_pool(barrier) : original().pthread_barrier_wait(barrier);
    return parks ? wait_in_task(barrier, words.size, how) : wait_in_thread(barrier, words.size);
}

}  // namespace
}  // namespace weft::shim::sync

using namespace weft::shim;

WEFT_INTERPOSED(int, pthread_barrier_wait, (pthread_barrier_t* barrier)) {
    return sync::on() ? sync::wait(barrier, sync::tasks_here(), {}) : original().pthread_barrier_wait(barrier);
}

namespace weft::shim {

int pthread_barrier_wait(pthread_barrier_t* barrier) {
    sync::by_name();
    return sync::wait(barrier, sync::tasks_here(), {{}, nullptr, false});
}

}  // namespace weft::shim
