#include <atomic>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>

#include "base/sys.hpp"
#include "sched/driver.hpp"

namespace weft::detail {
namespace {

std::atomic<int> own_threads{0};
std::atomic<int> jobs{0};

// proc(5): the line "Threads:" of /proc/self/status. Without /proc, others are assumed.
int threads_of_process() noexcept {
    const long fd = sys::call(SYS_openat, AT_FDCWD, sys::word("/proc/self/status"), O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return 1 << 20;
    char text[4096];
    const long size = sys::read(static_cast<int>(fd), text, sizeof text - 1);
    sys::close(static_cast<int>(fd));
    if (size <= 0) return 1 << 20;
    text[size] = '\0';
    const char* line = std::strstr(text, "\nThreads:");
    return line ? std::atoi(line + 9) : 1 << 20;
}

}  // namespace

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
