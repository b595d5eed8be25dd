// dlopen: modules that come while calls are patched, and would go past us.
#include <cerrno>
#include <cstring>

#include <dlfcn.h>

#include "base/check.hpp"
#include "core.hpp"
#include "gate.hpp"
#include "self_check.hpp"

namespace weft::shim {
namespace {

void* open_and_look(const char* path, int mode) {
    void* const module = original().dlopen(path, mode);
    const errno_kept kept;
    if (module && !calls_arrive())
        detail::warn("dlopen(): calls of the module go past libweft-shim to libc and could not be redirected; they block "
                     "the thread");
    kept.restore();
    return module;
}

bool any_patched() noexcept {
    for (const auto& gate : gates)
        if ((gate.load(std::memory_order_relaxed) & is_patched) != 0) return true;
    return false;
}

}  // namespace
}  // namespace weft::shim

/// Where the call goes on. libc takes the search path of bare names, and what $ORIGIN means, from whoever calls it:
/// those calls must not come from here.
extern "C" [[gnu::used, gnu::visibility("hidden")]] void* weft_way_of_dlopen(const char* path, int mode) noexcept {
    using namespace weft::shim;
    const bool anybody_may = path && std::strchr(path, '/') && !std::strchr(path, '$');
    const bool goes_past = (mode & RTLD_DEEPBIND) != 0 || !stands_before_libc();
    if (anybody_may && goes_past && any_patched()) return reinterpret_cast<void*>(&open_and_look);
    return reinterpret_cast<void*>(original().dlopen);
}

// Jumps there with the caller's own frame and return address, which no compiler promises of a call at a function's end.
#if defined(__x86_64__)
asm(".pushsection .text\n.globl dlopen\n.type dlopen, @function\ndlopen:\n.cfi_startproc\nendbr64\n"
    "pushq %rdi\n.cfi_adjust_cfa_offset 8\npushq %rsi\n.cfi_adjust_cfa_offset 8\n"
    "subq $8, %rsp\n.cfi_adjust_cfa_offset 8\ncall weft_way_of_dlopen\naddq $8, %rsp\n.cfi_adjust_cfa_offset -8\n"
    "popq %rsi\n.cfi_adjust_cfa_offset -8\npopq %rdi\n.cfi_adjust_cfa_offset -8\njmp *%rax\n"
    ".cfi_endproc\n.size dlopen, . - dlopen\n.popsection");
#elif defined(__aarch64__)
asm(".pushsection .text\n.globl dlopen\n.type dlopen, %function\ndlopen:\n.cfi_startproc\nhint #34\n"
    "stp x29, x30, [sp, #-32]!\n.cfi_def_cfa_offset 32\n.cfi_offset 29, -32\n.cfi_offset 30, -24\n"
    "stp x0, x1, [sp, #16]\nbl weft_way_of_dlopen\nmov x16, x0\nldp x0, x1, [sp, #16]\n"
    "ldp x29, x30, [sp], #32\n.cfi_restore 29\n.cfi_restore 30\n.cfi_def_cfa_offset 0\nbr x16\n"
    ".cfi_endproc\n.size dlopen, . - dlopen\n.popsection");
#endif
