// syscall(): futex waits park, and all else is the kernel's.
#include <atomic>
#include <climits>
#include <optional>
#include <thread>
#include <vector>

#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/differential.hpp"
#include "support/forked.hpp"

using namespace std::chrono_literals;

namespace {

// weft::shim has no syscall: that run is a second one through the interposed symbol.
class patched_if_named {
public:
    explicit patched_if_named(const test::calls& c) {
        if (c.named) now_.emplace();
    }

private:
    std::optional<test::patched> now_;
};

constexpr int private_wait = FUTEX_WAIT_PRIVATE, private_wake = FUTEX_WAKE_PRIVATE;

template <class A = int, class B = int, class C = int>
long futex(void* word, int operation, A value, B timeout = {}, void* other = nullptr, C last = {}) {
    return ::syscall(SYS_futex, word, static_cast<long>(operation), static_cast<long>(value), timeout, other,
                     static_cast<long>(last));
}

timespec in(clockid_t clock, std::chrono::milliseconds span) {
    timespec when{};
    ::clock_gettime(clock, &when);
    const auto ns = when.tv_nsec + std::chrono::nanoseconds{span}.count();
    return {when.tv_sec + ns / 1'000'000'000, ns % 1'000'000'000};
}

template <class Condition>
void until(Condition holds) {
    while (!holds()) weft::sleep_for(1ms);
}

/// Some tasks and threads that wait for one word, in the order in which they were made.
class sleepers {
public:
    explicit sleepers(std::int32_t& word, std::uint32_t bits = ~0u) : word_{word}, bits_{bits} {}
    ~sleepers() {
        for (auto& thread : threads_) thread.join();
    }
    void add_task() {
        tasks_.push_back(weft::spawn([this] { sleep(woken_tasks); }));
        weft::yield();
        weft::yield();
    }
    void add_thread() {
        const auto before = asleep_.load();
        threads_.emplace_back([this] { sleep(woken_threads); });
        until([&] { return asleep_ > before; });
        weft::sleep_for(20ms);
    }
    void settle() { weft::sleep_for(20ms); }
    std::atomic<int> woken_tasks{0}, woken_threads{0};

private:
    void sleep(std::atomic<int>& woken) {
        asleep_.fetch_add(1);
        const long result = futex(&word_, FUTEX_WAIT_BITSET_PRIVATE, word_, nullptr, nullptr, bits_);
        CHECK(result == 0);
        woken.fetch_add(1);
    }
    std::int32_t& word_;
    std::uint32_t bits_;
    std::atomic<int> asleep_{0};
    std::vector<weft::task<void>> tasks_;
    std::vector<std::thread> threads_;
};

}  // namespace

