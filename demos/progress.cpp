#include "progress.hpp"

#include <cstdio>

#include <unistd.h>

namespace demo {
namespace {

constexpr const char* clear_line = "\r\x1b[K";

}  // namespace

progress::progress(std::size_t wanted) : wanted_{wanted}, terminal_{::isatty(STDERR_FILENO) == 1} {}

void progress::clear() const { std::fputs(clear_line, stderr); }

void progress::draw() const {
    std::fprintf(stderr, "%s%zu of %zu, %.1f MB, %.1f s ", clear_line, done_, wanted_, bytes_ / 1e6,
                 watch_.seconds());
}

void progress::add(const std::string& url, const fetched& got) {
    const bool good = got.error.empty();
    ++done_;
    failed_ += !good;
    sum_ += got.seconds;
    if (terminal_ && good) return;
    const std::string outcome = good ? std::to_string(got.bytes) + " bytes" : got.error;
    std::fprintf(stderr, "%s%s: %s\n", terminal_ ? clear_line : "", url.c_str(), outcome.c_str());
}

bool progress::print_summary() const {
    std::printf("%zu of %zu fetched, %.0f bytes: %.2f s one by one, %.2f s together\n", wanted_ - failed_,
                wanted_, bytes_, sum_, watch_.seconds());
    return failed_ == 0;
}

}  // namespace demo
