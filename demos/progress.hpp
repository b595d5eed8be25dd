/// @file progress.hpp
/// What `download` shows of many downloads under way.
#pragma once

#include <cstddef>
#include <string>

#include "demo.hpp"
#include "fetch.hpp"

namespace demo {

/// On a terminal a line on standard error that is redrawn shows what goes well, and only errors stay;
/// elsewhere each download has a line.
class progress {
public:
    explicit progress(std::size_t wanted);

    bool has_line() const { return terminal_; }
    void draw() const;
    void clear() const;

    void add_bytes(std::size_t count) { bytes_ += static_cast<double>(count); }
    void add(const std::string& url, const fetched& got);
    bool complete() const { return done_ == wanted_; }

    /// The totals, on standard output.
    /// @returns true if none failed
    bool print_summary() const;

private:
    std::size_t wanted_, done_ = 0, failed_ = 0;
    double bytes_ = 0, sum_ = 0;
    bool terminal_;
    stopwatch watch_;
};

}  // namespace demo
