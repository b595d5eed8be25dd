// What io/lot.hpp promises of turns at a lock: order, giving up, handlers of signals, forks and the end of a thread.
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <signal.h>
#include <unistd.h>

#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "io/plain_lock.hpp"
#include "support/forked.hpp"
#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::for_ever;
using test::plain_lock;
using test::settle_all;
namespace io = weft::detail::io;
namespace lot = io::lot;

namespace {

template <class Condition>
void until(Condition holds) {
    while (!holds()) weft::sleep_for(1ms);
}

std::atomic<plain_lock*> given_by_handler{nullptr};

}  // namespace

HUB_TEST("turns come in the order of asking, and nobody stands in line afterwards") {
    plain_lock lock;
    CHECK(lock.lock() == io::outcome::ready);
    CHECK_FALSE(lot::anybody(&lock));
    std::string log;
    std::vector<weft::task<void>> tasks;
    for (const char name : {'a', 'b', 'c', 'd'})
        tasks.push_back(weft::spawn([&, name] {
            CHECK(lock.lock() == io::outcome::ready);
            log += name;
            weft::yield();
            lock.give();
        }));
    weft::yield();
    CHECK(lot::anybody(&lock));
    CHECK(log.empty());
    lock.give();
    weft::joinall(tasks);
    CHECK(log == "abcd");
    CHECK_FALSE(lot::anybody(&lock));
}

HUB_TEST("a newcomer may pass a sleeper once; behind one that has been passed it waits, but for who may pass always") {
    plain_lock lock;
    CHECK(lock.lock() == io::outcome::ready);
    bool has_it = false;
    auto waits = weft::spawn([&] {
        CHECK(lock.lock() == io::outcome::ready);
        has_it = true;
        lock.give();
    });
    weft::yield();
    lock.give();
    CHECK(lock.lock() == io::outcome::ready);  // passes
    settle_all();                                  // the sleeper has tried in vain
    CHECK_FALSE(has_it);
    lock.give();
    CHECK(lock.lock(weft::deadline::after(0ns), false, true) == io::outcome::ready);
    CHECK_FALSE(has_it);
    settle_all();
    lock.give();
    CHECK(lock.lock() == io::outcome::ready);  // behind it
    CHECK(has_it);
    lock.give();
    waits.join();
}

HUB_TEST("who gives up takes nothing with it: what it was told is for the next") {
    for (const bool killed : {false, true}) {
        plain_lock lock;
        CHECK(lock.lock() == io::outcome::ready);
        // It may still have got it at last: then it is its duty to give it back.
        auto gives_up = weft::spawn([&] {
            if (lock.lock(weft::deadline::after(killed ? 1h : 5ms), true) == io::outcome::ready) lock.give();
        });
        bool has_it = false;
        auto next = weft::spawn([&] {
            CHECK(lock.lock() == io::outcome::ready);
            has_it = true;
        });
        weft::yield();
        if (killed) (void)gives_up.kill(0s);
        else until([&] { return gives_up.ready(); });
        lock.give();
        CHECK(gives_up.join(5s));
        CHECK(next.join(5s));
        CHECK(has_it);
        CHECK_FALSE(lot::anybody(&lock));
    }
}

HUB_TEST("a wait that time or a kill ends still takes what is there by then") {
    plain_lock lock;
    CHECK(lock.lock() == io::outcome::ready);
    auto task = weft::spawn([&] { return lock.lock(weft::deadline::after(10ms)); });
    weft::yield();
    lock.room = 1;  // nobody is told
    CHECK(task.get() == io::outcome::ready);
    auto late = weft::spawn([&] { return lock.lock(weft::deadline::after(10ms)); });
    CHECK(late.get() == io::outcome::timed_out);
    CHECK_FALSE(lot::anybody(&lock));
}

HUB_TEST("what cannot be killed goes on waiting") {
    plain_lock lock;
    CHECK(lock.lock() == io::outcome::ready);
    auto task = weft::spawn([&] { return lock.lock(); });
    weft::yield();
    CHECK_FALSE(task.kill(5ms));
    lock.give();
    CHECK(task.join(5s));
}

HUB_TEST("one that has got its turn lets the next have one while there is more") {
    plain_lock lock;
    lock.room = 0;
    int through = 0;
    std::vector<weft::task<void>> tasks;
    for (int i = 0; i < 5; ++i)
        tasks.push_back(weft::spawn([&] {
            CHECK(lock.lock() == io::outcome::ready);
            ++through;
        }));
    settle_all();
    lock.give(3);
    settle_all();
    settle_all();
    CHECK(through == 3);
    lock.give(2);
    weft::joinall(tasks);
}

HUB_TEST("with a span for it, a sleeper looks again although nobody tells it") {
    plain_lock lock;
    lock.room = 0;
    lot::turn mine{plain_lock::attempt, &lock};
    mine.again = 2ms;
    auto task = weft::spawn([&] { return lot::take_turn(&lock, mine, for_ever); });
    weft::sleep_for(5ms);
    CHECK_FALSE(task.ready());
    lock.room = 1;
    CHECK(task.join(5s));
    auto limited = weft::spawn([&] {
        io::manner how = for_ever;
        how.by = weft::deadline::after(20ms);
        return lot::take_turn(&lock, mine, how);
    });
    CHECK(limited.get() == io::outcome::timed_out);
}

