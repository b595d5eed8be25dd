#include "context/slab.hpp"

#include <algorithm>
#include <string>
#include <system_error>

#include <sys/mman.h>
#include <sys/resource.h>

#include "base/sys.hpp"
#include "context/sanitizer.hpp"

namespace weft::detail {
namespace {

// More would take from the rest of the program what it may need, and save no mappings.
std::size_t largest_mapping() noexcept {
    constexpr std::size_t most = std::size_t{16} << 30;
    rlimit limit{};
    if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return most;
    return std::min<std::size_t>(most, limit.rlim_cur / 64);
}

}  // namespace

std::unique_ptr<slab> slab::map(std::size_t usable, std::size_t wanted) {
    std::unique_ptr<slab> made{new slab{usable}};
    const std::size_t stride = made->stride();
    std::size_t count = std::clamp<std::size_t>(largest_mapping() / stride, 1, wanted);
    long at;
    for (;; count /= 2) {
        at = sys::call(SYS_mmap, 0, static_cast<long>(stride * count), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (at >= 0 || at < -4095 || count == 1) break;
    }
    if (at < 0 && at >= -4095)
        throw std::system_error(static_cast<int>(-at), std::generic_category(),
                                "weft: memory for a stack of " + std::to_string(usable / 1024) +
                                " KiB: refused, as RLIMIT_AS, vm.overcommit_memory or vm.max_map_count can");
    made->base_ = reinterpret_cast<std::byte*>(at);
    made->count_ = count;
    // A huge page would cost 2 MiB a parked fiber.
    sys::call(SYS_madvise, at, static_cast<long>(stride * count), MADV_NOHUGEPAGE);
    made->cold_.reserve(count);
    return made;
}

slab::~slab() { unmap(); }

bool slab::unmap() noexcept {
    if (!base_) return true;
    sanitizer::forget_stack(base_, stride() * count_);
    if (!sys::unmap(base_, stride() * count_)) return false;
    base_ = nullptr;
    return true;
}

int slab::make_ready(stack_guard kind, std::size_t wanted) noexcept {
    std::byte* const first = base_ + guarded_ * stride();
    const auto [made, error] = install_guards(kind, first, stride(), std::min(wanted, count_ - guarded_));
    // Where every fiber begins; committed for all of them, that is cheaper than by faults, which still serve.
    (void)advise(strided_ranges{first + stride() - page_size, page_size, stride(), made}, populate_write);
    guarded_ += made;
    return made > 0 ? 0 : error;
}

std::byte* slab::take() noexcept {
    std::size_t index;
    if (cold_.empty()) {
        index = given_++;
    } else {
        index = cold_.back();
        cold_.pop_back();
    }
    return base_ + index * stride() + guard_size;
}

void slab::give(std::byte* bottom) noexcept {
    cold_.push_back(static_cast<std::uint32_t>(static_cast<std::size_t>(bottom - base_) / stride()));
}

}  // namespace weft::detail
