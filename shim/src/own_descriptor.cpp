#include "own_descriptor.hpp"

#include <mutex>
#include <new>

#include <pthread.h>

#include <weft/detail/small_lock.hpp>

#include "base/sys.hpp"
#include "fresh.hpp"
#include "io/readiness.hpp"
#include "sched/driver.hpp"

namespace weft::shim {

namespace sys = detail::sys;

/// All that are open. They lie on the stacks of fibers, which a forked child has, too, but leaves alone.
struct own_descriptors {
    static constinit detail::small_lock lock;
    static constinit own_descriptor* first;

    static void before_fork() { lock.lock(); }
    static void in_parent() { lock.unlock(); }
    static void in_child() {
        for (const own_descriptor* at = first; at; at = at->next_) {
            detail::on_own_descriptor(at->fd_, false);
            sys::close(at->fd_);
        }
        first = nullptr;
        lock.unlock();
    }
};
constinit detail::small_lock own_descriptors::lock;
constinit own_descriptor* own_descriptors::first = nullptr;

namespace {
[[gnu::constructor(102)]] void watch_forks() {
    pthread_atfork(own_descriptors::before_fork, own_descriptors::in_parent, own_descriptors::in_child);
}
}  // namespace

bool own_descriptor::take(long made) noexcept {
    if (made < 0) return false;
    fd_ = fresh(static_cast<int>(made));
    detail::on_own_descriptor(fd_, true);
    const std::lock_guard guard{own_descriptors::lock};
    next_ = own_descriptors::first;
    if (next_) next_->prev_ = this;
    own_descriptors::first = this;
    return true;
}

void own_descriptor::close() noexcept {
    if (fd_ < 0) return;
    {
        const std::lock_guard guard{own_descriptors::lock};
        (prev_ ? prev_->next_ : own_descriptors::first) = next_;
        if (next_) next_->prev_ = prev_;
    }
    detail::io::closing(fd_);
    detail::on_own_descriptor(fd_, false);
    sys::close(fd_);
    fd_ = -1;
}

}  // namespace weft::shim
