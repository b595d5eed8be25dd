// The libc functions behind the interposed calls.  Floor: shim.
#pragma once

#include <weft/detail/export.hpp>

#include "types.hpp"

namespace weft::shim {

// A page of its own, as large as any kernel's of that processor: it is made read-only.
#if defined(__aarch64__)
inline constexpr std::size_t originals_page = 65536;
#else
inline constexpr std::size_t originals_page = 4096;
#endif

struct alignas(originals_page) originals {
#define WEFT_CALL(area, result, name, parameters, ...) result(*name) parameters;
#include "../calls.def"
#undef WEFT_CALL
};

/// Filled in before main and before the constructors of other modules, and read-only from then on but in tests. A call that comes
/// earlier fills it in; one that comes in the middle of that (from an allocator, say) gets its early form, of early.hpp.
/// A call that this libc does not have answers ENOSYS.
[[gnu::visibility("hidden")]] extern originals original_calls;

inline const originals& original() noexcept { return original_calls; }

/// Fills in the table if nobody has. @returns false in the middle of that
bool find_originals() noexcept;

/// For tests, which put functions that fail in the places of libc's: it can be written from then on.
WEFT_API originals& originals_to_replace() noexcept;

/// One row of calls.def at run time.
struct call_row {
    const char* area;
    const char* name;
    void* interposed;  // ours
    void** original;   // in original_calls
};

#define WEFT_CALL(...) +1
inline constexpr std::size_t call_count = 0
#include "../calls.def"
    ;
#undef WEFT_CALL

/// All rows, ended by one with a null name.
extern const call_row call_rows[call_count + 1];

/// What the name means to the program's other modules: ours, if the shim stands before libc.
void* seen_by_program(const char* name) noexcept;

}  // namespace weft::shim