HUB_TEST("mutual exclusion and progress: tasks of three hubs and threads that do not park") {
    plain_lock lock;
    std::atomic<bool> held{false};
    std::atomic<int> turns{0};
    const auto inside = [&] {
        CHECK_FALSE(held.exchange(true));
        turns.fetch_add(1);
        held = false;
    };
    constexpr int tasks = 20, each = 50;
    const auto run_tasks = [&] {
        std::vector<weft::task<void>> all;
        for (int i = 0; i < tasks; ++i)
            all.push_back(weft::spawn([&] {
                std::minstd_rand random{static_cast<unsigned>(turns.load()) + 1};
                for (int k = 0; k < each; ++k) {
                    // Some give up at some times, and try again.
                    const auto patience = [&] { return random() % 3 == 0 ? weft::deadline::after(50us) : weft::deadline::never(); };
                    while (lock.lock(patience()) != io::outcome::ready) {}
                    inside();
                    lock.give();
                }
            }));
        weft::joinall(all);
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) threads.emplace_back(run_tasks);
    threads.emplace_back([&] {
        for (int k = 0; k < each; ++k) {
            lot::give_way(&lock);
            while (!plain_lock::attempt(&lock)) std::this_thread::yield();
            inside();
            lock.give();
        }
    });
    run_tasks();
    for (auto& thread : threads) thread.join();
    CHECK(turns == 3 * tasks * each + each);
    CHECK_FALSE(lot::anybody(&lock));
}

HUB_TEST("summon_safely() in a handler of a signal reaches the sleeper, whatever it interrupts") {
    REQUIRE(lot::start_courier() == 0);
    plain_lock lock;
    lock.room = 0;
    given_by_handler = &lock;
    struct sigaction action {}, before {};
    action.sa_handler = [](int) {
        plain_lock& given = *given_by_handler.load();
        given.room.fetch_add(1);
        lot::summon_safely(&given);
    };
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGUSR1, &action, &before);
    int taken = 0;
    constexpr int all = 200;
    auto taker = weft::spawn([&] {
        for (; taken < all; ++taken) CHECK(lock.lock() == io::outcome::ready);
    });
    weft::yield();
    for (int i = 0; i < all; ++i) {
        ::raise(SIGUSR1);
        if (i % 16 == 0) weft::yield();
    }
    CHECK(taker.join(10s));
    ::sigaction(SIGUSR1, &before, nullptr);
}

HUB_TEST("in a forked child nobody sleeps in the lot, and it works as before") {
    if (test::under_tsan) return;  // which sees no synchronisation in such a child
    plain_lock lock;
    lock.room = 0;
    std::vector<weft::task<void>> sleeping;
    for (int i = 0; i < 5; ++i) sleeping.push_back(weft::spawn([&] { (void)lock.lock(); }));
    std::atomic<bool> stop{false};
    plain_lock busy;
    std::thread user{[&] {  // so that buckets are locked now and then
        weft::yield();
        while (!stop) {
            auto other = weft::spawn([&] { (void)busy.lock(weft::deadline::after(10us)); });
            (void)busy.lock();
            busy.give();
            other.join();
            busy.room = 1;
        }
    }};
    settle_all();
    for (int i = 0; i < 10; ++i) {
        const pid_t child = test::fork_flushed();
        if (child == 0) {
            ::alarm(10);
            if (lot::anybody(&lock)) ::_exit(1);
            if (lot::start_courier() != 0) ::_exit(2);
            auto mine = weft::spawn([&] { return lock.lock(); });
            weft::yield();
            if (!lot::anybody(&lock)) ::_exit(3);
            lock.give();
            ::_exit(mine.get() == io::outcome::ready ? 7 : 4);
        }
        CHECK(test::exited_with(test::end_of(child), 7));
    }
    stop = true;
    user.join();
    lock.give(5);
    weft::joinall(sleeping);
}

HUB_TEST("a thread ends while its tasks stand in line: they leave it, or take what is given to them meanwhile") {
    plain_lock lock, other;
    lock.room = other.room = 0;
    std::atomic<int> taken{0}, standing{0};
    std::thread owner{[&] {
        for (int i = 0; i < 3; ++i)
            (void)weft::spawn([&] {
                standing.fetch_add(1);
                if (lock.lock() == io::outcome::ready) taken.fetch_add(1);
            });
        (void)weft::spawn([&] { CHECK(other.lock(weft::deadline::never(), true) == io::outcome::killed); });
        settle_all();
    }};
    until([&] { return standing == 3; });
    weft::sleep_for(20ms);
    lock.give(3);
    owner.join();
    CHECK(taken == 3);
    CHECK_FALSE(lot::anybody(&lock));
    CHECK_FALSE(lot::anybody(&other));
}
