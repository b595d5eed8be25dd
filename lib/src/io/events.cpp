// What happens to a descriptor, as its entry sees it: an edge, a close, the end of a hub, a fork.
#include <mutex>
#include <new>
#include <utility>

#include "base/sys.hpp"
#include "io/fd_waiter.hpp"
#include "io/lot.hpp"
#include "io/readiness.hpp"

namespace weft::detail::io {
namespace {

constexpr std::uint32_t odd = EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR;

int own_pid() noexcept { return static_cast<int>(sys::call(SYS_getpid)); }

// The process that the table is of.
std::atomic<int> process{0};

// A vfork()ed child runs in its parent's memory: what it closes is its own, what it would note down is not.
bool in_borrowed_memory() noexcept { return process.load(std::memory_order_relaxed) != own_pid(); }

}  // namespace

void wake_next(fd_entry& e, std::uint32_t events) noexcept {
    for (fd_waiter* w = e.first; w; w = w->after()) {
        if (w->consumes && (w->interest & events)) {
            e.take_out(*w);
            w->grant_and_wake();
            return;
        }
    }
}

void closing(int fd) noexcept {
    fd_entry* e = entry_if_any(fd);
    if (!e) return;
    const std::lock_guard guard{e->lock};
    if ((e->sets.set >= 0 || e->first) && in_borrowed_memory()) return;
    e->generation.fetch_add(1, std::memory_order_acq_rel);
    // Before the close: a descriptor whose file lives on under another number could not be removed after it.
    if (e->sets.set >= 0) sys::call(SYS_epoll_ctl, std::exchange(e->sets.set, -1), EPOLL_CTL_DEL, fd);
    while (registration* extra = e->sets.next) {
        e->sets.next = extra->next;
        sys::call(SYS_epoll_ctl, extra->set, EPOLL_CTL_DEL, fd);
        delete extra;
    }
    e->kind.store(fd_entry::unknown, std::memory_order_relaxed);
    e->drained.store(false, std::memory_order_relaxed);
    e->odd_event.store(false, std::memory_order_relaxed);
    e->way_to_try.store(0, std::memory_order_relaxed);
    e->blocking_seen.store(0, std::memory_order_relaxed);
    e->made_here.store(0, std::memory_order_relaxed);
    e->shared.store(false, std::memory_order_relaxed);
    e->writer.store(0, std::memory_order_relaxed);
    while (fd_waiter* w = e->first) {
        e->take_out(*w);
        w->closed = true;
        w->grant_and_wake();
    }
}

void changed(int fd) noexcept {
    fd_entry* e = entry_if_any(fd);
    if (!e || in_borrowed_memory()) return;
    const std::lock_guard guard{e->lock};
    e->edges.fetch_add(1, std::memory_order_acq_rel);
    e->drained.store(false, std::memory_order_release);
    for (fd_waiter* w = e->first; w;) {
        fd_waiter* const next = w->after();
        if (w->interest != for_ticket) {
            e->take_out(*w);
            w->grant_and_wake();
        }
        w = next;
    }
}

}  // namespace weft::detail::io

namespace weft::detail {
namespace {

using namespace io;

fd_entry* entry_named(std::uint64_t cookie) noexcept { return entry_if_any(static_cast<int>(cookie & 0xffffffff)); }

// Of somebody else's waiter, perhaps, and out of date: an address to fetch, nothing more.
[[gnu::no_sanitize("thread")]] const void* perhaps_first(const fd_entry& e) noexcept { return e.first; }

void on_edge(std::uint64_t cookie, std::uint32_t events) noexcept {
    fd_entry* e = entry_named(cookie);
    if (!e) return;
    const std::lock_guard guard{e->lock};
    if (e->generation.load(std::memory_order_relaxed) != static_cast<std::uint32_t>(cookie >> 32)) return;
    e->edges.fetch_add(1, std::memory_order_acq_rel);
    if (events & reading) e->drained.store(false, std::memory_order_release);
    if (events & odd) e->odd_event.store(true, std::memory_order_relaxed);
    // The end of a connection, or an error, is there for everybody who waits; what was sent is for one.
    const bool for_all = (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0;
    for (fd_waiter* w = e->first; w;) {
        fd_waiter* next = w->after();
        if ((for_all || !w->consumes) && (w->interest & events)) {
            e->take_out(*w);
            w->grant_and_wake();
        }
        w = next;
    }
    if (events & reading) wake_next(*e, reading & ~(EPOLLHUP | EPOLLERR));
    if (events & writing) wake_next(*e, EPOLLOUT);
}

}  // namespace

// With a thousand connections each event costs a miss for the entry and one for its waiter: those of later events are on
// their way while an earlier one is dealt with.
void on_edges(const epoll_event* events, std::size_t count) noexcept {
    constexpr std::size_t far = 8, near = 4, line = 64;
    const auto fetch = [&](std::size_t i) {
        if (i < count)
            if (const fd_entry* e = entry_named(events[i].data.u64)) __builtin_prefetch(e);
    };
    for (std::size_t i = 0; i < far; ++i) fetch(i);
    for (std::size_t i = 0; i < count; ++i) {
        fetch(i + far);
        if (i + near < count) {
            if (const fd_entry* e = entry_named(events[i + near].data.u64)) {
                const auto* const waiter = static_cast<const char*>(perhaps_first(*e));
                __builtin_prefetch(waiter);
                __builtin_prefetch(waiter + line);
            }
        }
        on_edge(events[i].data.u64, events[i].events);
    }
}

void on_own_descriptor(int fd, bool own) noexcept {
    using namespace io;
    if (fd_entry* e = entry_of(fd)) e->own.store(own, std::memory_order_relaxed);
    process.store(own_pid(), std::memory_order_relaxed);
}

void on_fork() noexcept {
    using namespace io;
    process.store(own_pid(), std::memory_order_relaxed);
    lot::after_fork();
    for_each_entry([](fd_entry& e, int) {
        new (&e.lock) small_lock;  // perhaps held by a thread that does not exist here
        e.generation.fetch_add(1, std::memory_order_relaxed);
        e.drained.store(false, std::memory_order_relaxed);
        e.waiters.store(0, std::memory_order_relaxed);
        e.first = e.last = nullptr;
        e.writer.store(0, std::memory_order_relaxed);
        e.sets = {};
    }, 0);
}

void on_set_closing(int set) noexcept {
    using namespace io;
    for_each_entry([](fd_entry& e, int gone) {
        const std::lock_guard guard{e.lock};
        if (e.sets.set == gone) e.sets.set = -1;
        for (registration** at = &e.sets.next; *at;) {
            registration* r = *at;
            if (r->set == gone) {
                *at = r->next;
                delete r;
            } else {
                at = &r->next;
            }
        }
    }, set);
}

}  // namespace weft::detail
