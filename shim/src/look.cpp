#include "look.hpp"

#include <cstdint>
#include <cstdio>
#include <string_view>

#include "base/sys.hpp"

namespace weft::shim {

bool refuses(int fd, short event, size_t size) noexcept {
    constexpr size_t never = SIZE_MAX;
    constexpr struct {
        std::string_view name;
        size_t read, written;  // at least
    } kinds[] = {{"anon_inode:[eventfd]", 8, 8},    {"anon_inode:[timerfd]", 8, never},
                 {"anon_inode:[signalfd]", 128, never}, {"anon_inode:inotify", 0, never},
                 {"anon_inode:[eventpoll]", never, never}, {"anon_inode:[pidfd]", never, never}};
    namespace sys = detail::sys;
    char link[32], name[64];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const long length = sys::call(SYS_readlinkat, AT_FDCWD, sys::word(link), sys::word(name), sizeof name);
    for (const auto& kind : kinds)
        if (length > 0 && std::string_view{name, static_cast<size_t>(length)} == kind.name)
            return size < (event == POLLIN ? kind.read : kind.written);
    return false;
}

}  // namespace weft::shim
