// What one switch costs: explicit, through the scheduler, and against a bare jump.
//
// A `ret` is predicted from the call that the processor saw last, so what a switch costs depends on where
// both sides left from: each way of switching has a row for one call site, for two, and for four frames
// that must be returned through.
#include <algorithm>
#include <climits>
#include <stdexcept>
#include <string>
#include <vector>

#include <weft/weft.hpp>

#include "bench.hpp"
#include "fcontext_ring.hpp"

namespace {

using bench::cpu_ns;
using bench::down;

constexpr long switches = 1'000'000;  // a sample is some 5 to 50 ms
constexpr long warm_up = 2'000;

void expect(bool right, const char* what) {
    if (!right) {
        throw std::logic_error{what};
    }
}

template <unsigned Frames, std::size_t Members>
double bare_ring() {
    return bench::fcontext_ring<Frames>{Members}.run(switches);
}

// Explicit fibers

template <unsigned Frames>
[[gnu::noinline]] void bounce(weft::fiber& other, long times) {
    for (; times > 0; --times) {
        down<Frames>([&other] { other.switch_to(); });
    }
}

// Two fibers that run one loop: both sides leave from the same call.
template <unsigned Frames>
double one_call_site() {
    weft::fiber home = weft::fiber::current();
    weft::fiber left, right;
    double spent = 0;
    right = weft::fiber{[&] { bounce<Frames>(left, LONG_MAX); }};
    left = weft::fiber{[&] {
        bounce<Frames>(right, warm_up);
        const double start = cpu_ns();
        bounce<Frames>(right, switches / 2);
        spent = cpu_ns() - start;
        home.switch_to();
    }};
    left.switch_to();
    expect(spent > 0, "one_call_site: the measured loop has not ended");
    return spent / switches;
}

// The usual shape of an explicit ping-pong: each side has a loop of its own.
double two_call_sites() {
    weft::fiber home = weft::fiber::current();
    long passed = 0;
    weft::fiber there{[&] {
        for (;;) {
            ++passed;
            home.switch_to();
        }
    }};
    bounce<0>(there, warm_up);
    const double start = cpu_ns();
    bounce<0>(there, switches / 2);
    const double spent = cpu_ns() - start;
    expect(passed == warm_up + switches / 2, "two_call_sites: a switch went astray");
    return spent / switches;
}

double with_values() {
    weft::fiber home = weft::fiber::current();
    weft::fiber adder{[&](int value) {
        for (;;) {
            value = home.switch_to(value + 1).as<int>();
        }
    }};
    int value = 0;
    auto round_trips = [&](long times) {
        for (; times > 0; --times) {
            value = adder.switch_to(value).as<int>();
        }
    };
    round_trips(warm_up);
    const double start = cpu_ns();
    round_trips(switches / 2);
    const double spent = cpu_ns() - start;
    expect(value == warm_up + switches / 2, "with_values: a value was lost");
    return spent / switches;
}

// Tasks

template <unsigned Frames>
[[gnu::noinline]] void take_turns(const bool& ended, long times) {
    for (; times > 0 && !ended; --times) {
        down<Frames>([] { weft::yield(); });
    }
}

// As take_turns<0>, but each yield() must return to another call.
[[gnu::noinline]] void take_turns_elsewhere(const bool& ended, long times) {
    for (long done = 0; done < times; ++done) {
        if (ended) {
            return;
        }
        weft::yield();
    }
}

using turns = void (*)(const bool&, long);

// The first task measures, the others are there to be switched to.
double ring(std::size_t members, turns leader, turns follower) {
    const long laps = std::max(1L, switches / static_cast<long>(members));
    const long warm_laps = std::max(3L, warm_up / static_cast<long>(members));
    bool ended = false;
    double spent = 0;
    std::vector<weft::task<void>> tasks;
    tasks.reserve(members);
    tasks.push_back(weft::spawn([&] {
        leader(ended, warm_laps);
        const double start = cpu_ns();
        leader(ended, laps);
        spent = cpu_ns() - start;
        ended = true;
    }));
    while (tasks.size() < members) {
        tasks.push_back(weft::spawn([&] { follower(ended, LONG_MAX); }));
    }
    weft::joinall(tasks);
    for (auto& task : tasks) {
        task.get();  // throws what the task threw
    }
    return spent / (static_cast<double>(laps) * static_cast<double>(members));
}

}  // namespace

int main(int argc, char** argv) {
    bench::table table;
    table.add(
        "bare jump_fcontext", [] { return bench::fcontext_ping_pong(switches); }, true);
    table.add("bare jump in a ring of 2", bare_ring<0, 2>, true);
    table.add("bare jump in a ring of 2, 4 frames deep", bare_ring<4, 2>);
    table.add("bare jump in a ring of 100", bare_ring<0, 100>);
    table.add("bare jump in a ring of 1000", bare_ring<0, 1000>);
    table.add("bare jump in a ring of 10000", bare_ring<0, 10'000>);

    table.add("switch_to, one call site", one_call_site<0>);
    table.add("switch_to, two call sites", two_call_sites);
    table.add("switch_to, one call site, 4 frames deep", one_call_site<4>);
    table.add("switch_to(int) and back as int", with_values);

    table.add("yield, 2 tasks of one function", [] { return ring(2, take_turns<0>, take_turns<0>); });
    table.add("yield, 2 tasks of two functions", [] { return ring(2, take_turns<0>, take_turns_elsewhere); });
    table.add("yield, 2 tasks, 4 frames deep", [] { return ring(2, take_turns<4>, take_turns<4>); });
    for (std::size_t members : {std::size_t{100}, std::size_t{1000}, std::size_t{10'000}}) {
        table.add("yield, ring of " + std::to_string(members),
                  [=] { return ring(members, take_turns<0>, take_turns<0>); });
    }
    return table.run(argc, argv, "switch");
}
