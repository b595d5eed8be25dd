/// @file weft/detail/switch_clobbers.hpp
/// What a jump to another fiber may have changed when it comes back: what the callee of a call may change (System V
/// ABI AMD64, 3.2.1), as a list for asm statements, without the registers that carry operands.  Floor: context.
#pragma once

#if defined(__AVX512F__) || defined(__clang__)
#define WEFT_SWITCH_CLOBBERS_AVX512                                                                                  \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",      \
        "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define WEFT_SWITCH_CLOBBERS_AVX512
#endif

#define WEFT_SWITCH_CLOBBERS                                                                                         \
    "rcx", "r8", "r9", "r10", "r11", "cc", "memory", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",       \
        "st(7)", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",      \
        "xmm12", "xmm13", "xmm14", "xmm15" WEFT_SWITCH_CLOBBERS_AVX512

#if defined(__x86_64__) && defined(__LP64__)
#define WEFT_HAS_HOP 1

/// Suspends the caller and goes on elsewhere: jumps to `function`, a string, with two pointers as its arguments.
/// `word` is what comes along with the switch back.
///
/// Entered and left by jumps: a call that never returns, or a return that was never called for, would put the
/// processor's return predictor out of step with every function on the way. Who uses it also calls functions, so it
/// is no leaf and keeps nothing below its stack pointer (System V ABI AMD64, 3.2.2). Registers that the target would
/// have to keep for its caller are kept by the compiler, which knows which ones are in use.
#define WEFT_HOP(function, word, first, second)                                                                      \
    asm volatile(                                                                                                    \
        "leaq 1f(%%rip), %%rax\n\t"                                                                                  \
        "pushq %%rax\n\t"                                                                                           \
        "jmpq *" function "@GOTPCREL(%%rip)\n"                                                                       \
        "1:"                                                                                                         \
        : "=&a"(word), "+D"(first), "+S"(second)                                                                     \
        :                                                                                                            \
        : "rdx", "r12", "r13", "r14", "r15", WEFT_SWITCH_CLOBBERS)

#endif
