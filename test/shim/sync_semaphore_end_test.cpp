// Semaphores in handlers of signals, before and after patching, and in kills, ends of threads and forks.
#include <atomic>
#include <optional>
#include <thread>

#include <signal.h>

#include <weft/group.hpp>
#include <weft/timeout.hpp>

#include "shim/lock_objects.hpp"
#include "shim/lockers.hpp"
#include "support/forked.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::semaphore;

namespace {

sem_t* posted_by_handler = nullptr;
std::atomic<int> handled{0};

void post(int) {
    const int before = errno;
    sem_post(posted_by_handler);
    handled.fetch_add(1);
    errno = before;
}

/// While one lives, SIGUSR2 posts.
struct posting_handler {
    explicit posting_handler(sem_t* s) {
        posted_by_handler = s;
        handled.store(0);
        struct sigaction action {};
        action.sa_handler = &post;
        action.sa_flags = SA_RESTART;
        ::sigaction(SIGUSR2, &action, &before);
    }
    ~posting_handler() { ::sigaction(SIGUSR2, &before, nullptr); }
    posting_handler(const posting_handler&) = delete;
    posting_handler& operator=(const posting_handler&) = delete;
    struct sigaction before {};
};

}  // namespace

HUB_TEST("a handler's post on top of a running task of the same thread is told") {
    const test::patched now;
    semaphore s;
    const posting_handler installed{&s.s};
    int got = 0;
    weft::group tasks;
    for (int i = 0; i < 20; ++i) {
        tasks.spawn([&] {
            CHECK(sem_wait(&s.s) == 0);
            ++got;
        });
    }
    weft::yield();
    for (int i = 1; i <= 20; ++i) {
        CHECK(::pthread_kill(::pthread_self(), SIGUSR2) == 0);
        CHECK(handled.load() == i);
        const auto end = weft::clock::now() + 5s;
        while (got < i && weft::clock::now() < end) weft::sleep_for(100us);
        CHECK(got == i);
    }
    tasks.join();
}

HUB_TEST("a handler's post while the thread sleeps, or on another thread, is told") {
    const test::patched now;
    semaphore s;
    const posting_handler installed{&s.s};
    const pthread_t here = ::pthread_self();
    for (const bool elsewhere : {false, true}) {
        for (int i = 0; i < 20; ++i) {
            std::thread sender{[&] {
                std::this_thread::sleep_for(1ms);
                ::pthread_kill(elsewhere ? ::pthread_self() : here, SIGUSR2);
            }};
            int result = sem_wait(&s.s);
            // An interruption that comes with the permit may be told first.
            while (result != 0 && errno == EINTR) result = sem_wait(&s.s);
            CHECK(result == 0);
            sender.join();
        }
    }
    CHECK(handled.load() == 40);
    CHECK(s.value() == 0);
}

HUB_TEST("posts of handlers that interrupt waits, posts and switches are all told") {
    const test::patched now;
    semaphore s, other{1};
    const posting_handler installed{&s.s};
    const pthread_t here = ::pthread_self();
    constexpr int signals = 2000;
    std::atomic<bool> stop{false};
    std::thread sender{[&] {
        for (int i = 0; i < signals; ++i) {
            const int before = handled.load();
            ::pthread_kill(here, SIGUSR2);
            while (handled.load() == before) {}
        }
    }};
    // The interrupted code stands in the same bucket's lock often.
    auto busy = weft::spawn([&] {
        while (!stop.load()) {
            for (int i = 0; i < 50; ++i) {
                sem_post(&s.s);
                while (sem_wait(&s.s) != 0) {}
                while (sem_wait(&other.s) != 0) {}
                sem_post(&other.s);
            }
            weft::yield();
        }
    });
    int got = 0;
    while (got < signals) {
        if (sem_wait(&s.s) == 0) ++got;
        else CHECK(errno == EINTR);
    }
    stop.store(true);
    busy.get();
    sender.join();
    CHECK(handled.load() == signals);
    CHECK(s.value() == 0);
}

