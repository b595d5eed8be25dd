// sleep and its kin.
#include <cerrno>
#include <chrono>

#include <sched.h>

#include "core.hpp"

namespace weft::shim {
namespace {

constexpr long ns_per_second = 1'000'000'000;

timespec left_until(deadline by) {
    const auto left = by.is_never() ? std::chrono::nanoseconds::max() : std::chrono::nanoseconds{by.when() - now()};
    const auto ns = left.count() > 0 ? left.count() : 0;
    return {ns / ns_per_second, ns % ns_per_second};
}

// How long until a point of some clock; zero if it has passed.
timespec span_until(clockid_t clock, const timespec& when) {
    timespec time;
    ::clock_gettime(clock, &time);
    timespec span{when.tv_sec - time.tv_sec, when.tv_nsec - time.tv_nsec};
    if (span.tv_nsec < 0) {
        span.tv_nsec += ns_per_second;
        --span.tv_sec;
    }
    return span.tv_sec < 0 ? timespec{0, 0} : span;
}

bool is_zero(const timespec& span) { return span.tv_sec == 0 && span.tv_nsec == 0; }

}  // namespace

// @returns 0 once it has passed, else -1 with errno, or thrown
int core::sleep_until(deadline by, const char* call) const {
    const io::outcome how = io::pause(manner_of(call, by, io::signal_rule::ends));
    return how == io::outcome::timed_out ? 0 : failed(how, call, 0);
}

int core::nanosleep(const timespec* span, timespec* left) {
    const errno_kept kept;
    if (!span || !valid(*span)) return original().nanosleep(span, left);  // EFAULT, EINVAL
    const deadline by = after(*span);
    if (is_zero(*span)) {
        io::spent_turn();
        return 0;
    }
    if (sleep_until(by, "nanosleep") == 0) {
        kept.restore();
        return 0;
    }
    if (left) *left = left_until(by);
    return -1;
}

int core::clock_nanosleep(clockid_t clock, int flags, const timespec* span, timespec* left) {
    const bool pausable = clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
                          clock == CLOCK_TAI;
    const bool absolute = (flags & TIMER_ABSTIME) != 0;
    if (!pausable || !span || !valid(*span)) return original().clock_nanosleep(clock, flags, span, left);
    const errno_kept kept;
    int result = 0;
    if (!absolute) {
        if (nanosleep(span, left) < 0) result = errno;
    } else {
        // A clock that can be set is looked at again every second.
        for (timespec still = span_until(clock, *span); result == 0 && !is_zero(still);
             still = span_until(clock, *span)) {
            const timespec step = still.tv_sec > 0 ? timespec{1, 0} : still;
            if (sleep_until(after(step), "clock_nanosleep") < 0) result = errno;
        }
    }
    kept.restore();
    return result;
}

unsigned core::sleep(unsigned seconds) {
    const timespec span{static_cast<time_t>(seconds), 0};
    timespec left{0, 0};
    if (nanosleep(&span, &left) == 0) return 0;
    return static_cast<unsigned>(left.tv_sec);
}

int core::usleep(useconds_t microseconds) {
    const timespec span{microseconds / 1'000'000, static_cast<long>(microseconds % 1'000'000) * 1'000};
    return nanosleep(&span, nullptr);
}

int core::thrd_sleep(const timespec* span, timespec* left) {
    const errno_kept kept;
    const int result = nanosleep(span, left);
    const int error = errno;
    kept.restore();
    return result == 0 ? 0 : error == EINTR ? -1 : -2;  // C11 7.26.5.7: -1 for a signal, other negatives else
}

int core::sched_yield() {
    io::yield_on();
    return 0;
}

}  // namespace weft::shim
