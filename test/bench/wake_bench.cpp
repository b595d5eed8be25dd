// What it costs to wake somebody on another OS thread and to be woken back: wall time of a round trip.
//
// Both threads sleep in the kernel between two turns, so a round trip is two wake-ups by the kernel, whatever
// wakes. What a row needs more than the eventfds do is what its library adds.
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <weft/weft.hpp>

#include "bench.hpp"

namespace {

constexpr long round_trips = 20'000;
constexpr long warm_up = 500;

void expect(bool right, const char* what) {
    if (!right) {
        throw std::system_error{errno, std::generic_category(), what};
    }
}

/// An eventfd that is read when it is waited for: one system call to wake, one to be woken.
class eventfd_flag {
public:
    eventfd_flag() : fd_{eventfd(0, EFD_CLOEXEC)} { expect(fd_ >= 0, "eventfd"); }
    eventfd_flag(const eventfd_flag&) = delete;
    eventfd_flag& operator=(const eventfd_flag&) = delete;
    ~eventfd_flag() { close(fd_); }

    int fd() const { return fd_; }
    void set() const { expect(eventfd_write(fd_, 1) == 0, "eventfd_write"); }
    void wait() const {
        eventfd_t value = 0;
        expect(eventfd_read(fd_, &value) == 0 && value == 1, "eventfd_read");
    }

private:
    int fd_;
};

/// As an event loop has it: edge-triggered in an epoll set, never read.
class epoll_flag {
public:
    epoll_flag() : set_{epoll_create1(EPOLL_CLOEXEC)} {
        expect(set_ >= 0, "epoll_create1");
        epoll_event event{};
        event.events = EPOLLIN | EPOLLET;
        expect(epoll_ctl(set_, EPOLL_CTL_ADD, flag_.fd(), &event) == 0, "epoll_ctl");
    }
    epoll_flag(const epoll_flag&) = delete;
    epoll_flag& operator=(const epoll_flag&) = delete;
    ~epoll_flag() { close(set_); }

    void set() const { flag_.set(); }
    void wait() const {
        epoll_event event;
        expect(epoll_wait(set_, &event, 1, -1) == 1, "epoll_wait");
    }

private:
    eventfd_flag flag_;
    int set_;
};

class condvar_flag {
public:
    void set() {
        const std::scoped_lock lock{mutex_};
        set_ = true;
        changed_.notify_one();
    }
    void wait() {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [this] { return set_; });
        set_ = false;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool set_ = false;
};

class weft_flag {
public:
    void set() { event_.set(); }
    void wait() {
        event_.wait();
        event_.clear();
    }

private:
    weft::event event_;
};

/// Runs both sides on a thread of their own, each by `left` or `right`, and returns ns per round trip.
template <class Flag, class Left, class Right>
double ping_pong(Left left, Right right) {
    Flag ping, pong;
    long answered = 0;
    double spent = 0;
    std::thread other{[&] {
        right([&] {
            for (; answered < warm_up + round_trips; ++answered) {
                ping.wait();
                pong.set();
            }
        });
    }};
    std::thread measuring{[&] {
        left([&] {
            const auto round = [&](long times) {
                for (; times > 0; --times) {
                    ping.set();
                    pong.wait();
                }
            };
            round(warm_up);
            const double start = bench::wall_ns();
            round(round_trips);
            spent = bench::wall_ns() - start;
        });
    }};
    measuring.join();
    other.join();
    if (answered != warm_up + round_trips) {
        throw std::logic_error{"a wake-up was lost"};
    }
    return spent / round_trips;
}

const auto in_the_thread = [](auto side) { side(); };
const auto in_a_task = [](auto side) { weft::spawn(side).get(); };

}  // namespace

int main(int argc, char** argv) {
    bench::table table;
    table.add_parallel(
        "two eventfds, two threads", [] { return ping_pong<eventfd_flag>(in_the_thread, in_the_thread); }, true);
    table.add_parallel("two eventfds in epoll sets, two threads",
              [] { return ping_pong<epoll_flag>(in_the_thread, in_the_thread); });
    table.add_parallel("std::condition_variable, two threads",
              [] { return ping_pong<condvar_flag>(in_the_thread, in_the_thread); });
    table.add_parallel("weft::event, tasks of two hubs", [] { return ping_pong<weft_flag>(in_a_task, in_a_task); });
    table.add_parallel("weft::event, a task and a plain thread",
              [] { return ping_pong<weft_flag>(in_a_task, in_the_thread); });
    return table.run(argc, argv, "round trip");
}
