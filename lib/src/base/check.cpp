#include "base/check.hpp"

#include <cstdlib>
#include <cstring>

#include "base/sys.hpp"

namespace weft::detail {

void warn(const char* what) noexcept {
    char line[512] = "weft: ";
    std::size_t used = 6;
    const std::size_t wanted = std::strlen(what);
    const std::size_t room = sizeof line - used - 1;
    const std::size_t taken = wanted < room ? wanted : room;
    std::memcpy(line + used, what, taken);
    used += taken;
    line[used++] = '\n';
    sys::write(2, line, used);
}

void fatal(const char* what) noexcept {
    warn(what);
    std::abort();
}

}  // namespace weft::detail
