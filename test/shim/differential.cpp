#include "shim/differential.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include <resolv.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "shim/faults.hpp"

extern "C" [[gnu::weak]] void* weft_late_functions[];

namespace test {
namespace {

using namespace std::chrono_literals;

const auto starved = 20ms * test::patience();

std::string hex(const unsigned char* data, std::size_t size) {
    constexpr std::size_t shown = 24;
    std::string text = std::to_string(size) + " bytes";
    std::uint64_t sum = 1469598103934665603U;  // FNV
    for (std::size_t i = 0; i < size; ++i) sum = (sum ^ data[i]) * 1099511628211U;
    if (size > shown) return text + " #" + std::to_string(sum);
    for (std::size_t i = 0; i < size; ++i) {
        char digits[4];
        std::snprintf(digits, sizeof digits, " %02x", data[i]);
        text += digits;
    }
    return text;
}

// Machines stall; a call that blocks where it must not, or fails to wait, is off by all of its time.
bool about_equal(std::chrono::milliseconds a, std::chrono::milliseconds b) {
    const auto apart = std::chrono::abs(a - b);
    return apart < 50ms || apart < std::max(a, b) / 5;
}

bool same(const journal& a, const journal& b) {
    const auto equal = [](const journal::row& x, const journal::row& y) {
        return x.what == y.what && x.outcome == y.outcome && about_equal(x.took, y.took);
    };
    return std::equal(a.rows().begin(), a.rows().end(), b.rows().begin(), b.rows().end(), equal);
}

std::string cell(const journal& j, std::size_t i) {
    if (i >= j.rows().size()) return "-";
    const journal::row& row = j.rows()[i];
    return row.outcome + " (" + std::to_string(row.took.count()) + " ms)";
}

std::string table(const journal& native, const journal& named, const journal& plain) {
    std::string text = "\n";
    for (std::size_t i = 0; i < std::max({native.rows().size(), named.rows().size(), plain.rows().size()}); ++i) {
        const std::string first = cell(native, i), second = cell(named, i), third = cell(plain, i);
        const auto time_of = [&](const journal& j) { return i < j.rows().size() ? j.rows()[i].took : 0ms; };
        const auto what_of = [&](const journal& j) { return i < j.rows().size() ? j.rows()[i].what : ""; };
        const auto said = [](const std::string& text) { return text.substr(0, text.rfind(" (")); };
        const bool right = said(first) == said(second) && said(first) == said(third) &&
                           what_of(native) == what_of(named) && what_of(native) == what_of(plain) &&
                           about_equal(time_of(native), time_of(named)) && about_equal(time_of(native), time_of(plain));
        text += (right ? "  " : "! ") + what_of(i < native.rows().size() ? native : named) + ": native " + first +
                " | named " + second + " | interposed " + third + '\n';
    }
    return text;
}

struct run_end {
    journal notes;
    std::chrono::milliseconds gap{0};
};

// In a task of its own, so that a REQUIRE in it unwinds no more than that.
run_end run_in_task(body run, const calls& c, ticker beside) {
    run_end end;
    weft::fiber_options options{.name = "differential", .stack_size = std::size_t{1} << 20};
    auto worker = weft::spawn(options, [&] {
        std::optional<beside_ticker> ticks;
        if (beside == ticker::beside) ticks.emplace();
        run(c, end.notes);
        if (ticks) end.gap = ticks->stop();
    });
    worker.get();
    return end;
}

// Unpatched calls go straight to libc, but that conditions stay weft's once somebody has waited for one in a task.
const calls& native_calls() {
#define WEFT_NATIVE(name) \
    table.name = reinterpret_cast<decltype(table.name)>(weft::monkey::detail::original_of(reinterpret_cast<void*>(&::name)));
    static const calls all = [] {
        calls table = plain_calls();
        WEFT_NATIVE(pthread_cond_wait)
        WEFT_NATIVE(pthread_cond_timedwait)
        WEFT_NATIVE(pthread_cond_clockwait)
        return table;
    }();
#undef WEFT_NATIVE
    return all;
}

run_end run_on_thread(body run) {
    run_end end;
    std::exception_ptr failure;
    std::thread{[&] {
        try {
            run(native_calls(), end.notes);
        } catch (...) {
            failure = std::current_exception();
        }
    }}.join();
    if (failure) std::rethrow_exception(failure);
    return end;
}

// A stall of the machine looks like a blocked thread, but not every time; and the thread's own run may have met one.
run_end best_of_five(body run, const calls& c, ticker beside, run_end& native, bool& agree) {
    run_end end;
    for (int tries = 0; tries < 5; ++tries) {
        if (tries > 0) native = run_on_thread(run);
        end = run_in_task(run, c, beside);
        agree = same(end.notes, native.notes);
        if (agree && end.gap < starved) break;
    }
    return end;
}

void ring(int) { alarm_clock::rang.fetch_add(1); }

}  // namespace

// Defined in a program that is not linked with the shim.
bool reached_late() { return &weft_late_functions != nullptr; }

const calls& named_calls() {
#define WEFT_NAMED(name) weft::shim::name,
    static const calls table{WEFT_EACH_CALL(WEFT_NAMED) true};
#undef WEFT_NAMED
    return table;
}

const calls& plain_calls() {
#define WEFT_PLAIN(name) ::name,
    static const calls table{WEFT_EACH_CALL(WEFT_PLAIN) false};
#undef WEFT_PLAIN
    return table;
}

void journal::note(std::string what, std::int64_t result, int error, std::chrono::milliseconds took) {
    std::string text = std::to_string(result);
    if (error != 0) text += std::string{" "} + (strerrorname_np(error) ? strerrorname_np(error) : "?");
    rows_.push_back({std::move(what), std::move(text), took});
}

void journal::bytes(std::string what, const void* data, std::size_t size) {
    rows_.push_back({std::move(what), hex(static_cast<const unsigned char*>(data), size), {}});
}

void compare(body run, ticker beside) {
    faults::begin();
    run_end native = run_on_thread(run), named = native, plain;
    bool agree = true;
    // By name there is one way only, however the library has come into the process.
    if (!reached_late()) named = best_of_five(run, named_calls(), beside, native, agree);
    if (!agree) FAIL(table(native.notes, named.notes, native.notes));
    {
        const patched now;
        plain = best_of_five(run, plain_calls(), beside, native, agree);
    }
    if (!agree) FAIL(table(native.notes, native.notes, plain.notes));
    CHECK(named.gap < starved);
    CHECK(plain.gap < starved);
    CHECK_FALSE(native.notes.rows().empty());
}

later::later(const calls& c, std::chrono::milliseconds delay, std::function<void()> action) : calls_{c} {
    thread_ = std::thread{[this, delay, action = std::move(action)] {
        std::this_thread::sleep_for(delay);
        action();
        done_.store(true);
    }};
}

later::~later() {
    const int before = errno;
    while (!done_.load()) calls_.usleep(500);
    thread_.join();
    errno = before;
}

beside_ticker::beside_ticker() {
    task_ = weft::spawn([this] {
        auto last = std::chrono::steady_clock::now();
        while (!stop_) {
            weft::sleep_for(1ms);
            const auto now = std::chrono::steady_clock::now();
            largest_ = std::max(largest_, now - last);
            last = now;
        }
    });
    weft::sleep_for(2ms);
    largest_ = {};
}

std::chrono::milliseconds beside_ticker::stop() {
    if (!stop_) weft::sleep_for(1ms);  // a gap that has not ended yet counts
    stop_ = true;
    (void)task_.join();
    return std::chrono::duration_cast<std::chrono::milliseconds>(largest_);
}

alarm_clock::alarm_clock(std::chrono::milliseconds delay, int handler_flags) {
    struct sigaction action {};
    action.sa_handler = &ring;
    action.sa_flags = handler_flags;
    ::sigaction(SIGUSR1, &action, &before_);
    // A hub cannot tell which handler ran: it restarts only if every one that is installed asks for that, and the
    // runner has installed some for the end of the process.
    for (int signal = 1; signal < SIGSYS; ++signal) {
        struct sigaction other;
        if (signal == SIGUSR1 || ::sigaction(signal, nullptr, &other) != 0) continue;
        if (other.sa_handler == SIG_DFL || other.sa_handler == SIG_IGN) continue;
        other.sa_flags |= SA_RESTART;
        ::sigaction(signal, &other, nullptr);
    }
    sigevent to_me{};
    to_me.sigev_notify = SIGEV_THREAD_ID;
    to_me.sigev_signo = SIGUSR1;
    to_me._sigev_un._tid = ::gettid();
    timer_t timer;
    if (::timer_create(CLOCK_MONOTONIC, &to_me, &timer) != 0) throw std::runtime_error("timer_create");
    itimerspec when{};
    when.it_value.tv_nsec = std::chrono::nanoseconds{delay}.count();
    ::timer_settime(timer, 0, &when, nullptr);
    timer_ = timer;
}

alarm_clock::~alarm_clock() {
    ::timer_delete(static_cast<timer_t>(timer_));
    ::sigaction(SIGUSR1, &before_, nullptr);
}

}  // namespace test
