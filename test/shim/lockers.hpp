// Who else holds a lock: another thread beside a plain one, another task beside a task.
#pragma once

#include <ctime>
#include <memory>

#include <sys/mman.h>

#include "shim/differential.hpp"

namespace test {

/// From here on the body runs in a task, by whichever names.
inline bool in_task(const calls& c) { return c.named || weft::monkey::is_patched(weft::monkey::area::sync); }

/// Does something in another task, or on another thread where the body runs on one, and waits for its end at the latest
/// in the destructor.
class other {
public:
    other(const calls& c, std::function<void()> action) : calls_{c} {
        auto run = [this, action = std::move(action)] {
            action();
            ended_.store(true);
        };
        if (in_task(c)) task_ = weft::spawn(std::move(run));
        else thread_ = std::thread{std::move(run)};
    }
    ~other() { finish(); }
    other(const other&) = delete;
    other& operator=(const other&) = delete;

    bool ended() const { return ended_.load(); }
    void finish() {
        const int before = errno;
        while (!ended()) calls_.usleep(300);
        if (thread_.joinable()) thread_.join();
        errno = before;
    }

private:
    const calls& calls_;
    std::atomic<bool> ended_{false};
    weft::task<void> task_;
    std::thread thread_;
};

/// Another one, who takes something at once and gives it back after some time, or when told to.
class other_holder {
public:
    other_holder(const calls& c, std::function<void()> take, std::function<void()> give,
                 std::chrono::microseconds span = std::chrono::seconds{20})
        : calls_{c}, who_{c, [this, take = std::move(take), give = std::move(give), span] {
              take();
              took_.store(true);
              const auto end = std::chrono::steady_clock::now() + span;
              while (!told_.load() && std::chrono::steady_clock::now() < end) calls_.usleep(300);
              give();
          }} {
        while (!took_.load()) calls_.usleep(300);
    }
    ~other_holder() { finish(); }
    void finish() {
        told_.store(true);
        who_.finish();
    }

private:
    const calls& calls_;
    std::atomic<bool> took_{false}, told_{false};
    other who_;
};

/// What `call` returns when another makes it.
template <class Call>
auto by_another(const calls& c, Call call) {
    decltype(call()) result{};
    other{c, [&] { result = call(); }}.finish();
    return result;
}

inline timespec in_ms(clockid_t clock, long span) {
    timespec when{};
    ::clock_gettime(clock, &when);
    when.tv_sec += span / 1000;
    when.tv_nsec += span % 1000 * 1'000'000;
    if (when.tv_nsec >= 1'000'000'000) when.tv_nsec -= 1'000'000'000, ++when.tv_sec;
    return when;
}

/// Points in time that have passed, and what is none.
inline constexpr timespec long_ago{1, 0}, before_all_time{-1, 0}, dawn{INT64_MIN, 0};
inline constexpr timespec too_many{0, 1'000'000'000}, too_few{0, -1};
inline constexpr clockid_t no_clock = 77;

/// One object in memory that forked children share.
template <class T>
class between_processes {
public:
    between_processes() {
        void* const at = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) throw std::bad_alloc{};
        at_ = new (at) T{};
    }
    ~between_processes() { ::munmap(at_, sizeof(T)); }
    between_processes(const between_processes&) = delete;
    between_processes& operator=(const between_processes&) = delete;
    T* operator->() const { return at_; }
    T& operator*() const { return *at_; }

private:
    T* at_;
};

}  // namespace test
