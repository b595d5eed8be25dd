// The baseline of `wake`: two OS threads and nothing else.
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include <sys/eventfd.h>
#include <unistd.h>

#include "peer.hpp"

namespace {

using namespace peers;

class eventfd_flag {
public:
    eventfd_flag() {
        if (fd_ < 0) {
            throw std::system_error{errno, std::generic_category(), "eventfd"};
        }
    }
    eventfd_flag(const eventfd_flag&) = delete;
    eventfd_flag& operator=(const eventfd_flag&) = delete;
    ~eventfd_flag() { close(fd_); }

    void set() const { expect(eventfd_write(fd_, 1) == 0, "eventfd_write failed"); }
    void wait() const {
        eventfd_t value = 0;
        expect(eventfd_read(fd_, &value) == 0 && value == 1, "eventfd_read failed");
    }

private:
    int fd_ = eventfd(0, EFD_CLOEXEC);
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

template <class Flag>
double wake() {
    Flag ping, pong;
    long answered = 0;
    std::thread other{[&] {
        for (; answered < warm_up + round_trips; ++answered) {
            ping.wait();
            pong.set();
        }
    }};
    double start = 0;
    for (long i = 0; i < warm_up + round_trips; ++i) {
        if (i == warm_up) {
            start = bench::wall_ns();
        }
        ping.set();
        pong.wait();
    }
    const double ns = (bench::wall_ns() - start) / round_trips;
    other.join();
    expect(answered == warm_up + round_trips, "a wake-up was lost");
    return ns;
}

}  // namespace

int main(int argc, char** argv) {
    return run(argc, argv, "g++ " __VERSION__,
               {{"wake", wake<eventfd_flag>}, {"wake_condvar", wake<condvar_flag>}});
}
