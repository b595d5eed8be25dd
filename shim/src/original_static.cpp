// The originals of a static program, where nothing is looked up: the linker gives them the names __real_... (--wrap).
#include "early.hpp"
#include "original.hpp"
#include "self_check.hpp"

// A module cannot go past us where there are none: not wrapped.
extern "C" [[gnu::weak]] void* weft_real_dlopen(const char* path, int mode) asm("__real_dlopen");
extern "C" void* weft_interposed_dlopen(const char* path, int mode) asm("dlopen");
extern "C" void* weft_interposed_dlopen(const char*, int) { return nullptr; }

#define WEFT_CALL(area, result, name, parameters, ...)                     \
    extern "C" result weft_interposed_##name parameters asm(#name);         \
    extern "C" result weft_real_##name parameters asm("__real_" #name);
#include "../calls.def"
#undef WEFT_CALL

namespace weft::shim {

#define WEFT_CALL(area, result, name, parameters, ...) &weft_real_##name,
constinit originals original_calls{
#include "../calls.def"
};
#undef WEFT_CALL

#define WEFT_CALL(area, result, name, parameters, ...) \
    {#area, #name, reinterpret_cast<void*>(&weft_interposed_##name), reinterpret_cast<void**>(&original_calls.name)},
const call_row call_rows[call_count + 1] = {
#include "../calls.def"
    {nullptr, nullptr, nullptr, nullptr}};
#undef WEFT_CALL

bool find_originals() noexcept { return true; }
void* seen_by_program(const char*) noexcept { return nullptr; }

// Without the linker's flags the program would not have been linked.
bool calls_arrive() noexcept { return true; }
bool stands_before_libc() noexcept { return true; }

}  // namespace weft::shim
