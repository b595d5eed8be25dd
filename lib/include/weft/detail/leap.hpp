/// @file weft/detail/leap.hpp
/// How an explicit switch leaves and comes back to the very frame that asks for it.  Floor: context.
#pragma once

#include <cstdint>

#include <weft/detail/export.hpp>

#if defined(__x86_64__) && defined(__LP64__)
#define WEFT_HAS_LEAP 1
/// Weft's own jump, see jump.hpp. Not a function to call: it is jumped to with a return address on the stack.
extern "C" WEFT_API void weft_leap();
#endif

namespace weft::detail {

/// What a switch is answered with before the caller leaves.
struct departure {
    void** save;  // where the leap stores the caller's stack pointer; if `to` is null, the word that has arrived
    void* to;     // the frame to resume; null when the library has switched by itself and is back
};

#if defined(WEFT_HAS_LEAP)

#if defined(__AVX512F__)
#define WEFT_LEAP_CLOBBERS_AVX512                                                                                    \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",      \
        "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define WEFT_LEAP_CLOBBERS_AVX512
#endif

/// Suspends the caller and resumes `to`, with `word` for whoever arrives there. @returns the word that came along
/// with the switch back.
///
/// Entered and left by jumps: a call here or a return there would put the processor's return predictor out of step
/// with the frames of every function on the way. The caller has called depart() just before, so it is not a leaf
/// and keeps nothing below its stack pointer (System V ABI AMD64, 3.2.2).
[[gnu::always_inline]] inline std::uintptr_t leap(void** save, void* to, std::uintptr_t word) noexcept {
    asm volatile(
        "leaq 1f(%%rip), %%rax\n\t"
        "pushq %%rax\n\t"
        "jmpq *weft_leap@GOTPCREL(%%rip)\n"
        "1:"
        : "+D"(save), "+S"(to), "+d"(word)
        :
        : "rax", "rcx", "r8", "r9", "r10", "r11", "cc", "memory", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)",
          "st(6)", "st(7)", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
          "xmm11", "xmm12", "xmm13", "xmm14", "xmm15" WEFT_LEAP_CLOBBERS_AVX512);
    return word;
}
#undef WEFT_LEAP_CLOBBERS_AVX512

#else

/// Nobody is sent here: without a jump of weft's own, the library switches by itself.
inline std::uintptr_t leap(void**, void*, std::uintptr_t word) noexcept { return word; }

#endif

}  // namespace weft::detail
