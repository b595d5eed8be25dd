#include "task.hpp"

#include <atomic>
#include <cstring>

#include <link.h>
#include <pthread.h>

#include "base/sys.hpp"

namespace weft::shim::sync {
namespace {

[[gnu::tls_model("initial-exec")]] thread_local constinit pid_t known_id = 0;

constinit std::atomic<std::uintptr_t> allocator_begin{0}, allocator_end{0};

// Threads may sleep in the lot although the process has no hub, which would see to that.
void in_child() {
    known_id = 0;
    lot::after_fork();
}
[[gnu::constructor(102)]] void watch_forks() { pthread_atfork(nullptr, nullptr, in_child); }

struct module_of {
    std::uintptr_t address;
    std::uintptr_t begin = 0, end = 0;
};

// The program itself and libc are more than allocators. An allocator linked into the program is not told apart.
bool is_only_allocator(const char* name) noexcept {
    if (!name || !*name) return false;
    const char* const slash = std::strrchr(name, '/');
    const char* const base = slash ? slash + 1 : name;
    return std::strncmp(base, "libc.so", 7) != 0 && std::strncmp(base, "ld-linux", 8) != 0;
}

int look_at_module(dl_phdr_info* info, std::size_t, void* p) noexcept {
    auto& found = *static_cast<module_of*>(p);
    std::uintptr_t begin = UINTPTR_MAX, end = 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& part = info->dlpi_phdr[i];
        if (part.p_type != PT_LOAD) continue;
        begin = std::min<std::uintptr_t>(begin, info->dlpi_addr + part.p_vaddr);
        end = std::max<std::uintptr_t>(end, info->dlpi_addr + part.p_vaddr + part.p_memsz);
    }
    if (found.address < begin || found.address >= end) return 0;
    if (is_only_allocator(info->dlpi_name)) found.begin = begin, found.end = end;
    return 1;
}

timespec clock_now(clockid_t clock) noexcept {
    timespec now{};
    ::clock_gettime(clock, &now);
    return now;
}

}  // namespace

deadline time_limit::as_deadline() const {
    if (!until) return deadline::never();
    if (is_before_all_time()) return deadline::past();
    const timespec now = clock_now(clock);
    constexpr std::int64_t sane = std::int64_t{1} << 32;  // seconds
    const std::int64_t seconds = until->tv_sec - now.tv_sec;
    if (until->tv_sec >= sane && seconds >= sane) return deadline::never();
    if (seconds < 0) return deadline::after(std::chrono::nanoseconds{0});
    const auto span = std::chrono::seconds{seconds} + std::chrono::nanoseconds{until->tv_nsec - now.tv_nsec};
    return deadline::after(std::max(span, std::chrono::nanoseconds{0}));
}

pid_t thread_id() noexcept {
    if (known_id == 0) known_id = static_cast<pid_t>(detail::sys::call(SYS_gettid));
    return known_id;
}

bool in_allocator(const void* address) noexcept {
    const auto number = reinterpret_cast<std::uintptr_t>(address);
    return number >= allocator_begin.load(std::memory_order_relaxed) && number < allocator_end.load(std::memory_order_relaxed);
}

void find_allocator() noexcept {
    module_of found{reinterpret_cast<std::uintptr_t>(seen_by_program("malloc"))};
    dl_iterate_phdr(look_at_module, &found);
    allocator_begin.store(found.begin, std::memory_order_relaxed);
    allocator_end.store(found.end, std::memory_order_relaxed);
}

detail::thread& tasks_by_name() {
    io::in_native_scope();  // gives the thread a hub
    return *tasks_here();
}

detail::thread* by_name() {
    detail::thread& t = tasks_by_name();
    return may_park(t) ? &t : nullptr;
}

}  // namespace weft::shim::sync
