// System V's messages and semaphores: a try with IPC_NOWAIT, then a thread that waits. It owns what it reads and writes.
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "core.hpp"
#include "hub/offload.hpp"

namespace weft::shim {
namespace {

template <class Native>
struct long_call final : detail::errand {
    explicit long_call(Native call) : native{std::move(call)} {}
    void run() noexcept override {
        result = native();
        error = errno;
    }
    Native native;
    ssize_t result = -1;
    int error = 0;
};

int no_memory() noexcept {
    errno = ENOMEM;
    return -1;
}

/// @returns the call's result, or -1 with errno
template <class Native>
ssize_t on_thread(const core& c, const char* name, Native native) try {
    const auto work = std::make_shared<long_call<Native>>(std::move(native));
    const bool foreign = c.who == caller::foreign;
    for (;;) {
        switch (detail::send_out(detail::offload_kind::unbounded, work, name, foreign, false)) {
            case detail::errand_end::done: errno = work->error; return work->result;
            case detail::errand_end::killed: return c.failed(io::outcome::killed, name, 0);
            case detail::errand_end::no_thread: break;
        }
        io::manner how = c.manner_of(name, deadline::after(std::chrono::milliseconds{10}), io::signal_rule::ignores);
        how.interruptible = false;
        if (io::pause(how) == io::outcome::killed) return c.failed(io::outcome::killed, name, 0);
    }
} catch (const std::bad_alloc&) {
    return no_memory();
}

timespec monotonic() noexcept {
    timespec time;
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return time;
}

timespec minus(timespec a, const timespec& b) noexcept {
    a.tv_sec -= b.tv_sec;
    a.tv_nsec -= b.tv_nsec;
    if (a.tv_nsec < 0) a.tv_nsec += 1'000'000'000, --a.tv_sec;
    return a.tv_sec < 0 ? timespec{0, 0} : a;
}

/// @returns null if there is no memory
std::shared_ptr<char[]> room_for(size_t size) noexcept try {
    return std::shared_ptr<char[]>{new char[size]};
} catch (const std::bad_alloc&) {
    return nullptr;
}

}  // namespace

int core::msgsnd(int queue, const void* message, size_t size, int flags) {
    const errno_kept kept;
    const int now = original().msgsnd(queue, message, size, flags | IPC_NOWAIT);
    if (now == 0 || errno != EAGAIN || (flags & IPC_NOWAIT)) return now;
    const size_t whole = sizeof(long) + size;
    const auto copy = room_for(whole);
    if (!copy) return no_memory();
    std::memcpy(copy.get(), message, whole);
    const auto result = on_thread(*this, "msgsnd", [=] { return original().msgsnd(queue, copy.get(), size, flags); });
    if (result == 0) kept.restore();
    return static_cast<int>(result);
}

ssize_t core::msgrcv(int queue, void* message, size_t size, long type, int flags) {
    const errno_kept kept;
    const ssize_t now = original().msgrcv(queue, message, size, type, flags | IPC_NOWAIT);
    if (now >= 0 || errno != ENOMSG || (flags & IPC_NOWAIT)) return now;
    const auto copy = room_for(sizeof(long) + size);
    if (!copy) return no_memory();
    const ssize_t result =
        on_thread(*this, "msgrcv", [=] { return original().msgrcv(queue, copy.get(), size, type, flags); });
    if (result < 0) return result;
    std::memcpy(message, copy.get(), sizeof(long) + static_cast<size_t>(result));
    kept.restore();
    return result;
}

int core::semtimedop(int set, sembuf* operations, size_t count, const timespec* timeout) {
    if (timeout && (!valid(*timeout) || (timeout->tv_sec == 0 && timeout->tv_nsec == 0)))
        return original().semtimedop(set, operations, count, timeout);
    const errno_kept kept;
    const timespec start = monotonic(), no_time{0, 0};
    const int now = original().semtimedop(set, operations, count, &no_time);
    if (now == 0 || errno != EAGAIN) return now;
    const size_t size = count * sizeof *operations;  // no more than the kernel has just read
    const auto copy = room_for(size);
    if (!copy) return no_memory();
    std::memcpy(copy.get(), operations, size);
    const timespec span = timeout ? *timeout : timespec{0, 0};
    const bool limited = timeout != nullptr;
    const auto wait = [=] {
        const timespec left = minus(span, minus(monotonic(), start));
        auto* const all = reinterpret_cast<sembuf*>(copy.get());
        return original().semtimedop(set, all, count, limited ? &left : nullptr);
    };
    const auto result = on_thread(*this, "semop", wait);
    if (result == 0) kept.restore();
    return static_cast<int>(result);
}

int core::semop(int set, sembuf* operations, size_t count) { return semtimedop(set, operations, count, nullptr); }

}  // namespace weft::shim
