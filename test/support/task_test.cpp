#include "support/task_test.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

#include <dirent.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <weft/task.hpp>
#include <weft/this_task.hpp>

namespace test {
namespace {

weft::testing::manual_clock* by_hand = nullptr;

// Errors that reach nobody, from any thread.
std::mutex unobserved_lock;
std::exception_ptr first_unobserved;

void keep_unobserved(std::uint64_t, const std::string&, const std::exception_ptr& error) {
    const std::lock_guard guard{unobserved_lock};
    if (!first_unobserved) first_unobserved = error;
}

/// What the process and this thread's hub hold.
struct footprint {
    weft::testing::census held = weft::testing::count();
    int descriptors = open_descriptors();

    /// Empty if there is nothing that was not there before.
    std::string beyond(const footprint& before) const {
        std::string text;
        const auto compare = [&text](const char* what, auto then, auto now) {
            if (now > then) text += std::string{text.empty() ? "" : ", "} + std::to_string(now - then) + ' ' + what;
        };
        compare("tasks", before.held.tasks, held.tasks);
        compare("fibers", before.held.fibers, held.fibers);
        compare("stacks", before.held.stacks, held.stacks);
        compare("waits", before.held.waits, held.waits);
        compare("descriptors", before.descriptors, descriptors);
        return text;
    }
};

constexpr std::chrono::milliseconds usual_limit{20'000};

std::chrono::milliseconds limit() {
    const char* wish = std::getenv("WEFT_TEST_LIMIT_MS");
    return wish ? std::chrono::milliseconds{std::atol(wish)} : usual_limit;
}

/// A signal, not a thread: a process without threads of its own is what the search for deadlocks looks for.
class time_limit {
public:
    explicit time_limit(const char* name) {
        running_ = name;
        on_ = pthread_self();
        void* frame;
        ::backtrace(&frame, 1);  // loads what it needs now, not in the handler
        struct sigaction action {};
        action.sa_handler = &expired;
        ::sigaction(SIGALRM, &action, &before_);
        set(limit());
    }
    ~time_limit() {
        set({});
        ::sigaction(SIGALRM, &before_, nullptr);
    }
    time_limit(const time_limit&) = delete;
    time_limit& operator=(const time_limit&) = delete;

private:
    static void set(std::chrono::milliseconds span) {
        itimerval timer{};
        timer.it_value.tv_sec = span.count() / 1000;
        timer.it_value.tv_usec = span.count() % 1000 * 1000;
        ::setitimer(ITIMER_REAL, &timer, nullptr);
    }

    static void expired(int) {
        char line[400];
        int used = std::snprintf(line, sizeof line, "the test hangs: \"%s\"\n", running_);
        if (pthread_equal(pthread_self(), on_)) {
            const auto held = weft::testing::count();
            used += std::snprintf(line + used, sizeof line - static_cast<std::size_t>(used),
                                  "%zu tasks, %zu fibers, %zu waits for descriptors; running:\n", held.tasks,
                                  held.fibers, held.waits);
        }
        if (::write(2, line, std::min(static_cast<std::size_t>(used), sizeof line - 1)) < 0) std::abort();
        std::array<void*, 64> frames;
        ::backtrace_symbols_fd(frames.data(), ::backtrace(frames.data(), frames.size()), 2);
        std::abort();
    }

    static inline const char* running_ = nullptr;
    static inline pthread_t on_{};
    struct sigaction before_ {};
};

// @returns what the body, or the hub while it ran, has thrown
std::exception_ptr run_in_task(const char* name, void (*body)()) {
    const weft::fiber_options options{.name = name, .stack_size = std::size_t{1} << 20};
    auto task = weft::spawn(options, body);
    std::exception_ptr failure;
    try {
        task.get();
    } catch (...) {
        failure = std::current_exception();
    }
    if (!task.ready()) (void)task.kill(weft::deadline::past());  // main was told of a deadlock
    // Whatever is ready ends now; what is still parked after that has been left behind.
    try {
        weft::testing::settle();
    } catch (...) {
        if (!failure) failure = std::current_exception();
    }
    return failure;
}

}  // namespace

void hand_driven_clock::advance(weft::clock::duration by) const {
    if (!by_hand) throw std::logic_error("test::clock in a HUB_TEST, whose clock is the real one");
    by_hand->advance(by);
}

int patience() { return std::max(1, static_cast<int>(limit() / usual_limit)); }

int open_descriptors() {
    DIR* folder = ::opendir("/proc/self/fd");
    if (!folder) throw std::system_error(errno, std::generic_category(), "/proc/self/fd");
    int count = 0;
    while (::readdir(folder)) ++count;
    ::closedir(folder);
    return count;
}

void detail::run(const char* name, time_passes how, void (*body)()) {
    const time_limit at_most{name};
    weft::yield();  // the hub has its stack and its descriptors from here on
    const footprint before;
    std::exception_ptr failure;
    {
        const auto previous_hook = weft::on_unhandled(&keep_unobserved);
        std::optional<weft::testing::manual_clock> manual;
        if (how == time_passes::by_hand) by_hand = &manual.emplace();
        failure = run_in_task(name, body);
        by_hand = nullptr;
        manual.reset();
        weft::on_unhandled(previous_hook);
    }
    {
        const std::lock_guard guard{unobserved_lock};
        if (!failure) failure = first_unobserved;
        first_unobserved = nullptr;
    }
    if (failure) std::rethrow_exception(failure);
    const std::string left = footprint{}.beyond(before);
    if (!left.empty()) FAIL("the test leaves behind: " << left);
}

}  // namespace test
