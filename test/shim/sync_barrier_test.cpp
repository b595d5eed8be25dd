// pthread_barrier_wait and pthread_spin_lock, among tasks, hubs and plain threads.
#include <atomic>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/lot.hpp"
#include "shim/differential.hpp"
#include "support/child.hpp"
#include "support/forked.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;

namespace {

constexpr int serial = PTHREAD_BARRIER_SERIAL_THREAD;

/// With memory of its own, so that a touch after its end is seen.
class barrier {
public:
    explicit barrier(unsigned size) { REQUIRE(::pthread_barrier_init(real_.get(), nullptr, size) == 0); }
    ~barrier() { CHECK(::pthread_barrier_destroy(real_.get()) == 0); }
    pthread_barrier_t* get() const { return real_.get(); }

private:
    std::unique_ptr<pthread_barrier_t> real_ = std::make_unique<pthread_barrier_t>();
};

}  // namespace

DIFFERENTIAL("a barrier of one lets its only member through each time, as the serial one") {
    barrier b{1};
    for (int i = 0; i < 5; ++i) out("wait", [&] { return c.pthread_barrier_wait(b.get()); });
}

DIFFERENTIAL("a barrier of two: a thread comes later") {
    barrier b{2};
    int theirs = 7;
    {
        // By the same name: libc's own call would not see who waits by weft::shim's.
        const test::later other{c, 30ms, [&] { theirs = c.pthread_barrier_wait(b.get()); }};
        const int mine = out("waits", [&] { return c.pthread_barrier_wait(b.get()) * 0; });
        CHECK(mine == 0);
    }
    out.value("the other", theirs);
}

HUB_TEST("of each round exactly one member is the serial one: tasks, hubs and threads, over many rounds") {
    for (const bool named : {true, false}) {
        const test::calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        constexpr int rounds = 200, tasks = 6, threads = 2, members = 2 * tasks + threads;
        barrier b{members};
        std::vector<std::atomic<int>> come(rounds), serials(rounds);
        const auto take_part = [&] {
            for (std::size_t i = 0; i < rounds; ++i) {
                come[i].fetch_add(1);
                const int result = c.pthread_barrier_wait(b.get());
                CHECK((result == 0 || result == serial));
                if (result == serial) serials[i].fetch_add(1);
                CHECK(come[i] == members);
            }
        };
        std::vector<std::thread> others;
        others.emplace_back([&] {
            std::vector<weft::task<void>> inner;
            for (int i = 0; i < tasks; ++i) inner.push_back(weft::spawn(take_part));
            weft::joinall(inner);
        });
        for (int i = 0; i < threads; ++i) others.emplace_back(take_part);
        std::vector<weft::task<void>> here;
        for (int i = 0; i < tasks; ++i) here.push_back(weft::spawn(take_part));
        weft::joinall(here);
        for (auto& other : others) other.join();
        for (const auto& count : serials) CHECK(count == 1);
    }
}

HUB_TEST("a barrier may be destroyed by whoever comes through first") {
    const test::patched now;
    for (int round = 0; round < 100; ++round) {
        constexpr int members = 3;
        auto* const room = new pthread_barrier_t;
        REQUIRE(::pthread_barrier_init(room, nullptr, members) == 0);
        std::atomic<bool> ended{false};
        const auto take_part = [&] {
            ::pthread_barrier_wait(room);
            if (ended.exchange(true)) return;
            ::pthread_barrier_destroy(room);
            delete room;
        };
        std::thread plain{take_part};
        auto a = weft::spawn(take_part), b = weft::spawn(take_part);
        a.join();
        b.join();
        plain.join();
    }
}

HUB_TEST("a round that threads began before patching is ended by tasks, and the next ones are weft's") {
    constexpr int threads = 2, tasks = 2;
    barrier b{threads + tasks};
    std::atomic<int> serials{0}, through{0};
    const auto take_part = [&] {
        for (int i = 0; i < 3; ++i) {
            if (::pthread_barrier_wait(b.get()) == serial) serials.fetch_add(1);
            through.fetch_add(1);
        }
    };
    std::vector<std::thread> early;
    for (int i = 0; i < threads; ++i) early.emplace_back(take_part);
    weft::sleep_for(30ms);
    const test::patched now;
    test::beside_ticker ticks;
    auto first = weft::spawn(take_part);
    weft::sleep_for(20ms);
    CHECK(through == 0);
    CHECK_FALSE(first.ready());
    auto second = weft::spawn(take_part);
    first.join();
    second.join();
    for (auto& thread : early) thread.join();
    CHECK(ticks.stop() < 20ms * test::patience());
    CHECK(serials == 3);
    CHECK(through == 3 * (threads + tasks));
}

HUB_TEST("a process-shared barrier brings a task and a child together") {
    const test::patched now;
    void* const shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    auto* const b = ::new (shared) pthread_barrier_t;
    pthread_barrierattr_t attributes;
    ::pthread_barrierattr_init(&attributes);
    ::pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    REQUIRE(::pthread_barrier_init(b, &attributes, 2) == 0);
    ::pthread_barrierattr_destroy(&attributes);
    constexpr int rounds = 20;
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        ::alarm(10);
        int serials = 0;
        for (int i = 0; i < rounds; ++i) serials += ::pthread_barrier_wait(b) == serial;
        ::_exit(serials);
    }
    test::beside_ticker ticks;
    int serials = 0;
    for (int i = 0; i < rounds; ++i) serials += ::pthread_barrier_wait(b) == serial;
    CHECK(ticks.stop() < 20ms * test::patience());
    CHECK(test::exited_with(test::end_of(child), rounds - serials));
    ::munmap(shared, 4096);
}

