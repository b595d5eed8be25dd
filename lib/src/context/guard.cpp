#include "context/guard.hpp"

#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include <sys/mman.h>

#include "base/check.hpp"
#include "base/sys.hpp"

namespace weft::detail {
namespace {

bool kernel_has_lightweight() noexcept {
    static const bool has = [] {
        const long at =
            sys::call(SYS_mmap, 0, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at < 0 && at >= -4095) return true;  // its use will say what is wrong
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

}  // namespace

stack_guard settle(stack_guard wanted) {
    static const stack_guard from_environment = of_environment();
    if (wanted == stack_guard::automatic) wanted = from_environment;
    if (wanted == stack_guard::automatic)
        return kernel_has_lightweight() ? stack_guard::lightweight : stack_guard::mprotect;
    if (wanted == stack_guard::lightweight && !kernel_has_lightweight())
        throw std::system_error(ENOTSUP, std::generic_category(),
                                "weft: lightweight guards of stacks need Linux 6.13; "
                                "use stack_guard::automatic");
    return wanted;
}

advised install_guards(stack_guard kind, std::byte* first, std::size_t stride, std::size_t count) noexcept {
    if (kind == stack_guard::none) return {count, 0};
    if (kind == stack_guard::lightweight)
        return advise(strided_ranges{first, guard_size, stride, count}, guard_install);
    for (std::size_t i = 0; i < count; ++i) {
        const long result = sys::call(SYS_mprotect, sys::word(first + i * stride), guard_size, PROT_NONE);
        if (result != 0) return {i, static_cast<int>(-result)};
    }
    return {count, 0};
}

}  // namespace weft::detail
