// weft's own jump over Boost.Context's frame, on x86-64.  Floor: context.
#pragma once

#if defined(__x86_64__) && defined(__LP64__)
#define WEFT_HAS_OWN_JUMP 1
#endif

// Pushes the seven-word frame of Boost.Context 1.74 (floating point control, r12-r15, rbx, rbp, return
// address), stores the stack pointer in *save and resumes the frame at `to`. A fresh frame starts in Boost's
// trampoline and finds transfer_t{the stack pointer just saved, save} as its argument, as after Boost's jump.
extern "C" {
void weft_jump_ret(void** save, void* to) noexcept;  // ends in ret
void weft_jump_jmp(void** save, void* to) noexcept;  // ends in pop and an indirect jmp
}
