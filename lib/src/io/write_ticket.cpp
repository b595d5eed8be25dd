#include "io/write_ticket.hpp"

#include <mutex>
#include <utility>

#include "io/fd_waiter.hpp"
#include "io/signals.hpp"

namespace weft::detail::io {
namespace {

constexpr std::uint32_t somebody_waits = 1;

// The running fiber, as fd_entry::writer names it.
std::uint32_t own_name() noexcept {
    record& me = *this_thread().current;
    if (me.short_name == 0) {
        const auto name = static_cast<std::uint32_t>(me.block->id << 1);
        me.short_name = name != 0 ? name : 2;
    }
    return me.short_name;
}

}  // namespace

bool write_ticket::take(const attempt& a) noexcept {
    const std::uint32_t name = own_name();
    std::uint32_t found = 0;
    if (a.entry->writer.compare_exchange_strong(found, name, std::memory_order_acquire, std::memory_order_relaxed)) {
        entry_ = a.entry;
        return had_ = true;
    }
    // The call that has it is below this one: a signal handler stands between them, and must not wait for it.
    return had_ = (found & ~somebody_waits) == name;
}

outcome write_ticket::wait(const attempt& a, const manner& how) {
    if (perhaps_in_handler()) {
        had_ = true;
        return outcome::ready;
    }
    fd_entry& e = *a.entry;
    outcome end;
    if (fails_at_once(how, end)) return end;
    fd_waiter me{this_thread(), scheduler::here().next_token(), for_ticket, true};
    me.writer = own_name();
    {
        const std::lock_guard guard{e.lock};
        if (e.generation.load(std::memory_order_relaxed) != a.generation) return outcome::closed;
        std::uint32_t word = 0;
        while (!e.writer.compare_exchange_weak(word, word == 0 ? me.writer : word | somebody_waits,
                                               std::memory_order_acquire, std::memory_order_relaxed)) {}
        if (word == 0) {
            entry_ = &e;
            had_ = true;
            return outcome::ready;
        }
        e.append(me);
    }
    wake cause;
    try {
        cause = park(how, &e, true);
    } catch (...) {
        if (unlink(e, me) && !me.closed) {
            entry_ = &e;
            give();
        }
        throw;
    }
    const bool granted = unlink(e, me);
    if (me.closed) return outcome::closed;
    if (!granted) return outcome_of(cause);
    entry_ = &e;
    had_ = true;
    if (cause != wake::killed) return outcome::ready;
    give();
    return outcome::killed;
}

void write_ticket::give() noexcept {
    had_ = false;
    fd_entry* const e = std::exchange(entry_, nullptr);
    if (!e) return;
    const std::uint32_t name = own_name();
    std::uint32_t found = name;
    if (e->writer.compare_exchange_strong(found, 0, std::memory_order_release, std::memory_order_relaxed)) return;
    const std::lock_guard guard{e->lock};
    // Closed meanwhile, it may be another's, of another file.
    if ((e->writer.load(std::memory_order_relaxed) & ~somebody_waits) != name) return;
    for (fd_waiter* w = e->first; w; w = w->after()) {
        if (w->interest != for_ticket) continue;
        e->take_out(*w);
        e->writer.store(w->writer | somebody_waits, std::memory_order_release);
        w->grant_and_wake();
        return;
    }
    e->writer.store(0, std::memory_order_release);
}

}  // namespace weft::detail::io
