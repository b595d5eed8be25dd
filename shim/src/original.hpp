// The libc functions behind the interposed calls.  Floor: shim.
#pragma once

#include "types.hpp"

namespace weft::shim {

struct originals {
#define WEFT_CALL(area, result, name, parameters, ...) result(*name) parameters;
#include "../calls.def"
#undef WEFT_CALL
};

/// Filled in before main, or at the first call if one comes earlier; never changed afterwards. A call that this libc
/// does not have answers ENOSYS.
extern originals original_calls;
extern bool originals_found;
void find_originals() noexcept;

inline const originals& original() noexcept {
    if (!originals_found) [[unlikely]]
        find_originals();
    return original_calls;
}

/// One row of calls.def at run time.
struct call_row {
    const char* area;
    const char* name;
    void* interposed;  // ours
    void** original;   // in original_calls
};

/// All rows, ended by one with a null name.
extern const call_row call_rows[];

/// What the name means to the program's other modules: ours, if the shim stands before libc.
void* seen_by_program(const char* name) noexcept;

}  // namespace weft::shim
