// Turns a thread: its descriptors, its mailbox, its libuv loop.  Floor: hub.
#pragma once

#include <memory>

#include <uv.h>

#include "fiber/thread.hpp"
#include "sched/driver.hpp"

namespace weft::detail {

/// Waits in an edge-triggered epoll set of its own, in which each descriptor is registered once. The libuv loop,
/// if there is one, is one member of that set and is turned without waiting whenever it has something to
/// do. That way round a wait ends by nanoseconds, costs one system call, and shows that a signal handler has run,
/// all of which libuv's own wait hides.
class hub_driver final : public driver {
public:
    explicit hub_driver(thread& t);
    ~hub_driver() override;

    clock::time_point now() noexcept override { return clock::now(); }
    bool poll(clock::time_point until) override;
    long watch(int fd, std::uint64_t cookie) noexcept override;
    int set() const noexcept override { return set_; }
    void installed() noexcept override;
    void after_fork() override;

    /// @throws std::system_error
    uv_loop_t* loop();

private:
    void open_set();
    bool uv_has_work() noexcept;
    bool turn_uv() noexcept;
    long wait_for_events(clock::time_point until) noexcept;

    thread& thread_;
    int set_ = -1;
    int wake_ = -1;      // eventfd, edge-triggered and never read
    bool woken_ = false;  // by another thread, since this last looked whether there is one
    std::unique_ptr<uv_loop_t> loop_;
};

}  // namespace weft::detail
