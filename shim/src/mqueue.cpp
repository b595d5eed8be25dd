// POSIX message queues, which are descriptors: a limit long past makes each call a try that does not wait.
#include <cerrno>
#include <chrono>

#include "fresh.hpp"
#include "core.hpp"

namespace weft::shim {
namespace {

constexpr timespec long_past{0, 0};

/// What is left until a point of the real-time clock, which may be set: it is looked at again every second.
deadline step_until(const timespec* until, bool& past) {
    past = false;
    if (!until) return deadline::never();
    timespec time;
    ::clock_gettime(CLOCK_REALTIME, &time);
    timespec left{until->tv_sec - time.tv_sec, until->tv_nsec - time.tv_nsec};
    if (left.tv_nsec < 0) left.tv_nsec += 1'000'000'000, --left.tv_sec;
    past = left.tv_sec < 0 || (left.tv_sec == 0 && left.tv_nsec == 0);
    return past ? deadline::never() : after(left.tv_sec > 0 ? timespec{1, 0} : left);
}

/// `once` ends with ETIMEDOUT where it would wait.
template <class Once>
auto queue_call(const core& c, int fd, io::direction way, const timespec* until, const char* call, Once once) {
    using result = decltype(once());
    const errno_kept kept;
    const io::attempt first{fd};
    for (io::attempt seen = first;; seen = io::attempt{fd}) {
        if (seen.entry && io::replaced(first, seen)) return static_cast<result>(c.failed(io::outcome::closed, call, 0));
        const result got = once();
        if (got >= 0) {
            io::took(fd, seen, way, false);
            kept.restore();
            return got;
        }
        bool past = false;
        const deadline by = errno == ETIMEDOUT && seen.entry ? step_until(until, past) : deadline::never();
        if (errno != ETIMEDOUT || past) {
            io::passed(seen, way);
            return got;
        }
        const io::outcome how = io::wait(fd, seen, way, c.manner_of(call, by, io::signal_rule::restarts));
        if (how != io::outcome::ready && how != io::outcome::timed_out) return static_cast<result>(c.failed(how, call, 0));
    }
}

}  // namespace

mqd_t core::mq_open(const char* name, int flags, mode_t mode, mq_attr* attributes) {
    return fresh(original().mq_open(name, flags, mode, attributes));
}

int core::mq_close(mqd_t queue) {
    if (io::is_own(queue)) {
        errno = EBADF;
        return -1;
    }
    io::closing(queue);
    return original().mq_close(queue);
}

ssize_t core::mq_timedreceive(mqd_t queue, char* data, size_t size, unsigned* priority, const timespec* until) {
    const originals& libc = original();
    if (until && !valid(*until)) return libc.mq_timedreceive(queue, data, size, priority, until);
    return queue_call(*this, queue, io::direction::read, until, "mq_receive",
                      [&] { return libc.mq_timedreceive(queue, data, size, priority, &long_past); });
}

ssize_t core::mq_receive(mqd_t queue, char* data, size_t size, unsigned* priority) {
    return mq_timedreceive(queue, data, size, priority, nullptr);
}

int core::mq_timedsend(mqd_t queue, const char* data, size_t size, unsigned priority, const timespec* until) {
    const originals& libc = original();
    if (until && !valid(*until)) return libc.mq_timedsend(queue, data, size, priority, until);
    return queue_call(*this, queue, io::direction::write, until, "mq_send",
                      [&] { return libc.mq_timedsend(queue, data, size, priority, &long_past); });
}

int core::mq_send(mqd_t queue, const char* data, size_t size, unsigned priority) {
    return mq_timedsend(queue, data, size, priority, nullptr);
}

}  // namespace weft::shim
