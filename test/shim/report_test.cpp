// What monkey::report() counts.
#include <netdb.h>

#include <weft/monkey_report.hpp>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"
#include "support/child.hpp"

using namespace std::chrono_literals;
namespace monkey = weft::monkey;

namespace {

/// Counts for as long as it lives, from 0.
struct counted {
    counted() {
        monkey::forget_counts();
        monkey::count_calls();
    }
    ~counted() { monkey::count_calls(false); }
};

monkey::call_count count_of(const std::string& name) {
    for (monkey::call_count& c : monkey::report())
        if (c.name == name) return c;
    return {};
}

void in_task(const std::function<void()>& body) { weft::spawn(body).get(); }

}  // namespace

HUB_TEST("nothing is counted before it is asked for, nor when it is no more") {
    monkey::forget_counts();
    const test::patched now;
    CHECK_FALSE(monkey::counts_calls());
    in_task([] { ::usleep(10); });
    CHECK(monkey::report().empty());
    { const counted during; }
    in_task([] { ::usleep(10); });
    CHECK(monkey::report().empty());
}

HUB_TEST("a call is counted once, by how it ended") {
    const test::patched now;
    auto p = test::pipe_pair();
    char b;
    const counted from_now;
    in_task([&] {
        CHECK(::write(p[1], "abc", 3) == 3);
        CHECK(::read(p[0], &b, 1) == 1);
        CHECK(::read(p[0], &b, 1) == 1);
        const monkey::native_scope native;
        CHECK(::read(p[0], &b, 1) == 1);
    });
    auto reader = weft::spawn([&] { CHECK(::read(p[0], &b, 1) == 1); });
    weft::sleep_for(2ms);
    CHECK(count_of("read").parked == 0);  // it has not ended
    CHECK(::write(p[1], "d", 1) == 1);
    reader.get();
    std::thread{[&] {
        CHECK(::write(p[1], "e", 1) == 1);
        CHECK(::read(p[0], &b, 1) == 1);
    }}.join();
    const auto reads = count_of("read");
    CHECK(reads.parked == 1);
    CHECK(reads.direct == 2);
    CHECK(reads.passed == 2);
    CHECK(reads.pooled == 0);
    CHECK(count_of("write").direct == 2);
    CHECK(count_of("write").passed == 1);
}

HUB_TEST("a call that a pool answers is counted as such, and calls that never park, too") {
    const test::patched now;
    const counted from_now;
    in_task([] {
        addrinfo* found = nullptr;
        if (::getaddrinfo("localhost", nullptr, nullptr, &found) == 0) ::freeaddrinfo(found);
        CHECK(::close(::dup(0)) == 0);
    });
    CHECK(count_of("getaddrinfo").pooled == 1);
    CHECK(count_of("getaddrinfo").parked == 0);
    CHECK(count_of("dup").direct == 1);
    CHECK(count_of("close").direct == 1);
}

HUB_TEST("calls of areas that are not patched are counted as libc's, and those by weft::shim's names as weft's") {
    monkey::unpatch_all();
    const counted from_now;
    in_task([] {
        ::usleep(100);
        weft::shim::usleep(100);
    });
    CHECK(count_of("usleep").passed == 1);
    CHECK(count_of("usleep").parked == 1);
}

HUB_TEST("a call that throws is counted, too") {
    const counted from_now;
    auto sleeper = weft::spawn([] { weft::shim::sleep(1000); });
    weft::sleep_for(2ms);
    CHECK(sleeper.kill(1s));
    CHECK(count_of("sleep").parked == 1);
}

HUB_TEST("the longest block is of the thread: what a call waits for in a native scope, and not what it parks for") {
    const test::patched now;
    const counted from_now;
    in_task([] { ::usleep(50'000); });
    CHECK(count_of("usleep").longest_block < 40ms);
    in_task([] {
        const monkey::native_scope native;
        ::usleep(20'000);
    });
    CHECK(count_of("usleep").longest_block >= 20ms);
    std::thread{[] { ::usleep(100'000); }}.join();
    CHECK(count_of("usleep").longest_block < 100ms);
}

HUB_TEST("what others keep the thread for while a call is parked is no block of that call") {
    const test::patched now;
    auto p = test::pipe_pair();
    const counted from_now;
    auto reader = weft::spawn([&] {
        char b;
        CHECK(::read(p[0], &b, 1) == 1);
    });
    weft::sleep_for(2ms);
    const auto until = std::chrono::steady_clock::now() + 30ms;
    while (std::chrono::steady_clock::now() < until) {
    }
    CHECK(::write(p[1], "a", 1) == 1);
    reader.get();
    CHECK(count_of("read").longest_block < 25ms);
}

HUB_TEST("of locks the waits are counted, and a condition's wait is none of the thread's time") {
    const test::patched now;
    const counted from_now;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t told = PTHREAD_COND_INITIALIZER;
    bool done = false;
    in_task([&] {
        CHECK(::pthread_mutex_lock(&lock) == 0);
        CHECK(::pthread_mutex_unlock(&lock) == 0);
    });
    CHECK(count_of("pthread_mutex_lock").direct == 0);
    CHECK(::pthread_mutex_lock(&lock) == 0);
    auto waiter = weft::spawn([&] {
        CHECK(::pthread_mutex_lock(&lock) == 0);
        while (!done) CHECK(::pthread_cond_wait(&told, &lock) == 0);
        CHECK(::pthread_mutex_unlock(&lock) == 0);
    });
    weft::sleep_for(5ms);
    CHECK(::pthread_mutex_unlock(&lock) == 0);
    weft::sleep_for(60ms);
    CHECK(::pthread_mutex_lock(&lock) == 0);
    done = true;
    CHECK(::pthread_cond_signal(&told) == 0);
    weft::sleep_for(60ms);  // woken, it waits for the lock
    CHECK(::pthread_mutex_unlock(&lock) == 0);
    waiter.get();
    CHECK(count_of("pthread_mutex_lock").parked >= 1);
    CHECK(count_of("pthread_cond_wait").parked == 1);
    CHECK(count_of("pthread_cond_wait").longest_block < 50ms);
}

HUB_TEST("errno is what it is without being counted") {
    const test::patched now;
    const counted from_now;
    in_task([] {
        errno = 77;
        CHECK(::close(::dup(0)) == 0);
        CHECK(errno == 77);
        CHECK(::close(-1) == -1);
        CHECK(errno == EBADF);
    });
    std::thread{[] {
        CHECK(::close(-1) == -1);
        CHECK(errno == EBADF);
    }}.join();
}

TEST_CASE("with WEFT_REPORT set, the process counts from its start, and prints the counts when it exits") {
    if (std::getenv("WEFT_TEST_COUNTED")) {
        const test::patched now;
        CHECK(monkey::counts_calls() == (std::getenv("WEFT_REPORT") == std::string{"1"}));
        in_task([] { ::usleep(10); });
        return;
    }
    const std::vector<std::string> command{"/proc/self/exe", "-tc=with WEFT_REPORT set*"};
    const auto end = test::run_child(command, {"WEFT_REPORT=1", "WEFT_TEST_COUNTED=1"});
    CHECK(end.exited_with(0));
    CHECK(end.says("weft: call"));
    CHECK(end.says("longest block"));
    CHECK(end.says("usleep"));
    const auto silent = test::run_child(command, {"WEFT_REPORT=0", "WEFT_TEST_COUNTED=1"});
    CHECK(silent.exited_with(0));
    CHECK_FALSE(silent.says("longest block"));
}
