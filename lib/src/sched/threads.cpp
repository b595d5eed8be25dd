#include <atomic>
#include <cerrno>
#include <memory>
#include <new>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/sys.hpp"
#include "sched/driver.hpp"

namespace weft::detail {
namespace {

std::atomic<int> own_threads{0};
std::atomic<int> jobs{0};

// The kernel counts each folder of /proc/self/task as a link to it, besides the usual two; a sixth of the time that reading
// /proc/self/status takes. Without /proc, others are assumed.
int threads_of_process() noexcept {
    struct stat task{};
    const long failed = sys::call(SYS_newfstatat, AT_FDCWD, sys::word("/proc/self/task"), sys::word(&task), 0);
    return failed != 0 || task.st_nlink < 3 ? 1 << 20 : static_cast<int>(task.st_nlink) - 2;
}

struct beginning {
    const char* name;
    void (*body)(void*);
    void* argument;
};

void* begin(void* p) {
    const std::unique_ptr<beginning> from{static_cast<beginning*>(p)};
    sys::call(SYS_prctl, PR_SET_NAME, sys::word(from->name));
    from->body(from->argument);
    count_own_thread(-1);
    return nullptr;
}

}  // namespace

int start_own_thread(const char* name, void (*body)(void*), void* argument) noexcept {
    std::unique_ptr<beginning> from{new (std::nothrow) beginning{name, body, argument}};
    pthread_attr_t attributes;
    if (!from) return ENOMEM;
    if (const int error = pthread_attr_init(&attributes)) return error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    count_own_thread(1);
    pthread_t id;
    const int error = pthread_create(&id, &attributes, begin, from.get());
    if (error == 0) (void)from.release();
    else count_own_thread(-1);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    return error;
}

bool only_our_threads() noexcept {
    return jobs.load(std::memory_order_acquire) == 0 &&
           threads_of_process() <= 1 + own_threads.load(std::memory_order_relaxed);
}

void count_own_thread(int change) noexcept { own_threads.fetch_add(change, std::memory_order_relaxed); }

// Release: who sees that a job is over sees in its mailbox what that has posted.
void count_job(int change) noexcept { jobs.fetch_add(change, std::memory_order_release); }

void forget_own_threads() noexcept {
    own_threads.store(0, std::memory_order_relaxed);
    jobs.store(0, std::memory_order_relaxed);
}

}  // namespace weft::detail
