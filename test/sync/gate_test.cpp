// The order that weft/mutex.hpp and weft/semaphore.hpp promise, within a hub and across threads.
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include <weft/mutex.hpp>
#include <weft/semaphore.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;

namespace {

/// Another thread with a hub and a clock by hand, which runs what it is told to while the caller waits. Between two
/// steps nothing runs there.
class other_hub {
public:
    other_hub() : thread_{[this] {
        weft::testing::manual_clock by_hand;
        clock_ = &by_hand;
        for (;;) {
            told_.acquire();
            if (!step_) return;
            step_();
            done_.release();
        }
    }} {}
    ~other_hub() {
        step_ = nullptr;
        told_.release();
        thread_.join();
    }
    other_hub(const other_hub&) = delete;
    other_hub& operator=(const other_hub&) = delete;

    void run(std::function<void()> step) {
        step_ = std::move(step);
        told_.release();
        done_.acquire();
    }
    /// Everything that is ready there, and what has been posted, until all are parked.
    void settle() { run([] { test::settle(); }); }
    void advance(weft::clock::duration by) {
        run([this, by] {
            clock_->advance(by);
            test::settle();
        });
    }

private:
    std::function<void()> step_;
    weft::testing::manual_clock* clock_ = nullptr;
    std::binary_semaphore told_{0}, done_{0};
    std::thread thread_;
};

/// A task of another hub that locks, says so, and waits to be told to unlock.
struct locker {
    locker(other_hub& at, weft::mutex& lock) : hub{at} {
        hub.run([this, &lock] {
            task = std::make_unique<weft::task<void>>(weft::spawn([this, &lock] {
                const std::lock_guard guard{lock};
                inside = true;
                leave.acquire();
            }));
            test::settle();
        });
    }
    void end() {
        hub.run([this] {
            leave.release();
            task->join();
            task.reset();
        });
    }
    void kill() {
        hub.run([this] {
            (void)task->kill();
            task.reset();
        });
    }

    other_hub& hub;
    std::unique_ptr<weft::task<void>> task;
    weft::semaphore leave{0};
    std::atomic<bool> inside{false};
};

}  // namespace

TASK_TEST("within a hub a loop of lock, yield, unlock lets everybody in, in the order in which they came") {
    weft::mutex lock;
    std::string order;
    std::vector<weft::task<void>> tasks;
    for (const char name : {'a', 'b', 'c'})
        tasks.push_back(weft::spawn([&, name] {
            for (int i = 0; i < 100; ++i) {
                const std::lock_guard guard{lock};
                order += name;
                weft::yield();
            }
        }));
    weft::joinall(tasks);
    std::string expected;
    for (int i = 0; i < 100; ++i) expected += "abc";
    CHECK(order == expected);
}

TASK_TEST("within a hub a permit that is given back goes to who waits, not to who asks next") {
    weft::semaphore gate{1};
    std::string order;
    std::vector<weft::task<void>> tasks;
    for (const char name : {'a', 'b'})
        tasks.push_back(weft::spawn([&, name] {
            for (int i = 0; i < 50; ++i) {
                gate.acquire();
                order += name;
                weft::yield();
                gate.release();
            }
        }));
    weft::joinall(tasks);
    std::string expected;
    for (int i = 0; i < 50; ++i) expected += "ab";
    CHECK(order == expected);
}

TASK_TEST("who has neither waited nor yielded in its section may lock again at once, until it does") {
    weft::mutex lock;
    lock.lock();
    auto quick = weft::spawn([&] {
        const std::unique_lock first{lock};
        CHECK(lock.locked());
    });
    auto busy = weft::spawn([&] {
        lock.lock();
        lock.unlock();
        for (int i = 0; i < 10; ++i) {
            CHECK_FALSE(lock.locked());  // nobody else has run
            REQUIRE(lock.try_lock());
            lock.unlock();
        }
        CHECK(lock.try_lock());
        weft::yield();
        lock.unlock();
        CHECK(lock.locked());  // it is the waiter's
        CHECK_FALSE(lock.try_lock());
    });
    test::settle();
    lock.unlock();
    bool inside = false;
    auto waiter = weft::spawn([&] {
        const std::lock_guard guard{lock};
        inside = true;
    });
    busy.get();
    waiter.get();
    quick.get();
    CHECK(inside);
    CHECK_FALSE(lock.locked());
}

TASK_TEST("who is passed in one turn and then killed leaves the lock free, and the next one its turn") {
    weft::semaphore gate{1};
    gate.acquire();
    auto busy = weft::spawn([&] {
        gate.acquire();
        gate.release();
        CHECK(gate.available() == 1);
        CHECK(gate.try_acquire());
        gate.release();
    });
    auto doomed = weft::spawn([&] { gate.acquire(); });
    auto next = weft::spawn([&] { gate.acquire(); });
    test::settle();
    gate.release();
    busy.join();
    (void)doomed.kill(weft::deadline::past());
    doomed.join();
    if (doomed.successful()) gate.release();
    next.get();
    CHECK(gate.available() == 0);
}

TASK_TEST("a running thread takes a free lock past a waiter of another hub, until that one has waited for 1 ms") {
    weft::mutex lock;
    other_hub there;
    lock.lock();
    locker waiter{there, lock};
    for (int i = 0; i < 100; ++i) {
        lock.unlock();
        REQUIRE_FALSE(lock.locked());
        REQUIRE(lock.try_lock());
    }
    there.settle();  // it has been woken to look, in vain
    lock.unlock();
    CHECK(lock.try_lock());

    there.advance(999us);
    lock.unlock();
    CHECK(lock.try_lock());

    there.advance(1us);
    lock.unlock();
    CHECK(lock.locked());  // it is the waiter's already
    CHECK_FALSE(lock.try_lock());
    there.settle();
    CHECK(waiter.inside);
    waiter.end();
    CHECK_FALSE(lock.locked());
}

