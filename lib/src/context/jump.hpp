// weft's own jump over Boost.Context's frame, on x86-64.  Floor: context.
#pragma once

#include <cstdint>

#include <weft/detail/switch_clobbers.hpp>

#if defined(__x86_64__) && defined(__LP64__)
#define WEFT_HAS_LEAP 1

// All push the seven-word frame of Boost.Context 1.74 (floating point control, r12-r15, rbx, rbp, return
// address), store the stack pointer in *save and resume the frame at `to`. A fresh frame starts in Boost's
// trampoline and finds transfer_t{the stack pointer just saved, save} as its argument, as after Boost's jump; in
// any other `word` is what the call returns that left it.
extern "C" {
std::uintptr_t weft_jump_ret(void** save, std::uintptr_t word, void* to) noexcept;   // ends in ret
std::uintptr_t weft_leap(void** save, std::uintptr_t word, void* to) noexcept;       // ends in an indirect jmp
// Between two that have left through hop(), which needs none of r12 to r15 kept: their places in the frame are idle.
std::uintptr_t weft_leap_back(void** save, std::uintptr_t word, void* to) noexcept;
}

namespace weft::detail {

/// weft_leap, jumped to: a call that is never returned to would put the processor's return predictor out of step.
[[gnu::always_inline]] inline std::uintptr_t leap(void** save, std::uintptr_t word, void* to) noexcept {
    std::uintptr_t arrived;
    asm volatile(
        "leaq 1f(%%rip), %%rax\n\t"
        "pushq %%rax\n\t"
        "jmp weft_leap\n"
        "1:"
        : "=&a"(arrived), "+D"(save), "+S"(word), "+d"(to)
        :
        : WEFT_SWITCH_CLOBBERS);
    return arrived;
}

/// weft_jump_ret; or weft_leap, by which the caller leaves from the very place where weft_jump_ret is called: whoever
/// resumes it may return there. Never a jump to weft_jump_ret, as the end of its caller would make it.
[[gnu::always_inline]] inline std::uintptr_t jump(void** save, std::uintptr_t word, void* to, bool by_leap) noexcept {
    std::uintptr_t arrived;
    asm volatile(
        "testb %%al, %%al\n\t"
        "jnz 2f\n\t"
        "call weft_jump_ret\n"
        "1:\n\t"
        ".subsection 1\n"
        "2:\n\t"
        "leaq 1b(%%rip), %%rax\n\t"
        "pushq %%rax\n\t"
        "jmp weft_leap\n\t"
        ".previous"
        : "=&a"(arrived), "+D"(save), "+S"(word), "+d"(to)
        : "0"(by_leap)
        : WEFT_SWITCH_CLOBBERS);
    return arrived;
}

// Gives the frame the caller's floating point control, as making one does.
inline void renew_frame(void* frame) noexcept {
    asm volatile("stmxcsr (%0)\n\tfnstcw 4(%0)" : : "r"(frame) : "memory");
}

}  // namespace weft::detail

#endif
