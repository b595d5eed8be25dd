// What weft/barrier.hpp promises.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/barrier.hpp>
#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;

TASK_TEST("all are let go when the last one arrives, phase after phase, in the order of arrival") {
    weft::barrier gate{3};
    CHECK(gate.parties() == 3);
    std::string log;
    std::vector<weft::task<void>> tasks;
    for (const char name : {'a', 'b', 'c'})
        tasks.push_back(weft::spawn([&, name] {
            for (int phase = 0; phase < 3; ++phase) {
                log += name;
                gate.arrive_and_wait();
                log += static_cast<char>(name - 'a' + 'A');
            }
        }));
    test::settle();
    weft::joinall(tasks);
    // The last one runs on, into the next phase; then those who were let go, in their order.
    CHECK(log == "abc" "CcAaBb" "BbCcAa" "ABC");
}

TASK_TEST("exactly one participant of a phase gets each index, counted by arrival") {
    weft::barrier gate{3};
    for (int phase = 0; phase < 2; ++phase) {
        auto first = weft::spawn([&] { return gate.arrive_and_wait(); });
        auto second = weft::spawn([&] { return gate.arrive_and_wait(); });
        test::settle();
        CHECK(gate.waiting() == 2);
        CHECK(gate.arrive_and_wait() == 2);
        CHECK(first.get() == 0);
        CHECK(second.get() == 1);
        CHECK(gate.waiting() == 0);
    }
}

TASK_TEST("a barrier for one lets it through at once, and one for none cannot be made") {
    int completed = 0;
    weft::barrier alone{1, [&] { ++completed; }};
    CHECK(alone.arrive_and_wait() == 0);
    CHECK(alone.arrive_and_wait(weft::deadline::past()) == 0);
    CHECK(completed == 2);
    CHECK_THROWS_AS(weft::barrier{0}, std::invalid_argument);
    CHECK_THROWS_AS(weft::barrier{-1}, std::invalid_argument);
}

TASK_TEST("the last one runs the completion function before anybody is let go, and it may wait") {
    std::string log;
    weft::barrier gate{2, [&] {
        log += "(";
        weft::sleep_for(1s);
        log += ")";
    }};
    auto first = weft::spawn([&] {
        gate.arrive_and_wait();
        log += "first";
    });
    auto last = weft::spawn([&] {
        gate.arrive_and_wait();
        log += "last ";
    });
    test::settle();
    CHECK(log == "(");
    CHECK_FALSE(first.ready());
    test::clock.advance(1s);
    first.get();
    last.get();
    CHECK(log == "()last first");
}

TASK_TEST("who arrives while a completion function runs waits for its end and arrives then") {
    int completed = 0;
    weft::barrier gate{2, [&] {
        weft::sleep_for(1s);
        ++completed;
    }};
    std::vector<weft::task<std::size_t>> tasks;
    for (int i = 0; i < 4; ++i) tasks.push_back(weft::spawn([&] { return gate.arrive_and_wait(); }));
    auto impatient = weft::spawn([&] { return gate.arrive_and_wait(500ms); });
    test::settle();
    test::clock.advance(500ms);
    CHECK(impatient.get() == std::nullopt);  // it had not arrived: nothing is broken
    CHECK_FALSE(gate.broken());
    test::clock.advance(500ms);
    test::settle();
    CHECK(completed == 1);
    CHECK(tasks[0].ready());
    CHECK(tasks[1].ready());
    CHECK_FALSE(tasks[2].ready());
    test::clock.advance(1s);
    for (auto& t : tasks) t.join();
    CHECK(completed == 2);
    CHECK(tasks[2].get() == 0);
    CHECK(tasks[3].get() == 1);
}

TASK_TEST("a participant that times out gets nothing and breaks the barrier: the others get barrier_broken") {
    weft::barrier gate{3};
    auto late = weft::spawn([&] { return gate.arrive_and_wait(5s); });
    auto patient = weft::spawn([&] { return gate.arrive_and_wait(); });
    test::settle();
    test::clock.advance(5s);
    CHECK(late.get() == std::nullopt);
    CHECK_THROWS_AS(patient.get(), weft::barrier_broken);
    CHECK(gate.broken());
    CHECK(gate.waiting() == 0);
    CHECK_THROWS_AS(gate.arrive_and_wait(), weft::barrier_broken);
}

