/// @file bench.hpp
/// What the microbenchmarks share: clocks, pinning, and a table whose rows are measured in turn.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace bench {

/// CPU time of the process so far, in ns.
double cpu_ns();

/// Time that passes, in ns from some start.
double wall_ns();

/// What a table compares: CPU time, the process on one CPU; or wall time, its threads on any unless --cpu says which.
enum class timing { cpu, wall };

namespace detail {
template <unsigned Frames, class F>
[[gnu::noinline]] void frame(F f) {
    if constexpr (Frames > 1) {
        frame<Frames - 1>(f);
    } else {
        f();
    }
    asm volatile("" ::: "memory");  // work after the call: it cannot become a jump
}
}  // namespace detail

/// Calls `f` with `Frames` frames in between, none inlined, each of which must be returned through.
template <unsigned Frames, class F>
void down(F f) {
    if constexpr (Frames > 0) {
        detail::frame<Frames>(f);
    } else {
        f();
    }
}

/// Rows measured in interleaved rounds: a round takes one sample of each row, so whatever slows the machine
/// down for a while slows all rows down, and a ratio compares two samples of the same round.
class table {
public:
    /// @param sample    measures once and returns ns per operation
    /// @param baseline  this row gets a column of ratios to it
    void add(std::string name, std::function<double()> sample, bool baseline = false);

    /// Reads --rounds N, --only TEXT, --cpu N and --list, pins the process, measures and prints.
    /// @returns the exit status for main()
    int run(int argc, char** argv, const char* operation, timing how = timing::cpu);

private:
    struct row {
        std::string name;
        std::function<double()> sample;
        bool baseline;
        std::vector<double> ns{};  // one a round
    };

    void print(const std::string& unit) const;

    std::vector<row> rows_;
};

}  // namespace bench