TEST_CASE("child: fork without a task" * doctest::skip()) {
    if (!weft::monkey::patch_all()) ::_exit(2);
    static pthread_barrier_t b;
    ::pthread_barrier_init(&b, nullptr, 2);
    std::thread waiter{[] { ::pthread_barrier_wait(&b); }};
    while (!weft::detail::io::lot::anybody(&b)) std::this_thread::yield();
    const pid_t child = ::fork();
    if (child == 0) ::_exit(weft::detail::io::lot::anybody(&b) ? 1 : 7);
    int status = 0;
    ::waitpid(child, &status, 0);
    ::pthread_barrier_wait(&b);
    waiter.join();
    ::_exit(test::exited_with(status, 7) ? 0 : 1);
}

TEST_CASE("in a forked child nobody stands at a barrier, also where no thread has tasks") {
    CHECK(test::run_child({"/proc/self/exe", "--no-skip", "--test-case=child: fork without a task"}).exited_with(0));
}

HUB_TEST("a kill stays pending while a barrier or a spin lock is waited for") {
    const test::patched now;
    barrier b{2};
    pthread_spinlock_t lock;
    ::pthread_spin_init(&lock, PTHREAD_PROCESS_PRIVATE);
    ::pthread_spin_lock(&lock);
    int passed = 0;
    auto at_barrier = weft::spawn([&] {
        ::pthread_barrier_wait(b.get());
        ++passed;
        weft::sleep_for(1h);
    });
    auto at_lock = weft::spawn([&] {
        ::pthread_spin_lock(&lock);
        ++passed;
        ::pthread_spin_unlock(&lock);
        weft::sleep_for(1h);
    });
    weft::yield();
    CHECK_FALSE(at_barrier.kill(20ms));
    CHECK_FALSE(at_lock.kill(20ms));
    CHECK(passed == 0);
    ::pthread_spin_unlock(&lock);
    ::pthread_barrier_wait(b.get());
    CHECK(at_barrier.join(5s));
    CHECK(at_lock.join(5s));
    CHECK(passed == 2);
}

DIFFERENTIAL("a spin lock is taken, and again once it has been let go") {
    pthread_spinlock_t lock;
    ::pthread_spin_init(&lock, PTHREAD_PROCESS_PRIVATE);
    out("free", [&] { return c.pthread_spin_lock(&lock); });
    out.value("held", ::pthread_spin_trylock(&lock));
    {
        const test::later holder{c, 50ms, [&] { ::pthread_spin_unlock(&lock); }};
        out("held by another for a while", [&] { return c.pthread_spin_lock(&lock); });
    }
    ::pthread_spin_unlock(&lock);
}

HUB_TEST("a spin lock held across a switch makes other tasks wait, not their thread; threads exclude them, too") {
    for (const bool named : {true, false}) {
        const test::calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        pthread_spinlock_t lock;
        ::pthread_spin_init(&lock, PTHREAD_PROCESS_PRIVATE);
        int counter = 0, inside = 0;
        const auto count = [&](bool waits) {
            for (int i = 0; i < 20; ++i) {
                c.pthread_spin_lock(&lock);
                CHECK(++inside == 1);
                ++counter;
                if (waits) weft::sleep_for(100us);
                --inside;
                ::pthread_spin_unlock(&lock);
            }
        };
        test::beside_ticker ticks;
        std::vector<weft::task<void>> tasks;
        for (int i = 0; i < 5; ++i) tasks.push_back(weft::spawn(count, true));
        std::thread plain{count, false};
        std::thread hub{[&] {
            auto a = weft::spawn(count, true), b = weft::spawn(count, true);
            a.join();
            b.join();
        }};
        weft::joinall(tasks);
        CHECK(ticks.stop() < 20ms * test::patience());
        plain.join();
        hub.join();
        CHECK(counter == 8 * 20);
    }
}

TEST_CASE("child: main ends while tasks stand at barriers" * doctest::skip()) {
    test::check_no_leaks();
    if (!weft::monkey::patch_all()) ::_exit(2);
    static pthread_barrier_t here, of_processes;
    static pthread_spinlock_t lock;
    pthread_barrierattr_t attributes;
    ::pthread_barrierattr_init(&attributes);
    ::pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_barrier_init(&here, nullptr, 20);
    ::pthread_barrier_init(&of_processes, &attributes, 20);
    ::pthread_spin_init(&lock, PTHREAD_PROCESS_PRIVATE);
    ::pthread_spin_lock(&lock);
    for (int i = 0; i < 5; ++i) {
        (void)weft::spawn([] { ::pthread_barrier_wait(&here); });
        (void)weft::spawn([] { ::pthread_barrier_wait(&of_processes); });
        (void)weft::spawn([] { ::pthread_spin_lock(&lock); });
    }
    weft::sleep_for(5ms);
}

TEST_CASE("a process ends although tasks stand at barriers and spin locks that nobody will open") {
    const auto end = test::run_child({"/proc/self/exe", "--no-skip", "--test-case=child: main ends while tasks*"});
    CAPTURE(end.output);
    CHECK(end.exited_with(0));
}
