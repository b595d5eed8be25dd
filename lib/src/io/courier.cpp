// Who tells the lot's sleepers what a handler of a signal may not tell them itself.
#include <new>

#include "base/sys.hpp"
#include "io/lot_line.hpp"
#include "io/signals.hpp"

namespace weft::detail::io::lot {
namespace {

constexpr std::size_t bits = 64;
constinit std::atomic<std::uint64_t> marked[(std::size_t{1} << bucket_bits) / bits]{};
constinit std::atomic<std::uint32_t> calls{0};
constinit small_lock starting;
bool started = false;  // guarded by it

// Everybody in the bucket who is first at his address.
void summon_all(bucket& b) noexcept {
    holding held{b};
    for (sleeper* at = b.first; at; at = at->next) {
        const void* const address = at->address.load(std::memory_order_relaxed);
        if (first_at(b, address) == at) summon_first(b, address, held);
    }
}

void deliver(void*) {
    for (;;) {
        const std::uint32_t seen = calls.load(std::memory_order_acquire);
        for (std::size_t word = 0; word < sizeof marked / sizeof *marked; ++word) {
            std::uint64_t set = marked[word].exchange(0, std::memory_order_acq_rel);
            for (; set != 0; set &= set - 1)
                summon_all(buckets[word * bits + static_cast<std::size_t>(__builtin_ctzll(set))]);
        }
        sys::futex_wait(calls, seen, nullptr);
    }
}

}  // namespace

int start_courier() noexcept {
    starting.lock();
    const int error = started ? 0 : start_own_thread("weft-courier", deliver, nullptr);
    if (error == 0) started = true;
    starting.unlock();
    return error;
}

void summon_safely(const void* address) noexcept {
    if (!perhaps_in_handler()) return summon(address);
    const auto number = static_cast<std::size_t>(&bucket_of(address) - buckets);
    marked[number / bits].fetch_or(std::uint64_t{1} << number % bits, std::memory_order_release);
    calls.fetch_add(1, std::memory_order_release);
    sys::futex_wake(calls, 1);
}

void forget_courier() noexcept {
    new (&starting) small_lock;
    started = false;
}

}  // namespace weft::detail::io::lot
