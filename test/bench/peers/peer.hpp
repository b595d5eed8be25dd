// What the peers in C++ share: the measurements by name, and their sizes.
//
// Every peer has the same measurements with the same names: `peer NAME` measures once and prints one number, ns
// per operation, or seconds for `sleeps`. `peer version` says what was measured, `peer names` what there is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench.hpp"

namespace peers {

constexpr long turns = 4'000'000;       // of all members of a ring together
constexpr long batch = 1000;            // tasks alive at once in `spawn`
constexpr long batches = 500;
constexpr long lock_pairs = 20'000'000;
constexpr long items = 2'000'000;       // through a queue
constexpr long sleepers = 1'000'000;
constexpr long sleepers_between_yields = 1000;
constexpr int longest_sleep_ms = 1000;
constexpr long round_trips = 20'000;    // between two threads
constexpr long warm_up = 500;

inline void expect(bool right, const char* what) {
    if (!right) {
        throw std::logic_error{what};
    }
}

/// The sum of 0 ... items - 1, which is what arrives.
constexpr std::int64_t sum_of_items = std::int64_t{items} * (items - 1) / 2;

/// The members of a ring yield until the first of them has seen enough laps; all count their turns.
struct ring_state {
    long turns = 0;
    bool ended = false;
    double ns = 0;
};

template <class Yield>
void lead_ring(ring_state& ring, long members, Yield yield) {
    for (long lap = 0; lap < 3; ++lap) {
        ++ring.turns;
        yield();
    }
    const long before = ring.turns;
    const double start = bench::cpu_ns();
    const long laps = turns / members;
    for (long lap = 0; lap < laps; ++lap) {
        ++ring.turns;
        yield();
    }
    const double spent = bench::cpu_ns() - start;
    ring.ended = true;
    expect(ring.turns - before == laps * members, "a member of the ring has not had its turns");
    ring.ns = spent / static_cast<double>(ring.turns - before);
}

template <class Yield>
void follow_ring(ring_state& ring, Yield yield) {
    while (!ring.ended) {
        ++ring.turns;
        yield();
    }
}

/// ns per operation of `times` calls of `once`, which does `operations`, after one call that is not measured.
template <class F>
double measure(long times, long operations, F once) {
    once();
    const double start = bench::cpu_ns();
    for (long i = 0; i < times; ++i) {
        once();
    }
    return (bench::cpu_ns() - start) / static_cast<double>(times * operations);
}

struct measurement {
    const char* name;
    std::function<double()> sample;
};

inline int run(int argc, char** argv, const std::string& version, const std::vector<measurement>& all) try {
    const std::string name = argc == 2 ? argv[1] : "";
    if (name == "version") {
        std::puts(version.c_str());
        return 0;
    }
    for (const measurement& m : all) {
        if (name == "names") {
            std::puts(m.name);
        } else if (name == m.name) {
            std::printf("%.3f\n", m.sample());
            return 0;
        }
    }
    if (name == "names") {
        return 0;
    }
    std::fprintf(stderr, "usage: %s NAME, which is version, names or one of the names\n", argv[0]);
    return 2;
} catch (const std::exception& failed) {
    std::fprintf(stderr, "%s\n", failed.what());
    return 1;
}

}  // namespace peers
