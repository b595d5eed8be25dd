// weft::shim: the same calls for whoever asks for them by name. A first one makes the thread's hub.  Floor: shim.
#pragma once

#include "core.hpp"

// A definition in weft::shim.
#define WEFT_COVER(result, name, parameters, ...)                                \
    result name parameters {                                                      \
        if (io::in_native_scope()) return original().name(__VA_ARGS__);            \
        return core{caller::ours}.name(__VA_ARGS__);                               \
    }
