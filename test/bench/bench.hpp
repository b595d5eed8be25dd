/// @file bench.hpp
/// What the microbenchmarks share: time, pinning, and a table whose rows are measured in turn.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace bench {

/// CPU time of the process so far, in ns.
double cpu_ns();
/// Wall time from some start, in ns.
double wall_ns();

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
    /// @param sample    measures once and returns CPU ns per operation
    /// @param baseline  this row gets a column of ratios to it
    void add(std::string name, std::function<double()> sample, bool baseline = false);

    /// A row that several threads work on: not pinned unless --cpu says where, compared with parallel baselines only.
    /// @param sample    measures once and returns ns of wall time per operation, of all threads together
    void add_parallel(std::string name, std::function<double()> sample, bool baseline = false);

    /// Reads --rounds N, --only TEXT, --cpu N and --list, pins the process but for parallel rows, measures and
    /// prints.
    /// @returns the exit status for main()
    int run(int argc, char** argv, const char* operation);

private:
    struct row {
        std::string name;
        std::function<double()> sample;
        bool baseline;
        bool parallel;
        std::vector<double> ns{};  // one a round
    };

    void print(const char* operation) const;

    std::vector<row> rows_;
};

}  // namespace bench
