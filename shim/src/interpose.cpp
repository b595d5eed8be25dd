// The symbols that stand before libc's. Each is named by its assembler label: libc's headers declare the same
// functions with exception specifications, inline forms and large-file aliases of their own.
#include "core.hpp"
#include "gate.hpp"
#include "told.hpp"

namespace {
constexpr auto foreign = weft::shim::caller::foreign;
}

// Out of line, so that what is told of costs the others nothing.
#define WEFT_TOLD(area_, result, name, parameters, answer)                                                      \
    [[gnu::noinline, gnu::cold]] static result weft_told_##name parameters {                                   \
        const bool in_task = weft::shim::parks(weft::monkey::area::area_);                                      \
        const weft::shim::told_call told{weft::shim::call_index::name, __builtin_frame_address(0), in_task};    \
        answer                                                                                                  \
    }
#define WEFT_CALL(area_, result, name, parameters, ...)                                                         \
    WEFT_TOLD(area_, result, name, parameters,                                                                  \
              return in_task ? weft::shim::core{foreign}.name(__VA_ARGS__)                                      \
                             : weft::shim::original().name(__VA_ARGS__);)                                       \
    extern "C" WEFT_API result weft_interposed_##name parameters asm(#name);                                   \
    extern "C" result weft_interposed_##name parameters {                                                      \
        const auto gate = weft::shim::gate_of(weft::monkey::area::area_);                                       \
        if (gate == 0) return weft::shim::original().name(__VA_ARGS__);                                         \
        if (gate & weft::shim::is_told) [[unlikely]] return weft_told_##name(__VA_ARGS__);                      \
        if (weft::detail::io::may_park()) return weft::shim::core{foreign}.name(__VA_ARGS__);                   \
        return weft::shim::original().name(__VA_ARGS__);                                                        \
    }
#define WEFT_KEEP(area_, result, name, parameters, ...)                                                        \
    WEFT_TOLD(area_, result, name, parameters, return weft::shim::core{foreign}.name(__VA_ARGS__);)             \
    extern "C" WEFT_API result weft_interposed_##name parameters asm(#name);                                   \
    extern "C" result weft_interposed_##name parameters {                                                      \
        if (weft::shim::gate_of(weft::monkey::area::area_) & weft::shim::is_told) [[unlikely]]                  \
            return weft_told_##name(__VA_ARGS__);                                                               \
        return weft::shim::core{foreign}.name(__VA_ARGS__);                                                     \
    }
#define WEFT_OWN(...)
#include "../calls.def"
#undef WEFT_CALL
