#include "context/stack.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include <sys/mman.h>

#include "base/sys.hpp"
#include "context/overflow.hpp"

namespace weft::detail {
namespace {

constexpr std::size_t first_slab = 8;
constexpr std::size_t stagger_steps = 16;
constexpr std::size_t stagger_bytes = 64;

// Strides may not be powers of two, or the tops of all stacks share a few cache sets: stack and guard are an
// odd number of pages together. Staggering its top costs a stack nothing of what was asked for.
std::size_t usable_for(std::size_t size) {
    const std::size_t needed = size + (stagger_steps - 1) * stagger_bytes;
    const std::size_t pages = (needed + page_size - 1) / page_size;
    return (pages + (pages + guard_size / page_size + 1) % 2) * page_size;
}

stack with_top(size_class& c, std::byte* bottom) noexcept {
    const std::size_t step = reinterpret_cast<std::uintptr_t>(bottom) / page_size % stagger_steps;
    return {bottom + c.usable - step * stagger_bytes, bottom, &c};
}

std::size_t total(const size_class& c) noexcept {
    std::size_t sum = 0;
    for (const auto& s : c.slabs) sum += s->count();
    return sum;
}

// Of stacks taken from slabs, the warm ones included.
std::size_t taken(const size_class& c) noexcept {
    std::size_t sum = 0;
    for (const auto& s : c.slabs) sum += s->in_use();
    return sum;
}

std::size_t slab_of(const size_class& c, const std::byte* bottom) noexcept {
    std::size_t index = 0;
    while (!c.slabs[index]->holds(bottom)) ++index;
    return index;
}

// If nothing in it is in use.
void unmap_slab(size_class& c, std::size_t index) noexcept {
    if (c.slabs[index]->in_use() > 0 || !c.slabs[index]->unmap()) return;
    c.slabs.erase(c.slabs.begin() + static_cast<std::ptrdiff_t>(index));
    c.first_ready = std::min(c.first_ready, index);
}

void to_slab(size_class& c, const stack& s) noexcept {
    const std::size_t index = slab_of(c, s.bottom);
    c.slabs[index]->give(s.bottom);
    c.first_ready = std::min(c.first_ready, index);
    // What is unmapped here is mapped again only after as many other stacks have been taken.
    if (c.slabs[index]->in_use() == 0 && total(c) - taken(c) + c.warm_count >= 2 * c.slabs[index]->count())
        unmap_slab(c, index);
}

// The oldest warm ones, at most most_at_once, give their memory to the system and go back to their slabs.
void cool(size_class& c, std::size_t count) noexcept {
    stack* const first = c.warm.get();
    std::rotate(first, first + count, first + c.warm_count);
    c.warm_count -= count;
    std::array<iovec, most_at_once> ranges;
    for (std::size_t i = 0; i < count; ++i) ranges[i] = {first[c.warm_count + i].bottom, c.usable};
    (void)advise({ranges.data(), count}, MADV_DONTNEED);
    for (std::size_t i = 0; i < count; ++i) to_slab(c, first[c.warm_count + i]);
}

// So that give() need not allocate; called while none is warm.
void make_warm_room(size_class& c, std::size_t bytes, std::size_t stacks) {
    const std::size_t room = std::min(bytes / c.usable, stacks);
    if (c.warm && room == c.warm_room) return;
    c.warm = std::make_unique<stack[]>(room + 1);
    c.warm_room = room;
}

[[noreturn]] void throw_no_guard(stack_guard kind, int error) {
    if (kind == stack_guard::mprotect && error == ENOMEM)
        throw std::system_error(error, std::generic_category(),
                                "weft: guard of a stack: a guard made with mprotect takes two mappings, and "
                                "vm.max_map_count limits them; raise it (sysctl -w vm.max_map_count=1000000) "
                                "or run fewer fibers; Linux 6.13 has guards that take none");
    throw std::system_error(error, std::generic_category(), "weft: guard of a stack");
}

}  // namespace

stack_pool::~stack_pool() {
    for (const auto& c : classes_) {
        for (std::size_t i = 0; i < c->warm_count; ++i)
            c->slabs[slab_of(*c, c->warm[i].bottom)]->give(c->warm[i].bottom);
        for (const auto& s : c->slabs)
            if (s->in_use() > 0) s->abandon();
    }
}

std::size_t stack_pool::slabs() const noexcept {
    std::size_t sum = 0;
    for (const auto& c : classes_) sum += c->slabs.size();
    return sum;
}

std::size_t stack_pool::in_use() const noexcept {
    std::size_t sum = 0;
    for (const auto& c : classes_) sum += taken(*c) - c->warm_count;
    return sum;
}

void stack_pool::check_size(std::size_t size) {
    if (size < min_stack_size || size > max_stack_size)
        throw std::invalid_argument("weft: a stack of " + std::to_string(size) +
                                    " bytes; the size must be between 16 KiB and 1 GiB");
}

bool stack_pool::is_of_size(const stack& s, std::size_t size) noexcept {
    return size >= min_stack_size && size <= max_stack_size && s.of->usable == usable_for(size);
}

size_class& stack_pool::class_of(std::size_t size) {
    if (size == recent_size_) return *recent_;
    check_size(size);
    const std::size_t usable = usable_for(size);
    auto at = std::find_if(classes_.begin(), classes_.end(), [&](auto& c) { return c->usable == usable; });
    if (at == classes_.end())
        at = classes_.insert(classes_.end(), std::make_unique<size_class>(size_class{.usable = usable}));
    recent_size_ = size;
    recent_ = at->get();
    return *recent_;
}

void stack_pool::add_slab(size_class& c) {
    const stack_options options = current_stack_options();
    if (options.report_overflow) {
        signal_stack_.install();
        catch_overflows();
    }
    const std::size_t before = total(c);
    c.slabs.reserve(c.slabs.size() + 1);
    std::unique_ptr<slab> made = slab::map(c.usable, std::max(before, first_slab));
    make_warm_room(c, options.warm_bytes, before + made->count());
    c.slabs.push_back(std::move(made));
}

// The oldest ones fill first, so that the largest and newest can become free.
slab& stack_pool::ready_slab(size_class& c) {
    for (; c.first_ready < c.slabs.size(); ++c.first_ready)
        if (c.slabs[c.first_ready]->has_ready()) return *c.slabs[c.first_ready];
    auto at = std::find_if(c.slabs.begin(), c.slabs.end(), [](auto& s) { return s->has_unguarded(); });
    if (at == c.slabs.end()) {
        add_slab(c);
        at = c.slabs.end() - 1;
    }
    // Many by one system call: the more there are, so that few stacks lie committed ahead of their use.
    const stack_guard kind = settle(current_stack_options().guard);
    const std::size_t most = kind == stack_guard::mprotect ? 1 : most_at_once;
    const std::size_t wanted = std::clamp<std::size_t>(taken(c) / 16, 1, most);
    if (const int error = (*at)->make_ready(kind, wanted)) throw_no_guard(kind, error);
    c.first_ready = static_cast<std::size_t>(at - c.slabs.begin());
    return **at;
}

stack stack_pool::take_slowly(std::size_t size) {
    size_class& c = class_of(size);
    if (c.warm_count > 0) return c.warm[--c.warm_count];
    return with_top(c, ready_slab(c).take());
}

void stack_pool::give_slowly(const stack& s) noexcept {
    size_class& c = *s.of;
    c.warm[c.warm_count++] = s;
    cool(c, std::clamp<std::size_t>(c.warm_count / 8, 1, most_at_once));
}

void stack_pool::trim() noexcept {
    const std::size_t warm_bytes = current_stack_options().warm_bytes;
    for (const auto& c : classes_) {
        while (c->warm_count > 0) cool(*c, std::min(c->warm_count, most_at_once));
        for (std::size_t index = c->slabs.size(); index-- > 0;) unmap_slab(*c, index);
        try {
            make_warm_room(*c, warm_bytes, total(*c));
        } catch (const std::bad_alloc&) {
            c->warm_room = 0;  // until the next slab
        }
    }
}

std::size_t stack_used(const stack& s) noexcept {
    std::array<unsigned char, 256> resident;
    for (std::byte* at = s.bottom; at < s.top; at += resident.size() * page_size) {
        const std::size_t pages = (static_cast<std::size_t>(s.top - at) + page_size - 1) / page_size;
        const std::size_t part = std::min(pages, resident.size());
        const long size = static_cast<long>(part * page_size);
        if (sys::call(SYS_mincore, sys::word(at), size, sys::word(resident.data())) != 0) break;
        for (std::size_t i = 0; i < part; ++i)
            if (resident[i] & 1) return static_cast<std::size_t>(s.top - (at + i * page_size));
    }
    return 0;
}

}  // namespace weft::detail
