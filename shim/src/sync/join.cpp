// The end of a thread: a look, then a pool thread that waits for it.
#include <weft/shim/sync.hpp>

#include "hub/offload.hpp"
#include "mutex.hpp"

namespace weft::shim::sync {
namespace {

struct joining {
    pthread_t thread;
    void** result;
    time_limit limit;
    int error = 0;

    int natively() const {
        const originals& libc = original();
        if (!limit.until) return libc.pthread_join(thread, result);
        if (limit.clock == CLOCK_REALTIME) return libc.pthread_timedjoin_np(thread, result, limit.until);
        return libc.pthread_clockjoin_np(thread, result, limit.clock, limit.until);
    }
    static void run(void* p) {
        auto& me = *static_cast<joining*>(p);
        me.error = me.natively();
    }
};

int join(joining j, const detail::thread* t) {
    WEFT_TELL_WAIT(pthread_join);
    if (!t || !may_park(*t)) return j.natively();
    if (::pthread_equal(j.thread, ::pthread_self())) return j.natively();  // refused at once
#if !defined(WEFT_TSAN)  // to which the thread would be joined twice
    if (const int now = ::pthread_tryjoin_np(j.thread, j.result); now != EBUSY) return now;
#endif
    if (!j.limit.valid() || !j.limit.known_clock()) return EINVAL;
    if (!detail::offload(detail::offload_kind::unbounded, joining::run, &j, "the end of a thread")) j.run(&j);
    return j.error;
}

int join_from(joining j) { return join(j, on() ? tasks_here() : nullptr); }

}  // namespace
}  // namespace weft::shim::sync

using namespace weft::shim;

WEFT_INTERPOSED(int, pthread_join, (pthread_t thread, void** result)) { return sync::join_from({thread, result, {}}); }
WEFT_INTERPOSED(int, pthread_timedjoin_np, (pthread_t thread, void** result, const timespec* until)) {
    return sync::join_from({thread, result, {CLOCK_REALTIME, until}});
}
WEFT_INTERPOSED(int, pthread_clockjoin_np, (pthread_t thread, void** result, clockid_t clock, const timespec* until)) {
    return sync::join_from({thread, result, {clock, until}});
}
WEFT_INTERPOSED(int, thrd_join, (thrd_t thread, int* result)) {
    void* value = nullptr;
    const int error = sync::join_from({thread, &value, {}});
    // C11 has the result as a number in the pointer.
    if (error == 0 && result) *result = static_cast<int>(reinterpret_cast<std::intptr_t>(value));
    return sync::as_c11(error);
}

namespace weft::shim {

int pthread_join(pthread_t thread, void** result) { return sync::join({thread, result, {}}, sync::by_name()); }

}  // namespace weft::shim
