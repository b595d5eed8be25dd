#include "context/sanitizer.hpp"

#if defined(WEFT_VALGRIND)

#include <map>
#include <mutex>

#include <valgrind/valgrind.h>

namespace weft::detail::sanitizer {
namespace {

struct registered {
    std::mutex lock;
    std::map<const void*, unsigned> stacks;  // by their bottom, each as Valgrind numbers it
};

// Never destroyed: threads may end after the process's static objects.
registered& all() {
    static auto* const made = new registered;
    return *made;
}

}  // namespace

const bool on_valgrind = [] { return RUNNING_ON_VALGRIND != 0; }();

void register_stack(const void* bottom, std::size_t size) noexcept {
    const auto* const low = static_cast<const std::byte*>(bottom);
    const std::lock_guard guard{all().lock};
    all().stacks[bottom] = static_cast<unsigned>(VALGRIND_STACK_REGISTER(low, low + size - 1));
}

void forget_registered(const void* bottom, std::size_t size) noexcept {
    const std::lock_guard guard{all().lock};
    auto& stacks = all().stacks;
    const auto from = stacks.lower_bound(bottom);
    const auto to = stacks.lower_bound(static_cast<const std::byte*>(bottom) + size);
    for (auto at = from; at != to; ++at) VALGRIND_STACK_DEREGISTER(at->second);
    stacks.erase(from, to);
}

}  // namespace weft::detail::sanitizer

#endif
