/// @file demo.hpp
/// What several demos need: a stopwatch, a checksum, a refusal of arguments they do not take.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string_view>

namespace demo {

/// Measures from its construction on.
class stopwatch {
public:
    double seconds() const {
        return std::chrono::duration<double>{std::chrono::steady_clock::now() - start_}.count();
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// The FNV-1a sum of all bytes added so far.
class checksum {
public:
    void add(std::string_view bytes) {
        for (const unsigned char byte : bytes) value_ = (value_ ^ byte) * 0x100000001b3;
    }
    std::uint64_t value() const { return value_; }

private:
    std::uint64_t value_ = 0xcbf29ce484222325;
};

/// True with a line of usage printed if the program was given arguments.
inline bool unwanted_arguments(int count, char** arguments) {
    if (count > 1) std::fprintf(stderr, "usage: %s   (it takes no arguments)\n", arguments[0]);
    return count > 1;
}

}  // namespace demo
