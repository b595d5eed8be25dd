// The symbols that stand before libc's. Each is named by its assembler label: libc's headers declare the same
// functions with exception specifications, inline forms and large-file aliases of their own.
#include "core.hpp"
#include "gate.hpp"

namespace {
constexpr auto foreign = weft::shim::caller::foreign;
}

#define WEFT_CALL(area_, result, name, parameters, ...)                                             \
    extern "C" WEFT_API result weft_interposed_##name parameters asm(#name);                       \
    extern "C" result weft_interposed_##name parameters {                                          \
        if (weft::shim::parks(weft::monkey::area::area_))                                           \
            return weft::shim::core{foreign}.name(__VA_ARGS__);                                     \
        return weft::shim::original().name(__VA_ARGS__);                                            \
    }
#define WEFT_KEEP(area_, result, name, parameters, ...)                                            \
    extern "C" WEFT_API result weft_interposed_##name parameters asm(#name);                       \
    extern "C" result weft_interposed_##name parameters { return weft::shim::core{foreign}.name(__VA_ARGS__); }
#define WEFT_OWN(...)
#include "../calls.def"
#undef WEFT_CALL
