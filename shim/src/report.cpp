#include <weft/monkey_report.hpp>

#include <algorithm>
#include <cstdio>
#include <string_view>

#include <sys/auxv.h>

#include "base/sys.hpp"
#include "original.hpp"
#include "told.hpp"

namespace weft {
namespace shim {
namespace {

constexpr int calls = static_cast<int>(call_index::count);

struct alignas(64) tally {
    std::atomic<std::uint64_t> parked{0}, pooled{0}, direct{0}, passed{0};
    std::atomic<std::int64_t> longest{0};
};
constinit tally tallies[calls];
constinit std::atomic<int> listeners{0};
constinit std::atomic<bool> counting{false};

void raise_to(std::atomic<std::int64_t>& most, std::int64_t value) noexcept {
    std::int64_t seen = most.load(std::memory_order_relaxed);
    while (seen < value && !most.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
    }
}

void set_counting(bool on) noexcept {
    if (counting.exchange(on) != on) listen(on ? 1 : -1);
}

constinit bool prints_at_exit = false;

// The environment comes as an argument: libc's own variable is set later.
[[gnu::constructor(103)]] void count_early(int, char**, char** environment) {
    constexpr std::string_view name = "WEFT_REPORT=";
    if (getauxval(AT_SECURE) != 0 || !environment) return;
    for (char** entry = environment; *entry; ++entry) {
        const std::string_view text = *entry;
        if (text.starts_with(name)) prints_at_exit = text.size() > name.size() && text.substr(name.size()) != "0";
    }
    if (prints_at_exit) set_counting(true);
}

[[gnu::destructor(103)]] void print_late() {
    if (!prints_at_exit) return;
    const std::string text = monkey::report_text();
    for (std::size_t gone = 0; gone < text.size();) {
        const long took = detail::sys::write(2, text.data() + gone, text.size() - gone);
        if (took <= 0) return;
        gone += static_cast<std::size_t>(took);
    }
}

}  // namespace

void listen(int change) noexcept {
    const bool anybody = listeners.fetch_add(change) + change > 0;
    for (auto& gate : gates) {
        if (anybody) gate.fetch_or(is_told, std::memory_order_relaxed);
        else gate.fetch_and(static_cast<std::uint8_t>(~is_told), std::memory_order_relaxed);
    }
}

told_call::told_call(call_index which, const void* frame, bool in_task) noexcept
    : which_{which}, in_task_{in_task}, has_hub_{detail::has_hub()} {
    if (has_hub_) outer_ = detail::begin_call(call_rows[static_cast<int>(which)].name, frame);
}

told_call::~told_call() {
    detail::call_note end;
    if (has_hub_) end = detail::end_call(outer_);
    if (!counting.load(std::memory_order_relaxed)) return;
    tally& t = tallies[static_cast<int>(which_)];
    auto& way = end.pooled ? t.pooled : end.parked ? t.parked : in_task_ ? t.direct : t.passed;
    way.fetch_add(1, std::memory_order_relaxed);
    raise_to(t.longest, end.longest.count());
}

}  // namespace shim

namespace monkey {

void count_calls(bool on) noexcept { shim::set_counting(on); }
bool counts_calls() noexcept { return shim::counting.load(std::memory_order_relaxed); }

std::vector<call_count> report() {
    std::vector<call_count> found;
    for (int i = 0; i < shim::calls; ++i) {
        const shim::tally& t = shim::tallies[i];
        call_count c{shim::call_rows[i].name,
                     t.parked.load(std::memory_order_relaxed),
                     t.pooled.load(std::memory_order_relaxed),
                     t.direct.load(std::memory_order_relaxed),
                     t.passed.load(std::memory_order_relaxed),
                     std::chrono::nanoseconds{t.longest.load(std::memory_order_relaxed)}};
        if (c.parked + c.pooled + c.direct + c.passed > 0) found.push_back(std::move(c));
    }
    return found;
}

std::string report_text() {
    char line[160];
    std::snprintf(line, sizeof line, "%-18s %12s %12s %12s %12s %14s\n", "weft: call", "parked", "pool", "no wait",
                  "libc's", "longest block");
    std::string text = line;
    for (const call_count& c : report()) {
        std::snprintf(line, sizeof line, "%-18s %12llu %12llu %12llu %12llu %11.3f ms\n", c.name.c_str(),
                      static_cast<unsigned long long>(c.parked), static_cast<unsigned long long>(c.pooled),
                      static_cast<unsigned long long>(c.direct), static_cast<unsigned long long>(c.passed),
                      static_cast<double>(c.longest_block.count()) / 1e6);
        text += line;
    }
    return text;
}

void forget_counts() noexcept {
    for (shim::tally& t : shim::tallies) {
        for (auto* count : {&t.parked, &t.pooled, &t.direct, &t.passed}) count->store(0, std::memory_order_relaxed);
        t.longest.store(0, std::memory_order_relaxed);
    }
}

}  // namespace monkey
}  // namespace weft
