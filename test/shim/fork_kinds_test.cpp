// fork's kin, and what a child has of the waits that other tasks of its parent are in.
#include <cstdlib>
#include <string>
#include <thread>

#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>

#include "shim/children.hpp"
#include "shim/differential.hpp"
#include "shim/sockets.hpp"
#include "support/forked.hpp"

using namespace std::chrono_literals;
using test::end_of;
using test::exited_with;
using test::nap_ms;

namespace {

/// Memory that a child writes and its parent reads.
template <class T>
class shared {
public:
    shared() : at_{::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)} {
        if (at_ == MAP_FAILED) throw std::runtime_error("mmap");
    }
    ~shared() { ::munmap(at_, sizeof(T)); }
    shared(const shared&) = delete;
    shared& operator=(const shared&) = delete;
    T& operator*() const { return *static_cast<T*>(at_); }

private:
    void* at_;
};

std::atomic<int> unshared{0};

/// A child by vfork() that notes that it was there; its parent's waits are the caller's.
[[gnu::noinline]] pid_t noted_vfork(int pipe) {
    const pid_t child = ::vfork();
    if (child == 0) {
        unshared = 1;
        char b;
        ::_exit(pipe < 0 || ::read(pipe, &b, 1) == 1 ? 7 : 8);
    }
    return child;
}

/// The processes in which a task that runs all the time has run.
class witness {
public:
    witness() {
        task_ = weft::spawn([this] {
            for (const pid_t home = ::getpid(); !stop_; weft::yield())
                if (::getpid() != home) (*elsewhere_).store(true);
        });
    }
    ~witness() {
        stop_ = true;
        (void)task_.join();
    }
    witness(const witness&) = delete;
    witness& operator=(const witness&) = delete;
    bool ran_elsewhere() const { return *elsewhere_; }

private:
    bool stop_ = false;
    shared<std::atomic<bool>> elsewhere_;
    weft::task<void> task_;
};

bool is_blocked(int number) {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return ::sigismember(&mask, number) == 1;
}

std::atomic<bool> handlers_wait{false};

}  // namespace

HUB_TEST("in a task vfork() is a fork(), whose child may wait; on a plain thread it is libc's") {
    if (test::under_asan || test::under_tsan) return;  // they have one of their own
    const test::patched now;
    const witness others;
    test::ends pipe = test::pipe_pair();
    unshared = 0;
    const pid_t child = noted_vfork(pipe[0]);
    REQUIRE(child > 0);
    CHECK(unshared == 0);
    weft::sleep_for(20ms);
    CHECK(::write(pipe[1], "x", 1) == 1);
    CHECK(exited_with(end_of(child), 7));
    CHECK_FALSE(others.ran_elsewhere());

    std::thread{[] {
        CHECK(exited_with(end_of(noted_vfork(-1)), 7));
        CHECK(unshared == 1);
    }}.join();
}

HUB_TEST("the child of _Fork() runs none of the parent's tasks, and its calls are libc's") {
    const test::patched now;
    const witness others;
    test::ends pipe = test::pipe_pair();
    const pid_t child = ::_Fork();
    if (child == 0) {
        char b;
        const bool got = ::read(pipe[0], &b, 1) == 1 && ::usleep(1000) == 0;
        ::_exit(got ? 7 : 8);
    }
    REQUIRE(child > 0);
    weft::sleep_for(20ms);
    CHECK(::write(pipe[1], "x", 1) == 1);
    CHECK(exited_with(end_of(child), 7));
    CHECK_FALSE(others.ran_elsewhere());
}

HUB_TEST("handlers of pthread_atfork let no other task run") {
    static bool in_handler = false, seen = false;
    static const int registered = ::pthread_atfork(
        [] {
            in_handler = true;
            if (handlers_wait) ::usleep(5000);
        },
        [] {
            if (handlers_wait) ::usleep(5000);
            in_handler = false;
        },
        [] {
            if (handlers_wait) ::usleep(5000);
            in_handler = false;
        });
    REQUIRE(registered == 0);
    const test::patched now;
    bool stop = false;
    auto other = weft::spawn([&] {
        for (; !stop; weft::yield()) seen |= in_handler;
    });
    weft::yield();
    handlers_wait = true;
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        ::usleep(1000);
        ::_exit(seen ? 1 : 7);
    }
    handlers_wait = false;
    CHECK(exited_with(end_of(child), 7));
    stop = true;
    other.join();
    CHECK_FALSE(seen);
}

HUB_TEST("daemon() leaves a process with a hub that works, and its streams at /dev/null") {
    const test::patched now;
    test::ends pipe = test::pipe_pair();
    auto parked = weft::spawn([&] {
        pollfd look{pipe[0], POLLIN, 0};
        return ::poll(&look, 1, -1);
    });
    weft::sleep_for(1ms);
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        weft::sleep_for(1ms);
        if (::daemon(1, 0) != 0) ::_exit(2);
        char b;
        const bool empty = ::read(0, &b, 1) == 0;
        const bool works = weft::spawn([] { return ::usleep(1000); }).get() == 0;
        const bool right = ::write(pipe[1], empty && works ? "y" : "n", 1) == 1;
        ::_exit(right ? 0 : 3);
    }
    CHECK(exited_with(end_of(child), 0));
    CHECK(parked.get() == 1);
    char answer = 0;
    CHECK(::read(pipe[0], &answer, 1) == 1);
    CHECK(answer == 'y');
}

HUB_TEST("a child has its thread's own mask and ways with signals, whatever other tasks wait with") {
    const test::patched now;
    auto masked = weft::spawn([] {
        sigset_t mask;
        ::sigemptyset(&mask);
        ::sigaddset(&mask, SIGUSR1);
        const timespec span{0, 100'000'000};
        return ::ppoll(nullptr, 0, &span, &mask);
    });
    auto shell = weft::spawn([] { return ::system("sleep 0.1"); });
    weft::sleep_for(10ms);
    struct sigaction interrupt {};
    ::sigaction(SIGINT, nullptr, &interrupt);
    CHECK((interrupt.sa_handler == SIG_IGN));
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        ::sigaction(SIGINT, nullptr, &interrupt);
        const bool right = !is_blocked(SIGUSR1) && !is_blocked(SIGCHLD) && interrupt.sa_handler != SIG_IGN;
        ::_exit(right && ::system("exit 3") == 3 << 8 ? 7 : 8);
    }
    CHECK(exited_with(end_of(child), 7));
    CHECK(masked.get() == 0);
    CHECK(shell.get() == 0);
    CHECK_FALSE(is_blocked(SIGCHLD));
}

HUB_TEST("a child has no descriptor of its parent's waits, and waits for its own children") {
    const test::patched now;
    const int before = test::open_descriptors();
    const pid_t sleeper = test::child_that_exits(1, 10'000);
    int status = 0;
    auto certain = weft::spawn([&] { return ::waitpid(sleeper, nullptr, 0); });
    auto any = weft::spawn([&] { return ::waitpid(-1, &status, WUNTRACED); });
    weft::sleep_for(5ms);
    REQUIRE(test::open_descriptors() == before + (test::has_pidfds() ? 1 : 0));
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        const bool none = ::waitpid(-1, nullptr, WUNTRACED) == -1 && errno == ECHILD;
        const pid_t own = test::child_that_exits(4, 20);
        const bool waits = ::waitpid(-1, nullptr, WUNTRACED) == own;
        ::_exit(none && waits && test::open_descriptors() == before ? 7 : 8);
    }
    CHECK(any.get() == child);
    CHECK(exited_with(status, 7));
    ::kill(sleeper, SIGKILL);
    CHECK(certain.get() == sleeper);
}
