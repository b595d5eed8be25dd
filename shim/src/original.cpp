#include "original.hpp"

#include <cerrno>
#include <cstring>

#include <dlfcn.h>

// The symbols themselves are defined in interpose.cpp.
#define WEFT_CALL(area, result, name, parameters, ...) extern "C" result weft_interposed_##name parameters asm(#name);
#include "../calls.def"
#undef WEFT_CALL

namespace weft::shim {

constinit originals original_calls{};
constinit bool originals_found = false;

#define WEFT_CALL(area, result, name, parameters, ...) \
    {#area, #name, reinterpret_cast<void*>(&weft_interposed_##name), reinterpret_cast<void**>(&original_calls.name)},
const call_row call_rows[] = {
#include "../calls.def"
    {nullptr, nullptr, nullptr, nullptr}};
#undef WEFT_CALL

namespace {

long missing() {
    errno = ENOSYS;
    return -1;
}

[[gnu::constructor(101)]] void find_early() { find_originals(); }

}  // namespace

void find_originals() noexcept {
    for (const call_row* row = call_rows; row->name; ++row) {
        void* found = dlsym(RTLD_NEXT, row->name);
        // Nobody stands behind us where we stand behind libc.
        if (!found) found = dlsym(RTLD_DEFAULT, row->name);
        if (found == row->interposed) found = nullptr;
        *row->original = found ? found : reinterpret_cast<void*>(&missing);
    }
    originals_found = true;
}

void* seen_by_program(const char* name) noexcept { return dlsym(RTLD_DEFAULT, name); }

}  // namespace weft::shim