DIFFERENTIAL("futex waits that end at once: a changed word, bad times, addresses, flags and bits") {
    const patched_if_named here{c};
    alignas(8) std::int32_t words[2] = {5, 0};
    auto* const odd = reinterpret_cast<char*>(words) + 1;
    auto* const nowhere = reinterpret_cast<void*>(std::uintptr_t{16});
    const timespec soon{0, 20'000'000}, negative{-1, 0}, big{0, 1'000'000'000}, low{0, -1}, none{0, 0};
    for (const int kind : {0, FUTEX_PRIVATE_FLAG}) {
        for (const int wait : {FUTEX_WAIT | kind, FUTEX_WAIT_BITSET | kind}) {
            out("changed", [&] { return futex(words, wait, 6, nullptr, nullptr, -1); });
            out("changed, with a time", [&] { return futex(words, wait, 6, &soon, nullptr, -1); });
            out("odd address", [&] { return futex(odd, wait, 6, nullptr, nullptr, -1); });
            out("odd address, with a time", [&] { return futex(odd, wait, 6, &soon, nullptr, -1); });
            out("nowhere", [&] { return futex(nowhere, wait, 6, nullptr, nullptr, -1); });
            out("null", [&] { return futex(nullptr, wait, 6, nullptr, nullptr, -1); });
            out("negative", [&] { return futex(words, wait, 5, &negative, nullptr, -1); });
            out("too many nanoseconds", [&] { return futex(words, wait, 5, &big, nullptr, -1); });
            out("too few nanoseconds", [&] { return futex(words, wait, 5, &low, nullptr, -1); });
            out("time nowhere", [&] { return futex(words, wait, 5, nowhere, nullptr, -1); });
            out("time nowhere, and changed", [&] { return futex(words, wait, 6, nowhere, nullptr, -1); });
            out("nothing", [&] { return futex(words, wait, 5, &none, nullptr, -1); });
            out("by the other clock", [&] { return futex(words, wait | FUTEX_CLOCK_REALTIME, 5, &none, nullptr, -1); });
        }
        out("no bits", [&] { return futex(words, FUTEX_WAIT_BITSET | kind, 5, nullptr, nullptr, 0); });
        out("no bits, with a time", [&] { return futex(words, FUTEX_WAIT_BITSET | kind, 5, &soon, nullptr, 0); });
        out("no bits to wake", [&] { return futex(words, FUTEX_WAKE_BITSET | kind, 1, nullptr, nullptr, 0); });
        out("nobody to wake", [&] { return futex(words, FUTEX_WAKE | kind, INT_MAX); });
        out("wake an odd address", [&] { return futex(odd, FUTEX_WAKE | kind, 1); });
        out("wake nowhere", [&] { return futex(nowhere, FUTEX_WAKE | kind, 1); });
        out("requeue nobody", [&] { return futex(words, FUTEX_REQUEUE | kind, 1, 1L, words + 1); });
        out("requeue less than nobody", [&] { return futex(words, FUTEX_REQUEUE | kind, -1, 1L, words + 1); });
        out("compare and requeue", [&] { return futex(words, FUTEX_CMP_REQUEUE | kind, 1, 1L, words + 1, 6); });
        out("no such operation", [&] { return futex(words, 77 | kind, 1); });
        out("a clock where none belongs", [&] { return futex(words, FUTEX_WAKE | FUTEX_CLOCK_REALTIME | kind, 1); });
        out("unlock what nobody holds", [&] { return futex(words, FUTEX_UNLOCK_PI | kind, 0); });
    }
}

DIFFERENTIAL("futex waits last until their time: a span, or a point of one of two clocks") {
    const patched_if_named here{c};
    std::int32_t word = 5;
    const timespec span{0, 60'000'000};
    for (const int kind : {0, FUTEX_PRIVATE_FLAG}) {
        out("a span", [&] { return futex(&word, FUTEX_WAIT | kind, 5, &span); });
        out("a span, realtime", [&] { return futex(&word, FUTEX_WAIT | FUTEX_CLOCK_REALTIME | kind, 5, &span); });
        const timespec steady = in(CLOCK_MONOTONIC, 60ms);
        out("until", [&] { return futex(&word, FUTEX_WAIT_BITSET | kind, 5, &steady, nullptr, -1); });
        out("until, past", [&] { return futex(&word, FUTEX_WAIT_BITSET | kind, 5, &steady, nullptr, -1); });
        const timespec real = in(CLOCK_REALTIME, 60ms);
        const int by_real = FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME | kind;
        out("until, realtime", [&] { return futex(&word, by_real, 5, &real, nullptr, 1); });
        out("until, realtime, past", [&] { return futex(&word, by_real, 5, &real, nullptr, 1); });
        out.value("it has come", in(CLOCK_REALTIME, 0ms).tv_sec >= real.tv_sec);
    }
}

namespace {

// SIGUSR1 goes to the thread while it waits.
void interrupted(const test::calls& c, test::journal& out, int flags) {
    const patched_if_named here{c};
    std::int32_t word = 5;
    const timespec span{0, 150'000'000};
    for (const int kind : {0, FUTEX_PRIVATE_FLAG}) {
        {
            const test::alarm_clock alarm{50ms, flags};
            out("with a time", [&] { return futex(&word, FUTEX_WAIT | kind, 5, &span); });
        }
        {
            const test::alarm_clock alarm{50ms, flags};
            const timespec until = in(CLOCK_MONOTONIC, 150ms);
            out("until", [&] { return futex(&word, FUTEX_WAIT_BITSET | kind, 5, &until, nullptr, -1); });
        }
        word = 5;
        const test::alarm_clock alarm{50ms, flags};
        const test::later waker{c, 150ms, [&] {
            __atomic_store_n(&word, 6, __ATOMIC_SEQ_CST);
            futex(&word, FUTEX_WAKE | kind, 1);
        }};
        out("without", [&] { return futex(&word, FUTEX_WAIT | kind, 5); });
        until([&] { return __atomic_load_n(&word, __ATOMIC_SEQ_CST) == 6; });
        word = 5;
    }
}

}  // namespace

DIFFERENTIAL_ALONE("a handler without SA_RESTART ends futex waits with EINTR") { interrupted(c, out, 0); }
DIFFERENTIAL_ALONE("with SA_RESTART only futex waits with a time end with EINTR") { interrupted(c, out, SA_RESTART); }

HUB_TEST("wake-ups reach tasks first, in their order, then threads, and their numbers are exact") {
    const test::patched now;
    std::int32_t word = 0;
    sleepers all{word};
    for (int i = 0; i < 2; ++i) all.add_thread();
    for (int i = 0; i < 3; ++i) all.add_task();
    CHECK(futex(&word, private_wake, 1) == 1);
    all.settle();
    CHECK(all.woken_tasks == 1);
    CHECK(all.woken_threads == 0);
    CHECK(futex(&word, private_wake, 3) == 3);
    all.settle();
    CHECK(all.woken_tasks == 3);
    CHECK(all.woken_threads == 1);
    all.add_task();
    CHECK(futex(&word, private_wake, INT_MAX) == 2);
    CHECK(futex(&word, private_wake, INT_MAX) == 0);
    all.settle();
    CHECK(all.woken_tasks == 4);
    CHECK(all.woken_threads == 2);
    // As the kernel, which looks at the number after the first.
    all.add_task();
    CHECK(futex(&word, private_wake, 0) == 1);
    all.add_task();
    CHECK(futex(&word, private_wake, -1) == 1);
}

HUB_TEST("FUTEX_WAKE_BITSET reaches those who share a bit with it") {
    const test::patched now;
    std::int32_t word = 0;
    sleepers ones{word, 1}, twos{word, 2};
    ones.add_thread();
    for (int i = 0; i < 2; ++i) ones.add_task(), twos.add_task();
    const auto wake = [&](int most, std::uint32_t bits) {
        return futex(&word, FUTEX_WAKE_BITSET_PRIVATE, most, nullptr, nullptr, bits);
    };
    CHECK(wake(INT_MAX, 4) == 0);
    CHECK(wake(1, 2) == 1);
    CHECK(wake(INT_MAX, 1) == 3);
    ones.settle();
    CHECK(ones.woken_tasks == 2);
    CHECK(ones.woken_threads == 1);
    CHECK(twos.woken_tasks == 1);
    CHECK(futex(&word, private_wake, INT_MAX) == 1);
}

HUB_TEST("FUTEX_REQUEUE and FUTEX_CMP_REQUEUE wake some and move others, tasks and threads") {
    const test::patched now;
    std::int32_t words[2] = {0, 0};
    sleepers all{words[0]};
    all.add_thread();
    for (int i = 0; i < 4; ++i) all.add_task();
    errno = 0;
    CHECK(futex(words, FUTEX_CMP_REQUEUE_PRIVATE, 1, 1L, words + 1, 9) == -1);
    CHECK(errno == EAGAIN);
    CHECK(futex(words, FUTEX_REQUEUE_PRIVATE, -1, 1L, words + 1) == -1);
    CHECK(errno == EINVAL);
    CHECK(futex(words, FUTEX_REQUEUE_PRIVATE, 1, 1L, reinterpret_cast<char*>(words) + 1) == -1);
    CHECK(errno == EINVAL);
    // Onto itself: counted, and all stay.
    CHECK(futex(words, FUTEX_REQUEUE_PRIVATE, 0, INT_MAX, words) == 5);
    CHECK(futex(words, FUTEX_CMP_REQUEUE_PRIVATE, 1, 2L, words + 1, 0) == 3);
    all.settle();
    CHECK(all.woken_tasks == 1);
    CHECK(futex(words + 1, private_wake, 1) == 1);
    CHECK(futex(words, FUTEX_REQUEUE_PRIVATE, 0, INT_MAX, words + 1) == 2);
    CHECK(futex(words, private_wake, INT_MAX) == 0);
    CHECK(futex(words + 1, private_wake, INT_MAX) == 3);
    all.settle();
    CHECK(all.woken_tasks == 4);
    CHECK(all.woken_threads == 1);
}

HUB_TEST("FUTEX_WAKE_OP changes the second word, wakes at the first, and at the second if the old value was as asked") {
    const test::patched now;
    std::int32_t words[2] = {0, 0};
    sleepers first{words[0]}, second{words[1]};
    for (int i = 0; i < 3; ++i) first.add_task();
    const auto wake_op = [&](int operation, int argument, int comparison, int compared, long most, long most_there) {
        return futex(words, FUTEX_WAKE_OP_PRIVATE, most, most_there, words + 1,
                     FUTEX_OP(operation, argument, comparison, compared));
    };
    for (int i = 0; i < 3; ++i) second.add_task();
    second.add_thread();
    CHECK(wake_op(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_GT, 0, 1, 1) == 1);  // 0 was not
    CHECK(words[1] == 3);
    CHECK(wake_op(FUTEX_OP_ADD, -1 & 0xfff, FUTEX_OP_CMP_EQ, 3, 1, 2) == 3);
    CHECK(words[1] == 2);
    CHECK(wake_op(FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT, 4, FUTEX_OP_CMP_NE, 2, 1, 2) == 1);
    CHECK(words[1] == 18);
    CHECK(wake_op(FUTEX_OP_ANDN, 2, FUTEX_OP_CMP_LE, 18, 5, INT_MAX) == 2);
    CHECK(words[1] == 16);
    second.add_task();
    CHECK(wake_op(FUTEX_OP_XOR, 17, FUTEX_OP_CMP_LT, -5 & 0xfff, 1, 1) == 0);
    CHECK(words[1] == 1);
    CHECK(wake_op(FUTEX_OP_SET, 7, FUTEX_OP_CMP_GE, 1, 1, 1) == 1);
    CHECK(words[1] == 7);
    first.settle();
    CHECK(first.woken_tasks == 3);
    CHECK(second.woken_tasks == 4);
    CHECK(second.woken_threads == 1);

    first.add_task();
    void* const read_only = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(read_only != MAP_FAILED);
    errno = 0;
    CHECK(futex(words, FUTEX_WAKE_OP_PRIVATE, 1, 1L, read_only, FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0)) == -1);
    CHECK(errno == EFAULT);
    ::munmap(read_only, 4096);
    CHECK(futex(words, FUTEX_WAKE_OP_PRIVATE, 1, 1L, words + 1, 6u << 28) == -1);
    CHECK(errno == ENOSYS);
    CHECK(futex(words, private_wake, 1) == 1);
}

