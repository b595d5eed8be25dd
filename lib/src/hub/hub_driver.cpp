#include "hub/hub_driver.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/check.hpp"
#include "base/sys.hpp"
#include "hub/fork.hpp"
#include "sched/scheduler.hpp"

namespace weft::detail {
namespace {

constexpr std::uint64_t wake_cookie = ~std::uint64_t{0};
constexpr std::uint64_t uv_cookie = wake_cookie - 1;
constexpr int batch = 256;
// How late a deadlock is told when another thread has woken this one: looking for other threads before every wait
// would cost more than the wake-up.
constexpr std::chrono::milliseconds patience{100};

// Linux 5.11; before that waits are whole milliseconds, rounded up.
std::atomic<bool> has_pwait2{true};

int checked(long result, const char* what) {
    if (result < 0) throw std::system_error(static_cast<int>(-result), std::generic_category(), what);
    return static_cast<int>(result);
}

long add(int set, int fd, std::uint32_t events, std::uint64_t cookie) noexcept {
    epoll_event event{};
    event.events = events;
    event.data.u64 = cookie;
    return sys::call(SYS_epoll_ctl, set, EPOLL_CTL_ADD, fd, sys::word(&event));
}

long epoll_wait_until(int set, epoll_event* events, clock::time_point until, clock::time_point now) noexcept {
    constexpr std::chrono::seconds longest{std::int64_t{1} << 30};  // the kernel refuses absurd times
    const bool for_ever = until == clock::time_point::max();
    const auto span = until <= now ? clock::duration::zero() : std::min<clock::duration>(until - now, longest);
    if (has_pwait2.load(std::memory_order_relaxed)) {
        const auto whole = std::chrono::duration_cast<std::chrono::seconds>(span);
        const timespec limit{whole.count(), (span - whole).count()};
        const long n = sys::call(SYS_epoll_pwait2, set, sys::word(events), batch,
                                 for_ever ? 0 : sys::word(&limit), 0, 8);
        if (n != -ENOSYS && n != -EPERM) return n;
        has_pwait2.store(false, std::memory_order_relaxed);
    }
    const long ms = std::min<long>(std::chrono::ceil<std::chrono::milliseconds>(span).count(), 1 << 30);
    return sys::call(SYS_epoll_pwait, set, sys::word(events), batch, for_ever ? -1 : ms, 0, 8);
}

}  // namespace

std::unique_ptr<driver> make_hub_driver(thread& t) { return std::make_unique<hub_driver>(t); }

hub_driver::hub_driver(thread& t) : thread_{t} {
    watch_forks();
    open_set();
}

void hub_driver::open_set() {
    const int set = checked(sys::call(SYS_epoll_create1, EPOLL_CLOEXEC), "weft: epoll_create1 for a hub");
    int wake = -1;
    try {
        wake = checked(sys::call(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK), "weft: eventfd for a hub");
        checked(add(set, wake, EPOLLIN | EPOLLET, wake_cookie), "weft: epoll_ctl for a hub");
    } catch (...) {
        if (wake >= 0) sys::close(wake);
        sys::close(set);
        throw;
    }
    set_ = set;
    wake_ = wake;
    on_own_descriptor(set_, true);
    on_own_descriptor(wake_, true);
    thread_.box->wake_by(wake_);
}

// The set and the eventfd are the same ones as the parent's: using them would wake it, or take from it.
void hub_driver::after_fork() {
    for (const int fd : {set_, wake_}) {
        on_own_descriptor(fd, false);
        sys::close(fd);
    }
    open_set();
    if (!loop_) return;
    const bool works = uv_loop_fork(loop_.get()) == 0 && add(set_, uv_backend_fd(loop_.get()), EPOLLIN, uv_cookie) == 0;
    WEFT_CHECK(works, "a forked child cannot go on with its libuv loop; fork before using hub::loop(), or exec");
}

hub_driver::~hub_driver() {
    thread_.box->wake_by(-1);
    if (loop_) {
        uv_run(loop_.get(), UV_RUN_NOWAIT);  // handles that are closing
        if (uv_loop_close(loop_.get()) != 0) {
            warn("a thread ended with open libuv handles in its hub's loop; close them first. The loop is left behind");
            (void)loop_.release();
        }
    }
    on_set_closing(set_);
    on_own_descriptor(set_, false);
    on_own_descriptor(wake_, false);
    sys::close(wake_);
    sys::close(set_);
}

void hub_driver::installed() noexcept { thread_.box->wake_by(wake_); }

long hub_driver::watch(int fd, std::uint64_t cookie) noexcept {
    constexpr std::uint32_t everything = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;
    const long added = add(set_, fd, everything, cookie);
    if (added != -EEXIST) return added;
    // The same file under the same number, by a close that nobody saw: under the new cookie, and armed anew.
    epoll_event event{};
    event.events = everything;
    event.data.u64 = cookie;
    return sys::call(SYS_epoll_ctl, set_, EPOLL_CTL_MOD, fd, sys::word(&event));
}

uv_loop_t* hub_driver::loop() {
    if (loop_) return loop_.get();
    auto made = std::make_unique<uv_loop_t>();
    checked(uv_loop_init(made.get()), "weft: uv_loop_init");
    const long added = add(set_, uv_backend_fd(made.get()), EPOLLIN, uv_cookie);
    if (added < 0) {
        uv_loop_close(made.get());
        checked(added, "weft: epoll_ctl for the libuv loop");
    }
    loop_ = std::move(made);
    return loop_.get();
}

bool hub_driver::uv_has_work() noexcept { return loop_ && uv_loop_alive(loop_.get()) != 0; }

// An exception must not unwind libuv's frames: it ends the process here.
bool hub_driver::turn_uv() noexcept { return uv_run(loop_.get(), UV_RUN_NOWAIT) != 0; }

long hub_driver::wait_for_events(clock::time_point until) noexcept {
    epoll_event events[batch];
    const long n = epoll_wait_until(set_, events, until, until == clock::time_point::min() ? until : now());
    thread_.box->woke_up();
    if (loop_) uv_update_time(loop_.get());  // a timer that a task starts counts from now, not from the last turn
    for (long i = 0; i < n; ++i) {
        if (events[i].data.u64 == uv_cookie) turn_uv();
        else if (events[i].data.u64 == wake_cookie) woken_ = true;
    }
    if (n > 0) on_edges(events, static_cast<std::size_t>(n));
    return n;
}

bool hub_driver::poll(clock::time_point until) {
    if (until == clock::time_point::min()) {
        if (loop_) turn_uv();
        wait_for_events(until);
        return true;
    }
    if (loop_) {
        // Handles started since the last turn enter libuv's set only inside uv_run.
        turn_uv();
        // Their callbacks may have woken somebody.
        if (scheduler::here().anybody_ready()) until = clock::time_point::min();
        const int ms = uv_has_work() ? uv_backend_timeout(loop_.get()) : -1;
        if (ms >= 0) until = std::min(until, now() + std::chrono::milliseconds{ms});
    }
    if (!thread_.box->going_to_sleep()) until = clock::time_point::min();
    if (until == clock::time_point::max() && expected == 0 && !uv_has_work()) {
        if (woken_) {
            until = now() + patience;
            woken_ = false;
        } else if (only_our_threads()) {
            thread_.box->woke_up();
            return false;
        }
    }
    if (wait_for_events(until) == -EINTR) on_signal();
    return true;
}

}  // namespace weft::detail
