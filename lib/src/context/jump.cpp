#include "context/jump.hpp"

#if defined(WEFT_HAS_OWN_JUMP)

#define WEFT_JUMP_BODY              \
    "  lea -0x38(%rsp), %rsp\n"     \
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
    "  mov %rax, %rdi\n"

asm(".pushsection .text\n"
    ".p2align 6\n"
    ".globl weft_jump_ret\n"
    ".hidden weft_jump_ret\n"
    ".type weft_jump_ret, @function\n"
    "weft_jump_ret:\n" WEFT_JUMP_BODY
    "  lea 0x38(%rsp), %rsp\n"
    "  ret\n"
    ".size weft_jump_ret, .-weft_jump_ret\n"
    ".p2align 6\n"
    ".globl weft_jump_jmp\n"
    ".hidden weft_jump_jmp\n"
    ".type weft_jump_jmp, @function\n"
    "weft_jump_jmp:\n" WEFT_JUMP_BODY
    "  mov 0x38(%rsp), %r8\n"
    "  lea 0x40(%rsp), %rsp\n"
    "  jmp *%r8\n"
    ".size weft_jump_jmp, .-weft_jump_jmp\n"
    ".popsection\n");

#else

#include "base/check.hpp"

extern "C" void weft_jump_ret(void**, void*) noexcept { weft::detail::fatal("no jump of weft's own here"); }
extern "C" void weft_jump_jmp(void**, void*) noexcept { weft::detail::fatal("no jump of weft's own here"); }

#endif
