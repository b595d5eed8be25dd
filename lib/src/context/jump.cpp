#include "context/jump.hpp"

#if defined(WEFT_HAS_LEAP)

// Most fibers of a process run with the same floating point control words: they are loaded where they differ.
#define WEFT_JUMP_BODY              \
    "  lea -0x38(%rsp), %rsp\n"     \
    "  .cfi_adjust_cfa_offset 0x38\n" \
    "  stmxcsr (%rsp)\n"            \
    "  fnstcw 0x4(%rsp)\n"          \
    "  mov %r12, 0x8(%rsp)\n"       \
    "  mov %r13, 0x10(%rsp)\n"      \
    "  mov %r14, 0x18(%rsp)\n"      \
    "  mov %r15, 0x20(%rsp)\n"      \
    "  mov %rbx, 0x28(%rsp)\n"      \
    "  mov %rbp, 0x30(%rsp)\n"      \
    "  mov %rsp, (%rdi)\n"          \
    "  mov %rsp, %rax\n"            \
    "  mov %rsi, %rsp\n"            \
    "  ldmxcsr (%rsp)\n"            \
    "  fldcw 0x4(%rsp)\n"           \
    "  mov 0x8(%rsp), %r12\n"       \
    "  mov 0x10(%rsp), %r13\n"      \
    "  mov 0x18(%rsp), %r14\n"      \
    "  mov 0x20(%rsp), %r15\n"      \
    "  mov 0x28(%rsp), %rbx\n"      \
    "  mov 0x30(%rsp), %rbp\n"      \
    "  mov %rdi, %rsi\n"            \
    "  mov %rax, %rdi\n"            \
    "  mov %rdx, %rax\n"

asm(".pushsection .text\n"
    ".p2align 6\n"
    ".globl weft_jump_ret\n"
    ".hidden weft_jump_ret\n"
    ".type weft_jump_ret, @function\n"
    "weft_jump_ret:\n"
    "  .cfi_startproc\n" WEFT_JUMP_BODY
    "  lea 0x38(%rsp), %rsp\n"
    "  .cfi_adjust_cfa_offset -0x38\n"
    "  ret\n"
    "  .cfi_endproc\n"
    ".size weft_jump_ret, .-weft_jump_ret\n"
    ".p2align 6\n"
    ".globl weft_leap\n"
    ".globl weft_leap_here\n"
    ".hidden weft_leap_here\n"
    ".type weft_leap, @function\n"
    "weft_leap:\n"
    "weft_leap_here:\n"
    "  .cfi_startproc\n" WEFT_JUMP_BODY
    "  mov 0x38(%rsp), %r8\n"
    "  lea 0x40(%rsp), %rsp\n"
    "  .cfi_def_cfa_offset 0\n"
    "  .cfi_register %rip, %r8\n"
    "  jmp *%r8\n"
    "  .cfi_endproc\n"
    ".size weft_leap, .-weft_leap\n"
    ".popsection\n");

#endif
