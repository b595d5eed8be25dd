// Is this library in the process twice?  Floor: base.
//
// Two copies (one linked in statically and one shared, or two files) each have tables and schedulers of their own: a task
// of one is no task to the other. Each copy carries a note in its module, which the other's initialisation finds.
#pragma once

#include <cstdint>

#include <weft/detail/export.hpp>

namespace weft::detail {

enum class part : std::uint32_t { library = 1, shim = 2 };

/// Whether the process has one copy only. `here` is an address in the module that asks: with `tell`, it prints a line
/// on standard error unless it has come first, so that of two copies one speaks.
WEFT_API bool only_copy(part which, const void* here, bool tell) noexcept;

}  // namespace weft::detail

/// At namespace scope in one source of each part: its note, of type `part`, owner "weft".
#define WEFT_COPY_NOTE(part)                                                                                      \
    asm(".pushsection .note.weft, \"a\", %note\n"                                                                 \
        ".balign 4\n.long 5, 4, " #part "\n.asciz \"weft\"\n.balign 4\n.long 1\n.popsection")