TASK_TEST("a deadline already past never parks, and breaks the barrier unless the caller is the last one") {
    weft::barrier gate{2};
    auto first = weft::spawn([&] { return gate.arrive_and_wait(); });
    test::settle();
    CHECK(gate.arrive_and_wait(weft::deadline::past()) == 1);
    CHECK(first.get() == 0);
    bool other_ran = false;
    auto other = weft::spawn([&] { other_ran = true; });
    CHECK(gate.arrive_and_wait(weft::deadline::past()) == std::nullopt);
    CHECK_FALSE(other_ran);
    CHECK(gate.broken());
    other.join();
}

TASK_TEST("a participant that is killed breaks the barrier, one that has been let go already does not") {
    weft::barrier gate{3};
    auto doomed = weft::spawn([&] { gate.arrive_and_wait(); });
    auto other = weft::spawn([&] { gate.arrive_and_wait(); });
    test::settle();
    doomed.kill();
    CHECK_THROWS_AS(other.get(), weft::barrier_broken);
    gate.reset();
    auto let_go = weft::spawn([&] { gate.arrive_and_wait(); });
    auto second = weft::spawn([&] { gate.arrive_and_wait(); });
    test::settle();
    gate.arrive_and_wait();
    let_go.kill();
    second.get();
    CHECK_FALSE(gate.broken());
}

TASK_TEST("abort() breaks it until reset(), which lets a new phase begin") {
    weft::barrier gate{2};
    auto waiter = weft::spawn([&] { gate.arrive_and_wait(); });
    test::settle();
    gate.abort();
    CHECK(gate.broken());
    CHECK_THROWS_AS(waiter.get(), weft::barrier_broken);
    CHECK_THROWS_AS(gate.arrive_and_wait(1s), weft::barrier_broken);
    gate.reset();
    CHECK_FALSE(gate.broken());
    auto again = weft::spawn([&] { return gate.arrive_and_wait(); });
    test::settle();
    CHECK(gate.arrive_and_wait() == 1);
    CHECK(again.get() == 0);
}

TASK_TEST("reset() sends those away who wait, and the barrier is whole") {
    weft::barrier gate{2};
    auto waiter = weft::spawn([&] { gate.arrive_and_wait(); });
    test::settle();
    gate.reset();
    CHECK_FALSE(gate.broken());
    CHECK(gate.waiting() == 0);
    CHECK_THROWS_AS(waiter.get(), weft::barrier_broken);
}

TASK_TEST("a completion function that throws breaks the barrier: its caller gets that, the others barrier_broken") {
    weft::barrier gate{2, [] { throw std::domain_error("no"); }};
    auto first = weft::spawn([&] { gate.arrive_and_wait(); });
    test::settle();
    CHECK_THROWS_AS(gate.arrive_and_wait(), std::domain_error);
    CHECK_THROWS_AS(first.get(), weft::barrier_broken);
    CHECK(gate.broken());
}

TASK_TEST("a kill in the completion function breaks the barrier, and newcomers are told") {
    weft::barrier gate{2, [] { weft::sleep_for(1h); }};
    auto first = weft::spawn([&] { gate.arrive_and_wait(); });
    auto last = weft::spawn([&] { gate.arrive_and_wait(); });
    auto newcomer = weft::spawn([&] { gate.arrive_and_wait(); });
    test::settle();
    last.kill();
    CHECK_THROWS_AS(first.get(), weft::barrier_broken);
    CHECK_THROWS_AS(newcomer.get(), weft::barrier_broken);
}

TASK_TEST("who leaves while the completion function runs breaks the phase for its caller, too") {
    int completed = 0;
    weft::barrier gate{3, [&] {
        weft::sleep_for(1s);
        ++completed;
    }};
    auto doomed = weft::spawn([&] { gate.arrive_and_wait(); });
    auto second = weft::spawn([&] { gate.arrive_and_wait(); });
    auto last = weft::spawn([&] { gate.arrive_and_wait(); });
    test::settle();
    doomed.kill();
    CHECK_THROWS_AS(second.get(), weft::barrier_broken);
    CHECK_FALSE(last.ready());
    test::clock.advance(1s);
    CHECK_THROWS_AS(last.get(), weft::barrier_broken);
    CHECK(completed == 1);
}

TASK_TEST("reset() in the middle of a completion function: newcomers begin a phase after its end") {
    int running = 0, overlaps = 0;
    weft::barrier gate{2, [&] {
        overlaps += running++ != 0;
        weft::sleep_for(1s);
        --running;
    }};
    auto first = weft::spawn([&] { gate.arrive_and_wait(); });
    auto last = weft::spawn([&] { gate.arrive_and_wait(); });
    auto newcomer = weft::spawn([&] { return gate.arrive_and_wait(); });
    test::settle();
    gate.reset();
    auto second = weft::spawn([&] { return gate.arrive_and_wait(); });
    test::settle();
    CHECK_THROWS_AS(first.get(), weft::barrier_broken);
    CHECK_FALSE(newcomer.ready());
    test::clock.advance(1s);
    CHECK_THROWS_AS(last.get(), weft::barrier_broken);
    test::settle();
    test::clock.advance(1s);
    CHECK(newcomer.get() + second.get() == 1);
    CHECK(overlaps == 0);
}

