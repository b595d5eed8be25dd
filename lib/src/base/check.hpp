// What cannot be survived ends here, with a text.  Floor: base.
#pragma once

#include <weft/detail/export.hpp>

namespace weft::detail {

/// Prints "weft: <what>" to standard error and aborts. For misuse that leaves nothing to stand on.
[[noreturn]] WEFT_API void fatal(const char* what) noexcept;

/// Prints one line to standard error without allocating.
WEFT_API void warn(const char* what) noexcept;

}  // namespace weft::detail

/// Holds in every build. The text says what went wrong and what to do about it.
#define WEFT_CHECK(condition, what)                    \
    do {                                               \
        if (!(condition)) [[unlikely]]                 \
            ::weft::detail::fatal(what);               \
    } while (false)
