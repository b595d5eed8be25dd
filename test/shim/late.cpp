// Where a program that is not linked with libweft-shim finds its functions: in the one that is preloaded, or in the one
// that WEFT_LATE_SHIM names, which is opened here, behind libc in the order of libraries.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <dlfcn.h>

extern "C" const char weft_late_names[];
extern "C" void* weft_late_functions[];

namespace {

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "no shim: %s\n", what);
    std::_Exit(1);
}

[[gnu::constructor(101)]] void find_shim() {
    const char* const path = std::getenv("WEFT_LATE_SHIM");
    void* const shim = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : RTLD_DEFAULT;
    if (path && !shim) fail(dlerror());
    std::size_t i = 0;
    for (const char* name = weft_late_names; *name; name += std::strlen(name) + 1) {
        weft_late_functions[i] = dlsym(shim, name);
        if (!weft_late_functions[i++]) fail(name);
    }
    // The ways are what they claim to be.
    Dl_info found{};
    dladdr(dlsym(RTLD_DEFAULT, "poll"), &found);
    const bool in_front = found.dli_fname && std::strstr(found.dli_fname, "libweft-shim");
    if (in_front == (path != nullptr)) fail(path ? "it stands before libc" : "it does not stand before libc");
}

}  // namespace
