#include "child_wait.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <new>

#include <pthread.h>

#include <weft/detail/small_lock.hpp>

#include "base/sys.hpp"
#include "hub/offload.hpp"
#include "io/lot.hpp"

namespace weft::shim {

namespace sys = detail::sys;

namespace {

constexpr long first_patience_ms = 16, longest_patience_ms = 1000;

long look(const children& which, siginfo_t* found, int more_options) noexcept {
    return sys::call(SYS_waitid, which.kind, static_cast<long>(which.id), sys::word(found),
                     which.options | WNOWAIT | more_options, 0);
}

// A child, or an error such as ECHILD: the caller's own try will say.
bool something_there(const children& which) noexcept {
    siginfo_t found{};
    return look(which, &found, WNOHANG) != 0 || found.si_pid != 0;
}

int poll_natively(pollfd* fds, nfds_t count, int timeout) { return original().poll(fds, count, timeout); }

}  // namespace

/// What several callers ask for, and the thread that stands in waitid() for them.
struct watched_children final : detail::work {
    explicit watched_children(const children& asked) noexcept : which{asked} {}

    void run() noexcept override {
        siginfo_t found;
        while (look(which, &found, 0) == -EINTR) {}
        over();
    }
    void drop(int) noexcept override { over(); }

    bool begin();
    void over() noexcept;
    void release() noexcept;

    const children which;
    std::atomic<std::uint32_t> news{0};  // counts the ends of run(); its address is the line's
    // The rest is guarded by the table's lock.
    bool watching = false;
    int users = 1;  // callers, and the thread
    watched_children* next = nullptr;
};

namespace {

struct {
    detail::small_lock lock;
    watched_children* first = nullptr;
    watched_children* of_parent = nullptr;  // in a forked child: whoever stood there, and the threads, are the parent's
} constinit table;

[[gnu::constructor(102)]] void watch_forks() {
    pthread_atfork([] { table.lock.lock(); }, [] { table.lock.unlock(); },
                   [] {
                       table.of_parent = table.first;
                       table.first = nullptr;
                       table.lock.unlock();
                   });
}

watched_children* line_of(const children& which) noexcept {
    const std::lock_guard guard{table.lock};
    for (watched_children* at = table.first; at; at = at->next) {
        if (!(at->which == which)) continue;
        ++at->users;
        return at;
    }
    auto* const made = new (std::nothrow) watched_children{which};
    if (!made) return nullptr;
    made->next = table.first;
    table.first = made;
    return made;
}

}  // namespace

void watched_children::release() noexcept {
    {
        const std::lock_guard guard{table.lock};
        if (--users > 0) return;
        watched_children** at = &table.first;
        while (*at != this) at = &(*at)->next;
        *at = next;
    }
    delete this;
}

/// @returns false if there can be no such thread
/// @throws blocking_in_hub
bool watched_children::begin() {
    if (which.options & __WNOTHREAD) return false;  // it would see its own children, which are none
    {
        const std::lock_guard guard{table.lock};
        if (watching) return true;
        watching = true;
        ++users;
    }
    const auto take_back = [this] {
        {
            const std::lock_guard guard{table.lock};
            watching = false;
        }
        release();
    };
    try {
        if (detail::hand_in(detail::offload_kind::unbounded, *this, "waitpid") == 0) return true;
    } catch (...) {
        take_back();
        throw;
    }
    take_back();
    return false;
}

void watched_children::over() noexcept {
    {
        const std::lock_guard guard{table.lock};
        watching = false;
        news.fetch_add(1, std::memory_order_release);
    }
    io::lot::awaken(&news, 1, ~0u);
    release();
}

child_wait::child_wait(const children& which) noexcept : which_{which}, patience_ms_{first_patience_ms} {
    // Stops and continuations, and what a tracer is told of tasks, do not show on a pidfd.
    const bool only_an_end = (which.options & (WEXITED | WSTOPPED | WCONTINUED | __WALL)) == WEXITED;
    if (only_an_end && which.kind == P_PIDFD) descriptor_ = static_cast<int>(which.id);
    if (only_an_end && which.kind == P_PID && pidfd_.take(sys::call(SYS_pidfd_open, static_cast<long>(which.id), 0)))
        descriptor_ = pidfd_.number();
    if (descriptor_ < 0) line_ = line_of(which);
}

child_wait::~child_wait() {
    if (!line_) return;
    // What this one was woken for may not have been all.
    io::lot::awaken(&line_->news, 1, ~0u);
    line_->release();
}

io::outcome child_wait::wait(const io::manner& how) {
    return descriptor_ >= 0 ? wait_on_descriptor(how) : wait_in_line(how);
}

// The stops of a child that is traced are for its tracer whatever the options say; they are looked for now and then.
io::outcome child_wait::wait_on_descriptor(const io::manner& how) {
    pollfd fd{descriptor_, POLLIN, 0};
    io::manner until_look = how;
    until_look.by = deadline::after(std::chrono::milliseconds{patience_ms_});
    patience_ms_ = std::min(patience_ms_ * 2, longest_patience_ms);
    const io::poll_result end = io::wait_any(&fd, 1, poll_natively, until_look);
    if (end.count < 0) return io::pause(until_look);  // no memory
    return end.count > 0 || end.how == io::outcome::timed_out ? io::outcome::ready : end.how;
}

io::outcome child_wait::wait_in_line(const io::manner& how) {
    while (line_) {
        const std::uint32_t seen = line_->news.load(std::memory_order_acquire);
        if (!line_->begin()) break;
        if (something_there(which_)) return io::outcome::ready;
        struct {
            const std::atomic<std::uint32_t>& news;
            std::uint32_t seen;
        } state{line_->news, seen};
        io::lot::fiber_sleeper me{&line_->news};
        const auto unchanged = [](void* with) {
            const auto& s = *static_cast<decltype(state)*>(with);
            return s.news.load(std::memory_order_acquire) == s.seen;
        };
        if (io::lot::line_up_if(me, unchanged, &state)) return me.wait(how);
    }
    io::manner until_look = how;
    until_look.by = deadline::after(std::chrono::milliseconds{first_patience_ms});
    const io::outcome end = io::pause(until_look);
    return end == io::outcome::timed_out ? io::outcome::ready : end;
}

}  // namespace weft::shim