TASK_TEST("a completion function that arrives at its own barrier, and a callback that would wait, are told so") {
    bool told = false;
    std::optional<weft::barrier> gate;
    gate.emplace(1, [&] {
        try {
            gate->arrive_and_wait();
        } catch (const weft::lock_misuse&) {
            told = true;
        }
    });
    CHECK(gate->arrive_and_wait() == 0);
    CHECK(told);

    weft::barrier pair{2};
    bool refused = false;
    weft::hub::current().post([&] {
        try {
            pair.arrive_and_wait();
        } catch (const weft::blocking_in_hub&) {
            refused = true;
        }
    });
    test::settle();
    CHECK(refused);
    CHECK(pair.waiting() == 0);
    CHECK_FALSE(pair.broken());
}

TASK_TEST("random kills, deadlines, aborts and resets: every wait ends, and a phase lets all or none through") {
    for (const unsigned seed : {1u, 2u, 3u, 4u, 5u}) {
        CAPTURE(seed);
        std::mt19937 random{seed};
        constexpr std::size_t parties = 3;
        int completed = 0, passed = 0;
        weft::barrier gate{parties, [&, wait = seed % 2 == 0] {
            if (wait) weft::sleep_for(1s);
            ++completed;
        }};
        std::vector<weft::task<void>> tasks;
        std::vector<std::size_t> indices;
        for (int step = 0; step < 1500; ++step) {
            switch (random() % 8) {
                case 0: case 1: case 2: case 3:
                    tasks.push_back(weft::spawn([&, span = std::chrono::seconds{1 + random() % 20}] {
                        try {
                            if (const auto index = gate.arrive_and_wait(span)) {
                                ++passed;
                                indices.push_back(*index);
                            }
                        } catch (const weft::barrier_broken&) {
                        }
                    }));
                    break;
                case 4: test::clock.advance(1s); break;
                case 5:
                    // Settled, so that nobody is killed who has been let go.
                    test::settle();
                    if (!tasks.empty() && random() % 4 == 0)
                        (void)tasks[random() % tasks.size()].kill(weft::deadline::past());
                    break;
                case 6: if (random() % 10 == 0) gate.abort(); break;
                case 7: if (random() % 3 == 0) gate.reset(); break;
            }
            if (random() % 3 == 0) test::settle();
        }
        gate.abort();
        for (int i = 0; i < 30; ++i) {
            test::settle();
            test::clock.advance(1s);
        }
        weft::joinall(tasks);
        CHECK(passed > 0);
        CHECK(passed % parties == 0);
        CHECK(completed >= passed / static_cast<int>(parties));
        for (std::size_t i = 0; i < parties; ++i)
            CHECK(std::count(indices.begin(), indices.end(), i) == passed / static_cast<int>(parties));
        CHECK(gate.waiting() == 0);
    }
}

HUB_TEST("stress: tasks of several threads keep step, and see what was written a phase before") {
    constexpr int hubs = 3, tasks = 2;
    constexpr int phases = test::under_tsan || test::under_asan ? 100 : 400;
    constexpr int all = hubs * tasks;
    int written[all] = {};
    int completed = 0;
    std::atomic<int> wrong{0}, serial{0};
    weft::barrier gate{all, [&] { ++completed; }};
    std::vector<std::thread> threads;
    for (int h = 0; h < hubs; ++h)
        threads.emplace_back([&, h] {
            const auto work = [&](int n) {
                for (int phase = 1; phase <= phases; ++phase) {
                    written[n] = phase;
                    serial += gate.arrive_and_wait() == 0;
                    for (const int w : written) wrong += w != phase;
                    wrong += completed != 2 * phase - 1;
                    gate.arrive_and_wait();
                }
            };
            std::vector<weft::task<void>> mine;
            for (int t = 1; t < tasks; ++t) mine.push_back(weft::spawn(work, h * tasks + t));
            work(h * tasks);
            weft::joinall(mine);
        });
    for (auto& t : threads) t.join();
    CHECK(wrong == 0);
    CHECK(serial == phases);
    CHECK(completed == 2 * phases);
}

static constinit weft::barrier constant{1};

TASK_TEST("a barrier without a completion function is there before any code runs") {
    CHECK(constant.arrive_and_wait() == 0);
}
