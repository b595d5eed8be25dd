// One body, three ways: on a plain thread straight to libc, in a task by weft::shim's names, and in a task through
// the interposed symbols. What the three note down must be the same.
#pragma once

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <weft/monkey.hpp>
#include <weft/shim.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"

namespace test {

/// Every call that weft::shim knows by name, from there or from the global namespace.
struct calls {
#define WEFT_TIME_CALLS(X) X(sleep) X(usleep) X(nanosleep) X(clock_nanosleep)
#define WEFT_SOCKET_CALLS(X)                                                                                  \
    X(socket) X(accept) X(accept4) X(connect) X(recv) X(recvfrom) X(recvmsg) X(recvmmsg) X(send) X(sendto)    \
    X(sendmsg) X(sendmmsg) X(shutdown)
#define WEFT_FD_CALLS(X) X(read) X(readv) X(write) X(writev) X(creat) X(close) X(dup2) X(dup3)
#define WEFT_POLL_CALLS(X) X(poll) X(ppoll) X(select) X(pselect) X(epoll_wait) X(epoll_pwait) X(epoll_pwait2)
#define WEFT_DNS_CALLS(X)                                                                                     \
    X(getaddrinfo) X(getnameinfo) X(gethostbyname) X(gethostbyname2) X(gethostbyaddr) X(gethostbyname_r)      \
    X(gethostbyname2_r) X(gethostbyaddr_r) X(res_query) X(res_search) X(res_querydomain) X(res_send)          \
    X(res_nquery) X(res_nsearch) X(res_nquerydomain) X(res_nsend)
#define WEFT_FILE_CALLS(X)                                                                                    \
    X(pread) X(preadv) X(preadv2) X(pwrite) X(pwritev) X(pwritev2) X(fsync) X(fdatasync) X(syncfs)            \
    X(sync_file_range) X(copy_file_range) X(flock) X(lockf)               \
    X(aio_suspend) X(sendfile) X(splice) X(tee) X(vmsplice)
#define WEFT_PROCESS_CALLS(X)                                                                                 \
    X(wait) X(waitpid) X(wait3) X(wait4) X(waitid) X(system) X(popen) X(pclose) X(msgsnd) X(msgrcv) X(semop)  \
    X(semtimedop) X(mq_receive) X(mq_timedreceive) X(mq_send) X(mq_timedsend)
#define WEFT_SIGNAL_CALLS(X) X(sigwait) X(sigwaitinfo) X(sigtimedwait) X(pause) X(sigsuspend)
#define WEFT_SYNC_CALLS(X)                                                                                    \
    X(pthread_mutex_lock) X(pthread_mutex_trylock) X(pthread_mutex_timedlock) X(pthread_mutex_clocklock)      \
    X(pthread_mutex_unlock) X(pthread_cond_wait) X(pthread_cond_timedwait) X(pthread_cond_clockwait)          \
    X(pthread_cond_signal) X(pthread_cond_broadcast) X(pthread_rwlock_rdlock) X(pthread_rwlock_tryrdlock)     \
    X(pthread_rwlock_timedrdlock) X(pthread_rwlock_clockrdlock) X(pthread_rwlock_wrlock)                      \
    X(pthread_rwlock_trywrlock) X(pthread_rwlock_timedwrlock) X(pthread_rwlock_clockwrlock)                   \
    X(pthread_rwlock_unlock) X(sem_wait) X(sem_timedwait) X(sem_clockwait) X(sem_post)                        \
    X(pthread_barrier_wait) X(pthread_spin_lock) X(pthread_once) X(pthread_join)
#define WEFT_EACH_CALL(X)                                                                                     \
    WEFT_TIME_CALLS(X) WEFT_SOCKET_CALLS(X) WEFT_FD_CALLS(X) WEFT_POLL_CALLS(X) WEFT_DNS_CALLS(X)             \
    WEFT_FILE_CALLS(X) WEFT_PROCESS_CALLS(X) WEFT_SIGNAL_CALLS(X) WEFT_SYNC_CALLS(X)
#define WEFT_MEMBER(name) decltype(&weft::shim::name) name;
    WEFT_EACH_CALL(WEFT_MEMBER)
#undef WEFT_MEMBER
    bool named;
};

/// weft::shim's.
const calls& named_calls();
/// What a program gets that names nothing: libc's on a plain thread, the interposed ones in a task.
const calls& plain_calls();

/// The program is not linked with the shim. What it does by libc's names while nothing is patched may then go past weft,
/// closes among it, which whoever uses weft's names must not do.
bool reached_late();

/// What one run of a body saw.
class journal {
public:
    /// Makes a call and notes its result and the errno it leaves; a success must leave errno alone.
    template <class Call>
    auto operator()(std::string what, Call call) {
        constexpr int untouched = 4095;
        const auto start = std::chrono::steady_clock::now();
        errno = untouched;
        const auto result = call();
        const int error = errno;
        const auto took = std::chrono::steady_clock::now() - start;
        note(std::move(what), static_cast<std::int64_t>(result), error == untouched ? 0 : error,
             std::chrono::duration_cast<std::chrono::milliseconds>(took));
        errno = error;
        return result;
    }
    /// The same for what takes as long as the machine needs.
    template <class Call>
    auto untimed(std::string what, Call call) {
        const auto result = (*this)(std::move(what), call);
        rows_.back().took = {};
        return result;
    }
    /// Notes a number, or some bytes.
    void value(std::string what, std::int64_t number) { note(std::move(what), number, 0, {}); }
    void bytes(std::string what, const void* data, std::size_t size);