TASK_TEST("a waiter whose time is up is not overtaken by newcomers that wait, either") {
    weft::mutex lock;
    other_hub there;
    lock.lock();
    locker first{there, lock};
    there.advance(1ms);
    bool second_inside = false;
    auto second = weft::spawn([&] {
        const std::lock_guard guard{lock};
        second_inside = true;
    });
    test::settle();
    lock.unlock();
    there.settle();
    test::settle();
    CHECK(first.inside);
    CHECK_FALSE(second_inside);
    first.end();
    second.get();
    CHECK(second_inside);
}

TASK_TEST("nobody passes a waiter of its own hub, not even while the lock is free and that one on its way") {
    weft::mutex lock;
    other_hub there;
    lock.lock();
    locker waiter{there, lock};
    lock.unlock();
    REQUIRE_FALSE(lock.locked());
    there.run([&] { CHECK_FALSE(lock.try_lock()); });
    CHECK(lock.try_lock());
    lock.unlock();
    there.settle();
    CHECK(waiter.inside);
    waiter.end();
}

TASK_TEST("a lock that is given back goes to a waiter of the same hub past others who have just come") {
    weft::mutex lock;
    other_hub there;
    lock.lock();
    locker waiter{there, lock};
    auto mine = weft::spawn([&] { const std::lock_guard guard{lock}; });
    test::settle();
    lock.unlock();
    CHECK(lock.locked());
    mine.get();
    there.settle();
    CHECK(waiter.inside);
    waiter.end();
}

TASK_TEST("a waiter that is killed on its way to a free lock sends the next one") {
    weft::mutex lock;
    other_hub here, there;
    lock.lock();
    locker doomed{here, lock};
    locker next{there, lock};
    lock.unlock();
    doomed.kill();
    there.settle();
    CHECK(next.inside);
    CHECK_FALSE(doomed.inside);
    next.end();
    CHECK_FALSE(lock.locked());
}

TASK_TEST("a waiter whose deadline passes on its way to a free permit sends the next one") {
    weft::semaphore gate{0};
    other_hub here, there;
    std::unique_ptr<weft::task<bool>> late, next;
    const auto wait = [&](std::unique_ptr<weft::task<bool>>& task, weft::clock::duration span) {
        task = std::make_unique<weft::task<bool>>(weft::spawn([&gate, span] { return gate.try_acquire_until(span); }));
        test::settle();
    };
    // This thread has taken one last, so the others may be overtaken.
    gate.release();
    gate.acquire();
    here.run([&] { wait(late, 500us); });
    there.run([&] { wait(next, 10s); });
    gate.release();
    here.run([&] {
        weft::semaphore none{0};
        CHECK_FALSE(none.try_acquire_until(weft::deadline::past()));
    });
    here.advance(500us);
    bool taken_late = false;
    here.run([&] {
        taken_late = late->get();
        late.reset();
    });
    there.settle();
    // Whichever of the two was in time, it is one.
    there.run([&] { CHECK(next->ready() == !taken_late); });
    if (taken_late) gate.release();
    there.run([&] {
        CHECK(next->get());
        next.reset();
    });
    CHECK(gate.available() == 0);
}

TASK_TEST("release(n) serves n waiters, whichever hubs they belong to") {
    weft::semaphore gate{1};
    gate.acquire();
    other_hub hubs[2];
    std::atomic<int> served{0};
    std::vector<weft::task<void>> tasks[2];
    for (int h = 0; h < 2; ++h)
        hubs[h].run([&, h] {
            for (int i = 0; i < 3; ++i)
                tasks[h].push_back(weft::spawn([&] {
                    gate.acquire();
                    ++served;
                }));
            test::settle();
        });
    gate.release(5);
    for (int round = 0; round < 2; ++round)
        for (auto& hub : hubs) hub.settle();
    CHECK(served == 5);
    CHECK(gate.available() == 0);
    gate.release(3);
    for (int h = 0; h < 2; ++h)
        hubs[h].run([&, h] {
            weft::joinall(tasks[h]);
            tasks[h].clear();
        });
    CHECK(served == 6);
    CHECK(gate.available() == 2);
}

HUB_TEST("whoever gives up while several permits are free takes one that it finds itself served with") {
    int lost = 0;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        const weft::testing::seeded_order order{seed};
        weft::semaphore gate{2};
        std::binary_semaphore taken{0}, leave{0}, left{0};
        std::thread other{[&] {
            const bool both = gate.try_acquire() && gate.try_acquire();
            taken.release();
            leave.acquire();
            if (both) gate.release(2);
            left.release();
        }};
        taken.acquire();
        auto patient = weft::spawn([&] { return gate.try_acquire_until(1h); });
        auto hasty = weft::spawn([&] { return gate.try_acquire_until(300us); });
        for (int i = 0; i < 3; ++i) weft::yield();
        leave.release();
        left.acquire();  // both are woken to look, and do not look before the deadline of one has passed
        for (const auto late = weft::clock::now() + 600us; weft::clock::now() < late;) {}
        patient.join();
        hasty.join();
        other.join();
        lost += gate.available() + patient.get() + hasty.get() != 2;
    }
    CHECK(lost == 0);
}
