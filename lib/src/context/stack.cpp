#include "context/stack.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

#include <sys/mman.h>

#include "base/sys.hpp"
#include "context/sanitizer.hpp"

namespace weft::detail {
namespace {

constexpr long madv_guard_install = 102;  // Linux 6.13
constexpr long madv_nohugepage = 15;
constexpr long madv_dontneed = 4;
constexpr std::size_t first_slab = 8;
constexpr std::size_t largest_slab = 256;
constexpr std::size_t stagger_steps = 16;
constexpr std::size_t stagger_bytes = 64;

// 0 not known yet, 1 MADV_GUARD_INSTALL, 2 mprotect.
std::atomic<int> guard_kind{0};

long advise(void* at, std::size_t size, long advice) noexcept {
    return sys::call(SYS_madvise, sys::word(at), static_cast<long>(size), advice);
}

void install_guard(std::byte* at) {
    if (guard_kind.load(std::memory_order_relaxed) != 2) {
        const long result = advise(at, guard_size, madv_guard_install);
        if (result == 0) {
            guard_kind.store(1, std::memory_order_relaxed);
            return;
        }
        if (result != -EINVAL)
            throw std::system_error(static_cast<int>(-result), std::generic_category(), "weft: guard of a stack");
        guard_kind.store(2, std::memory_order_relaxed);
    }
    const long result = sys::call(SYS_mprotect, sys::word(at), guard_size, PROT_NONE);
    if (result == 0) return;
    throw std::system_error(static_cast<int>(-result), std::generic_category(),
                            "weft: guard of a stack; each takes two mappings on this kernel, "
                            "raise vm.max_map_count or run fewer fibers");
}

std::size_t round_up(std::size_t size) { return (size + page_size - 1) / page_size * page_size; }

// Neither stack sizes nor strides may be powers of two, or the tops of all stacks share a few cache sets.
std::size_t stride_of(std::size_t size) {
    const std::size_t pages = (size + guard_size) / page_size;
    return (pages % 2 == 0 ? pages + 1 : pages) * page_size;
}

}  // namespace

stack_pool::~stack_pool() {
    if (in_use_ > 0) return;
    for (auto& c : classes_)
        for (const slab& s : c->slabs) {
            sanitizer::forget_stack(s.base, c->stride * s.count);
            sys::call(SYS_munmap, sys::word(s.base), static_cast<long>(c->stride * s.count));
        }
}

std::size_t stack_pool::slabs() const noexcept {
    std::size_t total = 0;
    for (const auto& c : classes_) total += c->slabs.size();
    return total;
}

void stack_pool::check_size(std::size_t size) {
    if (size < min_stack_size || size > max_stack_size)
        throw std::invalid_argument("weft: a stack of " + std::to_string(size) +
                                    " bytes; the size must be between 16 KiB and 1 GiB");
}

stack_pool::size_class& stack_pool::class_of(std::size_t size) {
    check_size(size);
    size = round_up(size);
    for (auto& c : classes_)
        if (c->size == size) return *c;
    classes_.push_back(std::make_unique<size_class>(size_class{size, stride_of(size), {}, {}}));
    return *classes_.back();
}

void stack_pool::add_slab(size_class& c) {
    std::size_t total = 0;
    for (const slab& s : c.slabs) total += s.count;
    std::size_t count = std::clamp(total, first_slab, largest_slab);
    c.slabs.reserve(c.slabs.size() + 1);
    c.free.reserve(total + count);
    long at;
    // A limit on the address space may refuse a large slab and still allow a single stack.
    for (;; count /= 2) {
        at = sys::call(SYS_mmap, 0, static_cast<long>(c.stride * count), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (at >= 0 || at < -4095 || count == 1) break;
    }
    if (at < 0 && at >= -4095)
        throw std::system_error(static_cast<int>(-at), std::generic_category(),
                                "weft: memory for a stack of " + std::to_string(c.size / 1024) + " KiB");
    auto* base = reinterpret_cast<std::byte*>(at);
    advise(base, c.stride * count, madv_nohugepage);  // a huge page would cost 2 MiB a parked fiber
    c.slabs.push_back({base, count, 0});
}

std::byte* stack_pool::carve(size_class& c) {
    if (c.slabs.empty() || c.slabs.back().carved == c.slabs.back().count) add_slab(c);
    slab& s = c.slabs.back();
    std::byte* at = s.base + s.carved * c.stride;
    install_guard(at);
    ++s.carved;
    return at + guard_size;
}

stack stack_pool::take(std::size_t size) {
    size_class& c = class_of(size);
    std::byte* bottom;
    if (!c.free.empty()) {
        bottom = c.free.back();
        c.free.pop_back();
    } else {
        bottom = carve(c);
    }
    ++in_use_;
    const std::size_t step = reinterpret_cast<std::uintptr_t>(bottom) / page_size % stagger_steps;
    stack s;
    s.bottom = bottom;
    s.top = bottom + c.size - step * stagger_bytes;
    s.pool_index = static_cast<std::uint32_t>(
        std::find_if(classes_.begin(), classes_.end(), [&](auto& p) { return p.get() == &c; }) - classes_.begin());
    return s;
}

void stack_pool::give(const stack& s) noexcept {
    size_class& c = *classes_[s.pool_index];
    sanitizer::forget_stack(s.bottom, c.size);
    if (c.free.size() >= warm_limit) advise(s.bottom, c.size, madv_dontneed);
    c.free.push_back(s.bottom);
    --in_use_;
}

}  // namespace weft::detail
