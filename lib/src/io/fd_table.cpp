#include "io/fd_table.hpp"

#include <sys/mman.h>

#include "base/sys.hpp"
#include "io/fd_waiter.hpp"

namespace weft::detail::io {
namespace {

// Two levels; the kernel's own ceiling for a descriptor (sysctl fs.nr_open) is far below 2^28.
constexpr int chunk_bits = 7;
constexpr int chunk_size = 1 << chunk_bits;
constexpr int chunks = 1 << 21;

std::atomic<fd_entry*> table[chunks];  // untouched pages of it cost nothing
std::atomic<std::uint32_t> changes{0};
std::atomic<int> highest_chunk{-1};

fd_entry* add_chunk(std::atomic<fd_entry*>& slot) noexcept {
    // From the kernel, not from malloc: this runs inside interposed calls.
    constexpr std::size_t size = sizeof(fd_entry) * chunk_size;
    const long at = sys::call(SYS_mmap, 0, static_cast<long>(size), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at < 0 && at >= -4095) return nullptr;
    auto* made = reinterpret_cast<fd_entry*>(at);
    for (int i = 0; i < chunk_size; ++i) new (made + i) fd_entry;
    fd_entry* expected = nullptr;
    if (slot.compare_exchange_strong(expected, made, std::memory_order_acq_rel, std::memory_order_acquire)) {
        const int index = static_cast<int>(&slot - table);
        int highest = highest_chunk.load(std::memory_order_relaxed);
        while (highest < index && !highest_chunk.compare_exchange_weak(highest, index, std::memory_order_acq_rel)) {}
        return made;
    }
    sys::unmap(made, size);
    return expected;
}

}  // namespace

fd_entry* entry_if_any(int fd) noexcept {
    if (fd < 0 || (fd >> chunk_bits) >= chunks) return nullptr;
    fd_entry* chunk = table[fd >> chunk_bits].load(std::memory_order_acquire);
    return chunk ? chunk + (fd & (chunk_size - 1)) : nullptr;
}

fd_entry* entry_of(int fd) noexcept {
    if (fd < 0 || (fd >> chunk_bits) >= chunks) return nullptr;
    auto& slot = table[fd >> chunk_bits];
    fd_entry* chunk = slot.load(std::memory_order_acquire);
    if (!chunk) chunk = add_chunk(slot);
    return chunk ? chunk + (fd & (chunk_size - 1)) : nullptr;
}

void fd_entry::append(fd_waiter& w) noexcept {
    w.prev = last;
    if (last) last->next = &w;
    else first = &w;
    last = &w;
    waiters.fetch_add(1, std::memory_order_relaxed);
}

void fd_entry::take_out(fd_waiter& w) noexcept {
    if (w.prev) w.prev->next = w.next;
    else first = static_cast<fd_waiter*>(w.next);
    if (w.next) w.next->prev = w.prev;
    else last = static_cast<fd_waiter*>(w.prev);
    waiters.fetch_sub(1, std::memory_order_relaxed);
}

int known_limit() noexcept { return (highest_chunk.load(std::memory_order_acquire) + 1) * chunk_size; }

void for_each_entry(void (*visit)(fd_entry&, int), int argument) noexcept {
    const int last = highest_chunk.load(std::memory_order_acquire);
    for (int c = 0; c <= last; ++c) {
        fd_entry* chunk = table[c].load(std::memory_order_acquire);
        for (int i = 0; chunk && i < chunk_size; ++i) visit(chunk[i], argument);
    }
}

std::uint32_t flag_changes() noexcept { return changes.load(std::memory_order_acquire); }
void flags_changed() noexcept { changes.fetch_add(1, std::memory_order_acq_rel); }

}  // namespace weft::detail::io
