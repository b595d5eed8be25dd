#include "long_call.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "../fresh.hpp"
#include "base/sys.hpp"
#include "hub/offload.hpp"

namespace weft::shim {
namespace {

namespace sys = weft::detail::sys;

constexpr long kernel_mask_size = 8;

std::uint64_t mask_of(int signal) noexcept { return std::uint64_t{1} << (signal - 1); }

void do_nothing(int) {}

// Not the program's to close.
void set_own(int fd, bool own) noexcept {
    if (io::fd_entry* const entry = io::entry_of(fd)) entry->own.store(own, std::memory_order_relaxed);
}

bool has_handler(int signal, void (*handler)(int)) noexcept {
    struct sigaction now;
    return ::sigaction(signal, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == handler;
}

// A program that blocks a signal may wait for it by sigwait() or a descriptor.
int signal_to_lend() noexcept {
    std::uint64_t blocked = 0;
    sys::call(SYS_rt_sigprocmask, SIG_BLOCK, 0, sys::word(&blocked), kernel_mask_size);
    for (int signal = SIGRTMAX; signal >= SIGRTMIN; --signal)
        if ((blocked & mask_of(signal)) == 0 && (has_handler(signal, SIG_DFL) || has_handler(signal, do_nothing)))
            return signal;
    return 0;
}

/// Gives the signal a handler while it lives, without SA_RESTART; several may share it.
class lent_handler {
public:
    explicit lent_handler(int signal) noexcept : signal_{signal} {
        if (signal_ == 0) return;
        const std::lock_guard guard{lock_};
        if (users_[signal_]++ > 0) return;
        struct sigaction idle {};
        idle.sa_handler = &do_nothing;
        // The program may have taken it since.
        if (!has_handler(signal_, SIG_DFL) || ::sigaction(signal_, &idle, nullptr) != 0) {
            --users_[signal_];
            signal_ = 0;
        }
    }
    ~lent_handler() {
        if (signal_ == 0) return;
        const std::lock_guard guard{lock_};
        if (--users_[signal_] > 0 || !has_handler(signal_, &do_nothing)) return;
        struct sigaction none {};
        none.sa_handler = SIG_DFL;
        ::sigaction(signal_, &none, nullptr);
    }
    lent_handler(const lent_handler&) = delete;
    lent_handler& operator=(const lent_handler&) = delete;

    bool works() const noexcept { return signal_ != 0; }

private:
    static inline constinit detail::small_lock lock_;
    static inline int users_[65] = {};
    int signal_;
};

// Programs rely on a new descriptor's having the lowest free number, the one that this call is to open among them.
int far_event() noexcept {
    constexpr rlim_t far = 4096;
    const auto event = static_cast<int>(sys::call(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK));
    rlimit numbers;
    if (event < 0 || ::getrlimit(RLIMIT_NOFILE, &numbers) != 0) return event;
    const auto from = static_cast<long>(std::min(far, numbers.rlim_cur / 2));
    const auto moved = static_cast<int>(sys::call(SYS_fcntl, event, F_DUPFD_CLOEXEC, from));
    if (moved < 0) return event;
    sys::close(event);
    return moved;
}

void set_blocked(int signal, bool blocked) noexcept {
    if (signal == 0) return;
    const std::uint64_t mask = mask_of(signal);
    sys::call(SYS_rt_sigprocmask, blocked ? SIG_BLOCK : SIG_UNBLOCK, sys::word(&mask), 0, kernel_mask_size);
}

// Call-backs that came late: the thread's next call must not find them.
void drain(int signal) noexcept {
    if (signal == 0) return;
    const std::uint64_t mask = mask_of(signal);
    const timespec no_time{0, 0};
    while (sys::call(SYS_rt_sigtimedwait, sys::word(&mask), 0, sys::word(&no_time), kernel_mask_size) > 0) {}
}

}  // namespace

// The lock is what the waiter sees all of it by; with the write, it may be gone.
void long_call::tell() noexcept {
    const std::uint64_t one = 1;
    lock_.lock();
    const int event = event_;
    lock_.unlock();
    sys::write(event, &one, sizeof one);
}

void long_call::drop(int) noexcept {
    dropped_ = true;
    tell();
}

void long_call::run() noexcept {
    lock_.lock();
    const bool wanted = !unwanted_;
    if (wanted) phase_ = phase::running;
    thread_ = static_cast<int>(sys::call(SYS_gettid));
    lock_.unlock();
    error_ = EINTR;
    if (wanted) {
        set_blocked(lent_, false);
        result_ = call_(argument_);
        error_ = errno;
        set_blocked(lent_, true);
    }
    lock_.lock();
    phase_ = phase::over;
    lock_.unlock();
    drain(lent_);
    if (result_ < 0) signal_ = take_signal_of(error_);
    tell();
}

void long_call::call_back() noexcept {
    const std::lock_guard guard{lock_};
    unwanted_ = true;
    if (phase_ == phase::running) sys::call(SYS_tgkill, sys::call(SYS_getpid), thread_, lent_);
}

io::outcome long_call::wait(const io::manner& how) {
    event_ = far_event();
    if (event_ < 0) return io::outcome::failed;
    struct event_end {
        int event;
        ~event_end() {
            io::closing(event);
            set_own(event, false);
            sys::close(event);
        }
    } at_end{event_};
    fresh(event_);
    set_own(event_, true);
    lent_ = signal_to_lend();
    if (detail::hand_in(detail::offload_kind::unbounded, *this, how.what) != 0) return io::outcome::failed;
    const io::outcome end = wait_for_end(how);
    return dropped_ ? io::outcome::failed : end;
}

io::outcome long_call::wait_for_end(io::manner how) {
    constexpr std::chrono::milliseconds between{1};
    io::outcome end = io::outcome::ready;
    std::optional<lent_handler> handler;
    for (;;) {
        const io::attempt seen{event_};
        std::uint64_t count;
        if (sys::read(event_, &count, sizeof count) > 0) {
            const std::lock_guard guard{lock_};
            return end;
        }
        // A call-back may come before the thread is in its system call, which it then does not end: once more.
        if (handler && handler->works()) {
            call_back();
            how.by = deadline::after(between);
        }
        const io::outcome woken = io::wait(event_, seen, io::direction::read, how);
        switch (woken) {
            case io::outcome::ready:
            case io::outcome::timed_out: break;
            case io::outcome::interrupted:
            case io::outcome::killed:
                if (!handler) {
                    end = woken;
                    handler.emplace(lent_);
                    how.signals = io::signal_rule::ignores;
                    how.interruptible = false;
                    break;
                }
                [[fallthrough]];
            default:  // nothing parks here any more
                original().poll(nullptr, 0, static_cast<int>(between.count()));
        }
    }
}

}  // namespace weft::shim