HUB_TEST("a thread that keeps signals blocked posts to tasks, too") {
    const test::patched now;
    semaphore s;
    sigset_t some;
    sigemptyset(&some);
    sigaddset(&some, SIGWINCH);
    auto waiter = weft::spawn([&] { CHECK(sem_wait(&s.s) == 0); });
    weft::yield();
    std::thread{[&] {
        ::pthread_sigmask(SIG_BLOCK, &some, nullptr);
        CHECK(sem_post(&s.s) == 0);
    }}.join();
    CHECK(waiter.join(5s));
}

// Before and after patching.

HUB_TEST("a thread that has waited since before patching is woken by a task's post, and a task by a thread's") {
    semaphore s, answer;
    std::atomic<bool> waits{false};
    std::thread native{[&] {
        waits.store(true);
        while (sem_wait(&s.s) != 0) {}
        sem_post(&answer.s);
    }};
    while (!waits.load()) weft::sleep_for(200us);
    weft::sleep_for(2ms);
    const test::patched now;
    CHECK(sem_post(&s.s) == 0);
    CHECK(sem_wait(&answer.s) == 0);
    native.join();
}

HUB_TEST("tasks that wait for permits when everything is unpatched are served") {
    semaphore s;
    std::optional<test::patched> now;
    now.emplace();
    int got = 0;
    weft::group tasks;
    for (int i = 0; i < 4; ++i) {
        tasks.spawn([&] {
            CHECK(sem_wait(&s.s) == 0);
            ++got;
        });
    }
    weft::sleep_for(1ms);
    now.reset();
    for (int i = 0; i < 2; ++i) CHECK(sem_post(&s.s) == 0);
    std::thread{[&] {
        for (int i = 0; i < 2; ++i) CHECK(sem_post(&s.s) == 0);
    }}.join();
    tasks.join();
    CHECK(got == 4);
    CHECK(s.value() == 0);
}

// Kills, ends.

HUB_TEST("a kill or a timeout does not end the wait for a permit, and is thrown at weft's next wait") {
    for (const bool named : {true, false}) {
        const test::patched now;
        const calls& c = named ? test::named_calls() : test::plain_calls();
        semaphore s;
        int got = 0, further = 0;
        const auto wait = [&] {
            CHECK(c.sem_wait(&s.s) == 0);
            ++got;
            weft::sleep_for(1h);
            ++further;
        };
        auto killed = weft::spawn(wait);
        auto timed = weft::spawn([&] {
            const weft::timeout limit{1ms};
            wait();
        });
        weft::yield();
        killed.kill(weft::deadline::past());
        weft::sleep_for(4ms);
        CHECK(got == 0);
        for (int i = 0; i < 2; ++i) CHECK(c.sem_post(&s.s) == 0);
        CHECK(killed.join(5s));
        CHECK(timed.join(5s));
        CHECK_THROWS_AS(timed.get(), weft::timed_out);
        CHECK(got == 2);
        CHECK(further == 0);
        CHECK(s.value() == 0);
    }
}

HUB_TEST("a thread that ends leaves tasks behind that wait for a permit, and takes none with it") {
    const test::patched now;
    semaphore s;
    std::atomic<int> got{0};
    std::thread{[&] {
        const test::leaks_on_purpose leaks;
        weft::spawn([&] {
            sem_wait(&s.s);
            got.fetch_add(1);
        });
        weft::yield();
    }}.join();
    CHECK(got.load() == 0);
    auto task = weft::spawn([&] { CHECK(sem_wait(&s.s) == 0); });
    weft::yield();
    CHECK(sem_post(&s.s) == 0);
    CHECK(task.join(5s));
}

HUB_TEST("a forked child of a process whose tasks wait for permits works, its handlers' posts included") {
    const test::patched now;
    semaphore s;
    const posting_handler installed{&s.s};
    weft::group tasks;
    for (int i = 0; i < 3; ++i) tasks.spawn([&] { CHECK(sem_wait(&s.s) == 0); });
    weft::yield();
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        auto task = weft::spawn([&] {
            for (int i = 0; i < 2; ++i) while (sem_wait(&s.s) != 0) {}
        });
        weft::yield();
        sem_post(&s.s);
        ::raise(SIGUSR2);
        ::_exit(task.join(5s) ? 7 : 1);
    }
    CHECK(test::exited_with(test::end_of(child), 7));
    for (int i = 0; i < 3; ++i) CHECK(sem_post(&s.s) == 0);
    tasks.join();
    CHECK(s.value() == 0);
}
