// The originals of a static program, where nothing is looked up: the linker gives them the names __real_... (--wrap).
#include "early.hpp"
#include "original.hpp"
#include "self_check.hpp"

// A module cannot go past us where there are none: not wrapped.
extern "C" [[gnu::weak]] void* weft_real_dlopen(const char* path, int mode) asm("__real_dlopen");
extern "C" void* weft_interposed_dlopen(const char* path, int mode) asm("dlopen");
extern "C" void* weft_interposed_dlopen(const char*, int) { return nullptr; }

// libc's archive lacks these, which serve programs that were linked before glibc 2.34.
extern "C" [[gnu::weak]] int weft_real___res_query(const char* name, int of, int type, unsigned char* answer, int size) asm("__real___res_query");
extern "C" [[gnu::weak]] int weft_real___res_search(const char* name, int of, int type, unsigned char* answer, int size) asm("__real___res_search");
extern "C" [[gnu::weak]] int weft_real___res_querydomain(const char* name, const char* domain, int of, int type, unsigned char* answer, int size) asm("__real___res_querydomain");
extern "C" [[gnu::weak]] int weft_real___res_send(const unsigned char* message, int size, unsigned char* answer, int room) asm("__real___res_send");
extern "C" [[gnu::weak]] int weft_real___res_nquery(struct __res_state* state, const char* name, int of, int type, unsigned char* answer, int size) asm("__real___res_nquery");
extern "C" [[gnu::weak]] int weft_real___res_nsearch(struct __res_state* state, const char* name, int of, int type, unsigned char* answer, int size) asm("__real___res_nsearch");
extern "C" [[gnu::weak]] int weft_real___res_nquerydomain(struct __res_state* state, const char* name, const char* domain, int of, int type, unsigned char* answer, int size) asm("__real___res_nquerydomain");
extern "C" [[gnu::weak]] int weft_real___res_nsend(struct __res_state* state, const unsigned char* message, int size, unsigned char* answer, int room) asm("__real___res_nsend");

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