HUB_TEST("a shared futex that another process changes is noticed within a second, a wake-up of this one at once") {
    const test::patched now;
    void* const shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    auto* const words = static_cast<std::int32_t*>(shared);
    auto by_other = weft::spawn([&] { return futex(words, FUTEX_WAIT, 0); });
    auto by_us = weft::spawn([&] { return futex(words + 1, FUTEX_WAIT, 0); });
    weft::sleep_for(30ms);
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        __atomic_store_n(words, 1, __ATOMIC_SEQ_CST);
        futex(words, FUTEX_WAKE, 1);
        ::_exit(7);
    }
    CHECK(test::exited_with(test::end_of(child), 7));
    CHECK(by_other.join(3s));
    CHECK(by_other.get() == 0);
    CHECK_FALSE(by_us.ready());
    // Without a change of the word, too.
    CHECK(futex(words + 1, FUTEX_WAKE, 1) == 1);
    CHECK(by_us.get() == 0);
    ::munmap(shared, 4096);
}

HUB_TEST("no wake-up of a shared futex gets lost between two looks at it") {
    const test::patched now;
    std::int32_t word = 0;
    std::atomic<int> rounds{0}, asked{0};
    constexpr int all = 100;
    std::thread waker{[&] {
        // The word never changes: only the wake-up tells.
        for (int i = 0; i < all; ++i) {
            while (asked == i) std::this_thread::yield();
            if (i % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds{9'800 + 10 * i});
            while (futex(&word, FUTEX_WAKE, 1) != 1) std::this_thread::yield();
        }
    }};
    for (int i = 0; i < all; ++i) {
        asked.fetch_add(1);
        CHECK(futex(&word, FUTEX_WAIT, 0) == 0);
        rounds.fetch_add(1);
    }
    waker.join();
    CHECK(rounds == all);
}

HUB_TEST("a kill stays pending while a futex is waited for") {
    const test::patched now;
    std::int32_t word = 0;
    long result = -1;
    auto task = weft::spawn([&] {
        result = futex(&word, private_wait, 0);
        weft::sleep_for(1h);
    });
    weft::yield();
    CHECK_FALSE(task.kill(20ms));
    CHECK(result == -1);
    CHECK(futex(&word, private_wake, 1) == 1);
    CHECK(task.join(5s));
    CHECK(result == 0);
}

DIFFERENTIAL("syscall passes on every other number with all six arguments, and its errno") {
    const patched_if_named here{c};
    out("no such call", [&] { return ::syscall(100'000L); });
    out("negative number", [&] { return ::syscall(-1L); });
    out("getpid", [&] { return ::syscall(SYS_getpid) == ::getpid(); });
    out("bad descriptor", [&] { return ::syscall(SYS_close, -1L); });
    const long size = 4096;
    const long at = ::syscall(SYS_mmap, nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1L, 0L);
    REQUIRE(at != -1);
    *reinterpret_cast<char*>(at) = 1;
    out("munmap", [&] { return ::syscall(SYS_munmap, at, size); });
    // The sixth argument counts: an offset off the page.
    out("mmap", [&] { return ::syscall(SYS_mmap, nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1L, 1L); });
    const int fd = ::eventfd(1, 0);
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(fd, &readable);
    sigset_t none;
    sigemptyset(&none);
    struct {
        const sigset_t* set;
        std::size_t bytes;
    } mask{&none, 8}, bad{&none, 3};
    const auto pselect6 = [&](const auto* how) { return ::syscall(SYS_pselect6, fd + 1, &readable, nullptr, nullptr, nullptr, how); };
    out("pselect6", [&] { return pselect6(&mask); });
    out("pselect6, a bad mask", [&] { return pselect6(&bad); });
    ::close(fd);
}
