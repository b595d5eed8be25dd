#include "context/guard.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include <sys/mman.h>
#include <sys/uio.h>

#include "base/check.hpp"
#include "base/sys.hpp"

namespace weft::detail {
namespace {

constexpr long guard_install = 102;  // MADV_GUARD_INSTALL
constexpr long populate_write = 23;  // MADV_POPULATE_WRITE, Linux 5.14
constexpr long this_process = -10000;  // PIDFD_SELF, Linux 6.15

long advise(std::byte* at, std::size_t size, long advice) noexcept {
    return sys::call(SYS_madvise, sys::word(at), static_cast<long>(size), advice);
}

bool kernel_has_lightweight() noexcept {
    static const bool has = [] {
        const long at = sys::call(SYS_mmap, 0, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at < 0 && at >= -4095) return true;  // let its use say what is wrong
        const long result = sys::call(SYS_madvise, at, page_size, guard_install);
        sys::call(SYS_munmap, at, page_size);
        return result == 0;
    }();
    return has;
}

stack_guard of_environment() noexcept {
    const char* text = std::getenv("WEFT_GUARD");
    const std::string_view wish = text ? text : "automatic";
    if (wish == "automatic") return stack_guard::automatic;
    if (wish == "lightweight") return stack_guard::lightweight;
    if (wish == "mprotect") return stack_guard::mprotect;
    if (wish == "none") return stack_guard::none;
    fatal("WEFT_GUARD must be 'automatic', 'lightweight', 'mprotect' or 'none'");
}

// The same advice for many ranges by one system call. @returns whether all was done
bool advise_at_once(std::byte* first, std::size_t size, std::size_t stride, std::size_t count, long advice) noexcept {
    static std::atomic<bool> possible{true};
    if (!possible.load(std::memory_order_relaxed)) return false;
    std::array<iovec, 64> ranges;
    for (std::size_t done = 0; done < count;) {
        const std::size_t part = std::min(count - done, ranges.size());
        for (std::size_t i = 0; i < part; ++i) ranges[i] = {first + (done + i) * stride, size};
        const long result =
            sys::call(SYS_process_madvise, this_process, sys::word(ranges.data()), static_cast<long>(part), advice, 0);
        if (result != static_cast<long>(part * size)) {
            if (result == -ENOSYS || result == -EBADF || result == -EINVAL || result == -EPERM)
                possible.store(false, std::memory_order_relaxed);
            return false;
        }
        done += part;
    }
    return true;
}

}  // namespace

stack_guard settle(stack_guard wanted) {
    static const stack_guard from_environment = of_environment();
    if (wanted == stack_guard::automatic) wanted = from_environment;
    if (wanted == stack_guard::automatic)
        return kernel_has_lightweight() ? stack_guard::lightweight : stack_guard::mprotect;
    if (wanted == stack_guard::lightweight && !kernel_has_lightweight())
        throw std::system_error(ENOTSUP, std::generic_category(),
                                "weft: lightweight guards of stacks need Linux 6.13; use stack_guard::automatic");
    return wanted;
}

guarded install_guards(stack_guard kind, std::byte* first, std::size_t stride, std::size_t count) noexcept {
    if (kind == stack_guard::none) return {count, 0};
    const bool lightweight = kind == stack_guard::lightweight;
    if (lightweight && count > 1 && advise_at_once(first, guard_size, stride, count, guard_install)) return {count, 0};
    for (std::size_t i = 0; i < count; ++i) {
        std::byte* const at = first + i * stride;
        const long result = lightweight ? advise(at, guard_size, guard_install)
                                        : sys::call(SYS_mprotect, sys::word(at), guard_size, PROT_NONE);
        if (result != 0) return {i, static_cast<int>(-result)};
    }
    return {count, 0};
}

void commit_pages(std::byte* first, std::size_t stride, std::size_t count) noexcept {
    if (count > 1 && advise_at_once(first, page_size, stride, count, populate_write)) return;
    for (std::size_t i = 0; i < count; ++i)
        if (advise(first + i * stride, page_size, populate_write) != 0) return;
}

}  // namespace weft::detail
