// weft::shim: the same calls for whoever asks for them by name. A first one makes the thread's hub.  Floor: shim.
#pragma once

#include "core.hpp"
#include "told.hpp"

namespace weft::shim {
inline bool anybody_told() noexcept { return (gate_of(monkey::area::time) & is_told) != 0; }
}  // namespace weft::shim

// A definition in weft::shim.
#define WEFT_COVER(result, name, parameters, ...)                                                          \
    [[gnu::noinline, gnu::cold]] static result weft_told_##name parameters {                              \
        const bool native = io::in_native_scope();                                                          \
        const told_call told{call_index::name, __builtin_frame_address(0), !native};                        \
        return native ? original().name(__VA_ARGS__) : core{caller::ours}.name(__VA_ARGS__);                \
    }                                                                                                      \
    result name parameters {                                                                               \
        if (anybody_told()) [[unlikely]] return weft_told_##name(__VA_ARGS__);                              \
        if (io::in_native_scope()) return original().name(__VA_ARGS__);                                    \
        return core{caller::ours}.name(__VA_ARGS__);                                                       \
    }