    struct row {
        std::string what;
        std::string outcome;
        std::chrono::milliseconds took;
    };
    const std::vector<row>& rows() const { return rows_; }

private:
    void note(std::string what, std::int64_t result, int error, std::chrono::milliseconds took);

    std::vector<row> rows_;
};

using body = void (*)(const calls& c, journal& out);

/// Whether a 1 ms ticker runs beside the body. Signals go to a hub that waits, so those bodies run alone.
enum class ticker { beside, none };

/// Runs the body the three ways, and fails with a table if they differ or the ticker starves.
void compare(body run, ticker beside);

/// Patches for as long as it lives.
class patched {
public:
    patched() { REQUIRE(weft::monkey::patch_all()); }
    ~patched() { weft::monkey::unpatch_all(); }
    patched(const patched&) = delete;
    patched& operator=(const patched&) = delete;
};

/// Does something on a plain thread of its own after a while. The destructor waits without blocking other tasks.
class later {
public:
    later(const calls& c, std::chrono::milliseconds delay, std::function<void()> action);
    ~later();
    later(const later&) = delete;
    later& operator=(const later&) = delete;

private:
    const calls& calls_;
    std::atomic<bool> done_{false};
    std::thread thread_;
};

/// Ticks every millisecond while it lives; @returns the largest gap between two ticks
class beside_ticker {
public:
    beside_ticker();
    ~beside_ticker() { stop(); }
    std::chrono::milliseconds stop();

private:
    bool stop_ = false;
    std::chrono::steady_clock::duration largest_{};
    weft::task<void> task_;
};

/// Sends SIGUSR1 to the calling thread once, after a while.
class alarm_clock {
public:
    alarm_clock(std::chrono::milliseconds delay, int handler_flags);
    ~alarm_clock();
    alarm_clock(const alarm_clock&) = delete;
    alarm_clock& operator=(const alarm_clock&) = delete;
    static inline std::atomic<int> rang{0};

private:
    void* timer_;
    struct sigaction before_;
};

}  // namespace test

#define WEFT_DIFFERENTIAL(name, function, beside)                        \
    static void function(const test::calls& c, test::journal& out);      \
    HUB_TEST(name) { test::compare(&function, test::ticker::beside); }   \
    static void function([[maybe_unused]] const test::calls& c, [[maybe_unused]] test::journal& out)

/// The body of a differential test, which calls `c` and notes in `out`.
#define DIFFERENTIAL(name) WEFT_DIFFERENTIAL(name, DOCTEST_ANONYMOUS(weft_body_), beside)
/// The same with nothing beside it.
#define DIFFERENTIAL_ALONE(name) WEFT_DIFFERENTIAL(name, DOCTEST_ANONYMOUS(weft_body_), none)
