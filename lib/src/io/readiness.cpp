#include "io/readiness.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <mutex>
#include <new>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/sys.hpp"
#include "io/fd_waiter.hpp"
#include "io/signals.hpp"

namespace weft::detail::io {
namespace {

std::uint64_t cookie_of(int fd, std::uint32_t generation) noexcept {
    return std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(fd);
}

// Where a short read proves that nothing is left: TCP. Not pipes: they may hold packets, and O_DIRECT
// shows only at the end that writes.
std::uint8_t learn_kind(int fd) noexcept {
    struct stat file;
    if (sys::call(SYS_fstat, fd, sys::word(&file)) < 0) return fd_entry::other;
    if (!S_ISSOCK(file.st_mode)) return fd_entry::other;
    const auto option = [fd](int name) {
        int value = -1;
        socklen_t size = sizeof value;
        sys::call(SYS_getsockopt, fd, SOL_SOCKET, name, sys::word(&value), sys::word(&size));
        return value;
    };
    const int domain = option(SO_DOMAIN);
    const bool ip = domain == AF_INET || domain == AF_INET6;
    return ip && option(SO_PROTOCOL) == IPPROTO_TCP ? fd_entry::drains : fd_entry::other;
}

bool registered_with(const fd_entry& e, int set) noexcept {
    for (const registration* r = &e.sets; r; r = r->next)
        if (r->set == set) return true;
    return false;
}

// Under the entry's lock. @returns 0 or minus an error number
long register_with(fd_entry& e, int fd, std::uint32_t generation, driver& hub) noexcept {
    if (registered_with(e, hub.set()) && hub.set() >= 0) return 0;
    registration* slot = &e.sets;
    while (slot && slot->set >= 0) slot = slot->next;
    std::unique_ptr<registration> extra;
    if (!slot) {
        extra.reset(new (std::nothrow) registration);
        if (!extra) return -ENOMEM;
        slot = extra.get();
    }
    const long result = hub.watch(fd, cookie_of(fd, generation));
    if (result < 0) return result;
    slot->set = hub.set();
    if (extra) {
        extra->next = e.sets.next;
        e.sets.next = extra.release();
    }
    if (e.kind.load(std::memory_order_relaxed) == fd_entry::unknown)
        e.kind.store(learn_kind(fd), std::memory_order_relaxed);
    return 0;
}

std::uint32_t interest_of(direction way) noexcept { return way == direction::read ? reading : writing; }

// poll(2) has names for kinds of data that the set is not asked about: they come with the plain ones.
std::uint32_t interest_of(short poll_events) noexcept {
    std::uint32_t interest = static_cast<std::uint16_t>(poll_events) | EPOLLHUP | EPOLLERR;
    if (interest & (EPOLLRDNORM | EPOLLRDBAND)) interest |= EPOLLIN;
    if (interest & (EPOLLWRNORM | EPOLLWRBAND)) interest |= EPOLLOUT;
    return interest;
}

enum class link_result { linked, again, closed, failed };

// Joins the waiters of an entry, unless something has happened since the attempt.
link_result link(fd_entry& e, int fd, const attempt& a, fd_waiter& w) noexcept {
    const std::lock_guard guard{e.lock};
    if (e.generation.load(std::memory_order_relaxed) != a.generation) return link_result::closed;
    if (e.edges.load(std::memory_order_relaxed) != a.edges) return link_result::again;
    const long result = register_with(e, fd, a.generation, scheduler::here().drive());
    if (result < 0) {
        errno = static_cast<int>(-result);
        return result == -EBADF ? link_result::closed : link_result::failed;
    }
    e.append(w);
    return link_result::linked;
}

}  // namespace

bool unlink(fd_entry& e, fd_waiter& w) {
    e.lock.lock();
    const bool was_waiting = w.now == grant_status::waiting;
    if (was_waiting) e.take_out(w);
    e.lock.unlock();
    if (!was_waiting) w.await_delivery(scheduler::here());
    return !was_waiting;
}

bool fails_at_once(const manner& how, outcome& end) {
    parking asked{how.what};
    asked.by = how.by;
    asked.interruptible = how.interruptible;
    if (scheduler::here().would_park(asked)) return false;
    end = outcome_of(asked.cause);
    return true;
}

outcome outcome_of(wake cause) noexcept {
    switch (cause) {
        case wake::unparked: return outcome::ready;
        case wake::timed_out: return outcome::timed_out;
        case wake::killed: return outcome::killed;
        case wake::signalled: return outcome::interrupted;
    }
    __builtin_unreachable();
}

wake park(const manner& how, const void* on, bool for_descriptors) {
    scheduler& sched = scheduler::here();
    parking pause{how.what, on};
    pause.by = how.by;
    pause.foreign = how.foreign;
    pause.interruptible = how.interruptible;
    signal_node interrupted{pause, how.signals};
    if (how.signals != signal_rule::ignores) sched.signalable().push_back(interrupted);
    // Without a deadline, what a signal can end waits for one.
    const bool for_events = for_descriptors || (how.signals != signal_rule::ignores && how.by.is_never());
    if (for_events) ++sched.drive().expected;
    struct undo {
        scheduler& sched;
        signal_node& node;
        bool events;
        ~undo() {
            if (node.linked()) node.unlink();
            if (events) --sched.drive().expected;
        }
    } at_end{sched, interrupted, for_events};
    this_thread().current->eager = 0;
    return sched.park(pause);
}

bool worth_reading(const attempt& a) noexcept {
    const fd_entry& e = *a.entry;
    return !e.drained.load(std::memory_order_acquire) ||
           e.kind.load(std::memory_order_relaxed) != fd_entry::drains ||
           e.odd_event.load(std::memory_order_relaxed) ||
           e.blocking_seen.load(std::memory_order_relaxed) != flag_changes() + 1;
}

outcome wait(int fd, const attempt& a, direction way, const manner& how) {
    if (!a.entry) {
        errno = ENOMEM;
        return outcome::failed;
    }
    fd_entry& e = *a.entry;
    scheduler& sched = scheduler::here();
    outcome end;
    if (fails_at_once(how, end)) return end;
    fd_waiter me{this_thread(), sched.next_token(), interest_of(way), true};
    switch (link(e, fd, a, me)) {
        case link_result::linked: break;
        case link_result::again: return outcome::ready;
        case link_result::closed: return outcome::closed;
        case link_result::failed: return outcome::failed;
    }
    wake cause;
    try {
        cause = park(how, &e, true);
    } catch (...) {
        unlink(e, me);
        throw;
    }
    const bool granted = unlink(e, me);
    if (me.closed) return outcome::closed;
    if (granted && cause != wake::killed) return outcome::ready;
    if (granted) {
        const std::lock_guard guard{e.lock};
        wake_next(e, me.interest);
    }
    return outcome_of(cause);
}

void took(int fd, const attempt& a, direction way, bool emptied) {
    (void)fd;
    if (a.entry) {
        fd_entry& e = *a.entry;
        const bool proves = emptied && e.kind.load(std::memory_order_relaxed) == fd_entry::drains &&
                            !e.odd_event.load(std::memory_order_relaxed);
        if (proves || e.waiters.load(std::memory_order_relaxed) > 0) {
            const std::lock_guard guard{e.lock};
            const bool quiet = e.edges.load(std::memory_order_relaxed) == a.edges &&
                               e.generation.load(std::memory_order_relaxed) == a.generation;
            if (proves && quiet) e.drained.store(true, std::memory_order_release);
            else wake_next(e, interest_of(way));
        }
    }
    spent_turn();
}

void passed(const attempt& a, direction way) noexcept {
    if (!a.entry || a.entry->waiters.load(std::memory_order_relaxed) == 0) return;
    const std::lock_guard guard{a.entry->lock};
    wake_next(*a.entry, interest_of(way));
}

poll_result wait_any(pollfd* fds, nfds_t count, real_poll look, const manner& how) {
    constexpr nfds_t in_place = 6;
    struct entry_wait {
        attempt seen{-1};
        alignas(fd_waiter) std::byte room[sizeof(fd_waiter)];
        fd_waiter* node = nullptr;
    };
    if (count > in_place) {
        // A count that the kernel refuses is not ours to make room for.
        const int ready = look(fds, count, 0);
        if (ready != 0) return {ready, outcome::ready};
    }
    entry_wait few[in_place];
    std::unique_ptr<entry_wait[]> many;
    if (count > in_place) many.reset(new (std::nothrow) entry_wait[count]);
    entry_wait* const all = count > in_place ? many.get() : few;
    if (!all) {
        errno = ENOMEM;
        return {-1, outcome::failed};
    }
    scheduler& sched = scheduler::here();
    for (;;) {
        // The kernel looks first: the array may not be one. What happens after that comes as an edge of this hub's own set,
        // which nobody takes out before this fiber parks.
        const int ready = look(fds, count, 0);
        if (ready != 0 || how.by.is_past()) return {ready, outcome::timed_out};
        for (nfds_t i = 0; i < count; ++i)
            if (fds[i].fd >= 0) all[i].seen = attempt{fds[i].fd};

        outcome end = outcome::ready;
        if (fails_at_once(how, end)) return {0, end};
        for (nfds_t i = 0; i < count && end == outcome::ready; ++i) {
            entry_wait& w = all[i];
            if (fds[i].fd < 0) continue;
            if (!w.seen.entry) {
                errno = ENOMEM;
                end = outcome::failed;
                break;
            }
            auto* node = ::new (w.room) fd_waiter{this_thread(), sched.next_token(), interest_of(fds[i].events), false};
            switch (link(*w.seen.entry, fds[i].fd, w.seen, *node)) {
                case link_result::linked: w.node = node; break;
                // A file is ready always, or never for what was asked of it: nothing to wait for.
                case link_result::failed: end = errno == EPERM ? outcome::ready : outcome::failed; break;
                default: end = outcome::interrupted; break;  // it has changed: look again
            }
        }
        wake cause = wake::unparked;
        const int link_error = errno;
        const auto unlink_all = [&] {
            for (nfds_t i = 0; i < count; ++i)
                if (fd_waiter* node = std::exchange(all[i].node, nullptr)) unlink(*all[i].seen.entry, *node);
        };
        if (end == outcome::ready) {
            try {
                cause = park(how, fds, count > 0);
            } catch (...) {
                unlink_all();
                throw;
            }
        }
        unlink_all();
        if (end == outcome::failed) {
            errno = link_error;
            return {-1, outcome::failed};
        }
        if (cause != wake::unparked) {
            const int at_last = look(fds, count, 0);
            if (at_last != 0 && cause == wake::timed_out) return {at_last, outcome::ready};
            return {0, outcome_of(cause)};
        }
    }
}

bool is_own(int fd) noexcept {
    const fd_entry* e = entry_if_any(fd);
    return e && e->own.load(std::memory_order_relaxed);
}

outcome pause(const manner& how) { return outcome_of(park(how, nullptr, false)); }

void never_drains(int fd) noexcept {
    if (fd_entry* e = entry_of(fd)) e->kind.store(fd_entry::other, std::memory_order_relaxed);
}

}  // namespace weft::detail::io
