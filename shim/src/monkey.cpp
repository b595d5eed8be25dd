#include <weft/monkey.hpp>

#include <cstring>
#include <stdexcept>

#include <pthread.h>

#include "base/check.hpp"
#include "base/copies.hpp"
#include "context/sanitizer.hpp"
#include "gate.hpp"
#include "original.hpp"
#include "self_check.hpp"
#include "sync/task.hpp"

namespace weft {
namespace shim {

constinit std::atomic<std::uint8_t> gates[areas]{};

namespace {

constexpr const char* area_names[areas] = {"time", "socket", "fd", "poll", "dns", "file", "process", "signal", "sync"};
constinit std::atomic<std::uint32_t> fork_count{0};

void count_fork() { fork_count.fetch_add(1, std::memory_order_relaxed); }
[[gnu::constructor(102)]] void watch_forks() { pthread_atfork(count_fork, nullptr, nullptr); }

}  // namespace

int area_named(std::string_view name) noexcept {
    for (int i = 0; i < areas; ++i)
        if (name == area_names[i]) return i;
    return -1;
}

std::uint32_t forks() noexcept { return fork_count.load(std::memory_order_relaxed); }

}  // namespace shim

namespace monkey {

bool patch(std::initializer_list<area> which) {
    // Of two copies the younger has said so when it was loaded.
    for (const auto part : {weft::detail::part::library, weft::detail::part::shim})
        if (!weft::detail::only_copy(part, nullptr, false)) return false;
    if (!shim::calls_arrive()) {
        weft::detail::warn("patch_all(): calls go past libweft-shim to libc and could not be redirected; link it before "
                           "libc, as `pkg-config --libs weft-shim` does, or preload it. Nothing is patched");
        return false;
    }
    shim::sync::find_allocator();
    for (const area a : which) shim::gates[static_cast<int>(a)].fetch_or(shim::is_patched, std::memory_order_relaxed);
    return true;
}

bool patch(area which) { return patch({which}); }

bool patch_all() {
#if defined(WEFT_TSAN)  // which must see every lock itself
    return patch({area::time, area::socket, area::fd, area::poll, area::dns, area::file, area::process, area::signal});
#else
    return patch({area::time, area::socket, area::fd, area::poll, area::dns, area::file, area::process, area::signal,
                  area::sync});
#endif
}

void unpatch_all() noexcept {
    for (auto& gate : shim::gates) gate.fetch_and(static_cast<std::uint8_t>(~shim::is_patched), std::memory_order_relaxed);
}

bool is_patched(area which) noexcept { return (shim::gate_of(which) & shim::is_patched) != 0; }

bool is_patched(std::string_view name) noexcept {
    int index = shim::area_named(name);
    for (const shim::call_row* row = shim::call_rows; row->name && index < 0; ++row)
        if (name == row->name) index = shim::area_named(row->area);
    return index >= 0 && is_patched(static_cast<area>(index));
}

namespace detail {
void* original_of(void* call) {
    shim::find_originals();
    for (const shim::call_row* row = shim::call_rows; row->name; ++row)
        if (call == row->interposed || call == *row->original || call == shim::seen_by_program(row->name))
            return *row->original;
    throw std::invalid_argument("weft: monkey::original<> of a function that the shim does not patch; call it directly");
}
}  // namespace detail

native_scope::native_scope() { weft::detail::io::enter_native(); }
native_scope::~native_scope() { weft::detail::io::leave_native(); }

}  // namespace monkey
}  // namespace weft
