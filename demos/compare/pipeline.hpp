/// @file pipeline.hpp
/// The work of one pipeline, source -> parser -> transformer -> sink, the same for each of its forms: they
/// differ only in how the items get from one stage to the next.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "../demo.hpp"

namespace compare {

inline constexpr int item_count = 100'000;
inline constexpr std::size_t capacity = 64;  // of the hand-over between two stages, where there is a queue
inline constexpr int wait_every = 500;       // items between two waits
inline constexpr std::chrono::milliseconds wait_time{1};

/// A parsed line.
struct record {
    int id;
    std::string name;
    std::uint64_t amount;
};

/// The source waits after such an item, as if its next block had to come over a line, and so does the sink.
inline bool waits_after(int item) { return item % wait_every == wait_every - 1; }

std::string make_line(int item);                    // source
record parse(const std::string& line);              // parser
record transform(record from);                      // transformer
void fold(const record& from, demo::checksum& sum);  // sink

/// Counts how often another stage goes on than the one before. Stages call it whenever they may have waited.
struct turns {
    int running = -1;
    std::uint64_t switches = 0;
    void turn_of(int stage) {
        if (stage != running) ++switches;
        running = stage;
    }
};

/// What one form reports.
struct outcome {
    std::uint64_t checksum;
    std::uint64_t switches;  // 0 if only the kernel knows
};

outcome run_explicit();
outcome run_automatic();
outcome run_threads();

}  // namespace compare
