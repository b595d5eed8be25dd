// weft's own jump over Boost.Context's frame, on x86-64.  Floor: context.
#pragma once

#include <cstdint>

#include <weft/detail/leap.hpp>

#if defined(WEFT_HAS_LEAP)

// Both push the seven-word frame of Boost.Context 1.74 (floating point control, r12-r15, rbx, rbp, return
// address), store the stack pointer in *save and resume the frame at `to`. A fresh frame starts in Boost's
// trampoline and finds transfer_t{the stack pointer just saved, save} as its argument, as after Boost's jump; in
// others `word` arrives, as the result of the one and in rdx after the other.

// Ends in ret.
extern "C" std::uintptr_t weft_jump_ret(void** save, void* to, std::uintptr_t word) noexcept;

namespace weft::detail {

// weft_leap, see leap.hpp, for who never comes back.
[[noreturn, gnu::always_inline]] inline void leap_for_ever(void** save, void* to, std::uintptr_t word) noexcept {
    asm volatile(
        "pushq $0\n\t"
        "jmp weft_leap_here"
        :
        : "D"(save), "S"(to), "d"(word)
        : "memory");
    __builtin_unreachable();
}

// Gives the frame the caller's floating point control, as making one does.
inline void renew_frame(void* frame) noexcept {
    asm volatile("stmxcsr (%0)\n\tfnstcw 4(%0)" : : "r"(frame) : "memory");
}

}  // namespace weft::detail

#endif
