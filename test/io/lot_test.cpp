// What io/lot.hpp promises of lines by address, whose sleepers are woken.
#include <climits>
#include <string>
#include <vector>

#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "io/plain_lock.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::for_ever;
using test::settle_all;
namespace io = weft::detail::io;
namespace lot = io::lot;

namespace {

bool yes(void*) { return true; }
bool no(void*) { return false; }

/// Stands in a line in a task of its own, which notes its name as it is taken.
weft::task<void> sleeper(const void* at, std::string& log, char name, std::uint32_t bits = ~0u) {
    auto task = weft::spawn([at, &log, name, bits] {
        lot::fiber_sleeper me{at, bits};
        lot::line_up(me);
        CHECK(me.wait(for_ever) == io::outcome::ready);
        log += name;
    });
    weft::yield();
    return task;
}

/// Another address of the same bucket.
const void* neighbour(const void* address) {
    for (auto* at = static_cast<const char*>(address) + 1;; ++at)
        if (&lot::bucket_of(at) == &lot::bucket_of(address)) return at;
}

}  // namespace

HUB_TEST("awaken() takes the first so many of an address, in order, who share a bit, and says how many") {
    const int at[1] = {};
    std::string log, others;
    std::vector<weft::task<void>> tasks;
    auto beside = sleeper(neighbour(at), others, 'n');
    for (const char name : {'a', 'b', 'c', 'd'}) tasks.push_back(sleeper(at, log, name, name == 'b' ? 2 : 1));
    CHECK(lot::awaken(at, 0, ~0u) == 0);
    CHECK(lot::awaken(at, 1, 4) == 0);
    CHECK(lot::awaken(at, 1, ~0u) == 1);
    settle_all();
    CHECK(log == "a");
    CHECK(lot::awaken(at, 2, 1) == 2);
    settle_all();
    CHECK(log == "acd");
    CHECK(lot::awaken(at, INT_MAX, ~0u) == 1);
    weft::joinall(tasks);
    CHECK(log == "acdb");
    CHECK(others.empty());
    CHECK(lot::awaken(neighbour(at), INT_MAX, ~0u) == 1);
    beside.join();
}

HUB_TEST("line_up_if() stands in line only if nothing has changed") {
    const int at = 0;
    lot::fiber_sleeper me{&at};
    CHECK_FALSE(lot::line_up_if(me, no, nullptr));
    CHECK_FALSE(lot::anybody(&at));
    CHECK(lot::line_up_if(me, yes, nullptr));
    CHECK(lot::anybody(&at));
    CHECK(lot::step_out(me));
    CHECK_FALSE(lot::anybody(&at));
    lot::fiber_sleeper taken{&at};
    lot::line_up(taken);
    CHECK(lot::awaken(&at, 1, ~0u) == 1);
    CHECK_FALSE(lot::step_out(taken));
}

HUB_TEST("a sleeper dozes on where it stands, and leaves when it wants") {
    const int at = 0;
    std::string log;
    auto first = weft::spawn([&] {
        lot::fiber_sleeper me{&at};
        lot::line_up(me);
        io::manner how = for_ever;
        int dozes = 0;
        do how.by = weft::deadline::after(1ms), ++dozes;
        while (me.doze(how) == io::outcome::timed_out);
        log += 'a';
        return dozes;
    });
    weft::yield();
    auto second = sleeper(&at, log, 'b');
    weft::sleep_for(10ms);
    CHECK(lot::awaken(&at, 1, ~0u) == 1);
    CHECK(first.get() > 1);
    CHECK(log == "a");
    CHECK(lot::awaken(&at, INT_MAX, ~0u) == 1);
    second.join();
    lot::fiber_sleeper me{&at};
    lot::line_up(me);
    io::manner how = for_ever;
    how.by = weft::deadline::after(1ms);
    CHECK(me.doze(how) == io::outcome::timed_out);
    CHECK(lot::anybody(&at));
    me.leave();
    CHECK_FALSE(lot::anybody(&at));
}

HUB_TEST("requeue() wakes the first, lets the next wait elsewhere, behind those who do, and does nothing if it is told so") {
    const int from = 0, far = 0;
    for (const void* const to : {static_cast<const void*>(&far), neighbour(&from)}) {
        std::string log;
        std::vector<weft::task<void>> tasks;
        tasks.push_back(sleeper(to, log, 'x'));
        for (const char name : {'a', 'b', 'c', 'd'}) tasks.push_back(sleeper(&from, log, name));
        CHECK(lot::requeue(&from, to, 1, 1, no, nullptr).woken == -1);
        auto done = lot::requeue(&from, to, 1, 2, yes, nullptr);
        CHECK(done.woken == 1);
        CHECK(done.moved == 2);
        settle_all();
        CHECK(log == "a");
        // To where it is already: all stay.
        done = lot::requeue(&from, &from, 0, INT_MAX, yes, nullptr);
        CHECK(done.woken == 0);
        CHECK(done.moved == 1);
        for (int i = 0; i < 3; ++i) {
            CHECK(lot::awaken(to, 1, ~0u) == 1);
            settle_all();
        }
        CHECK(log == "axbc");
        CHECK(lot::awaken(to, INT_MAX, ~0u) == 0);
        CHECK(lot::awaken(&from, INT_MAX, ~0u) == 1);
        weft::joinall(tasks);
        CHECK_FALSE(lot::anybody(to));
    }
}

HUB_TEST("a sleeper that has been moved still gives up in time") {
    const int from = 0, to = 0;
    auto task = weft::spawn([&] {
        lot::fiber_sleeper me{&from};
        lot::line_up(me);
        io::manner how = for_ever;
        how.by = weft::deadline::after(10ms);
        return me.wait(how);
    });
    weft::yield();
    CHECK(lot::requeue(&from, &to, 0, 1, yes, nullptr).moved == 1);
    CHECK(task.get() == io::outcome::timed_out);
    CHECK_FALSE(lot::anybody(&to));
}

HUB_TEST("complete(): the last to come takes all, each round anew") {
    const int at = 0;
    constexpr unsigned size = 5;
    int last = 0;
    std::vector<weft::task<void>> tasks;
    for (unsigned i = 0; i < size; ++i)
        tasks.push_back(weft::spawn([&] {
            for (int round = 0; round < 50; ++round) {
                lot::fiber_sleeper me{&at};
                if (lot::complete(me, size)) ++last;
                else CHECK(me.wait(for_ever) == io::outcome::ready);
            }
        }));
    weft::joinall(tasks);
    CHECK(last == 50);
}
