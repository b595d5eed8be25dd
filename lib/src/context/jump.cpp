#include "context/jump.hpp"

#if defined(WEFT_HAS_LEAP)

// Most fibers of a process run with the same floating point control, which takes longer to load than to compare. Of
// MXCSR only the control bits are a callee's to keep, the six status bits are not (System V ABI AMD64, 3.2.1).
#define WEFT_JUMP_BODY(SAVE, TRANSFER, RESTORE)           \
    "  lea -0x38(%rsp), %rsp\n"     \
    "  .cfi_adjust_cfa_offset 0x38\n" \
    "  stmxcsr (%rsp)\n"            \
    "  fnstcw 0x4(%rsp)\n"          \
    SAVE                            \
    "  mov %rbx, 0x28(%rsp)\n"      \
    "  mov %rbp, 0x30(%rsp)\n"      \
    "  mov %rsp, (%rdi)\n"          \
    "  mov (%rsp), %ecx\n"          \
    "  movzwl 0x4(%rsp), %r8d\n"    \
    TRANSFER                        \
    "  xor (%rsp), %ecx\n"          \
    "  test $0xffffffc0, %ecx\n"    \
    "  jne 3f\n"                    \
    "  cmp %r8w, 0x4(%rsp)\n"       \
    "  jne 3f\n"                    \
    "2:\n"                          \
    RESTORE                         \
    "  mov 0x28(%rsp), %rbx\n"      \
    "  mov 0x30(%rsp), %rbp\n"

#define WEFT_SAVE                   \
    "  mov %r12, 0x8(%rsp)\n"       \
    "  mov %r13, 0x10(%rsp)\n"      \
    "  mov %r14, 0x18(%rsp)\n"      \
    "  mov %r15, 0x20(%rsp)\n"

#define WEFT_RESTORE                \
    "  mov 0x8(%rsp), %r12\n"       \
    "  mov 0x10(%rsp), %r13\n"      \
    "  mov 0x18(%rsp), %r14\n"      \
    "  mov 0x20(%rsp), %r15\n"

// transfer_t{the stack pointer just saved, save}
#define WEFT_TRANSFER               \
    "  mov %rsi, %rax\n"            \
    "  mov %rdi, %rsi\n"            \
    "  mov %rsp, %rdi\n"            \
    "  mov %rdx, %rsp\n"

#define WEFT_JUMP_TAIL              \
    "3:\n"                          \
    "  ldmxcsr (%rsp)\n"            \
    "  fldcw 0x4(%rsp)\n"           \
    "  jmp 2b\n"

#define WEFT_LEAP(NAME, ...)        \
    ".p2align 6\n"                  \
    ".globl " NAME "\n"             \
    ".hidden " NAME "\n"            \
    ".type " NAME ", @function\n"   \
    NAME ":\n"                      \
    "  .cfi_startproc\n"            \
    WEFT_JUMP_BODY(__VA_ARGS__)     \
    "  mov 0x38(%rsp), %r8\n"       \
    "  lea 0x40(%rsp), %rsp\n"      \
    "  jmp *%r8\n"                  \
    WEFT_JUMP_TAIL                  \
    "  .cfi_endproc\n"              \
    ".size " NAME ", .-" NAME "\n"

asm(".pushsection .text\n"
    ".p2align 6\n"
    ".globl weft_jump_ret\n"
    ".hidden weft_jump_ret\n"
    ".type weft_jump_ret, @function\n"
    "weft_jump_ret:\n"
    "  .cfi_startproc\n" WEFT_JUMP_BODY(WEFT_SAVE, WEFT_TRANSFER, WEFT_RESTORE)
    "  lea 0x38(%rsp), %rsp\n"
    "  ret\n" WEFT_JUMP_TAIL
    "  .cfi_endproc\n"
    ".size weft_jump_ret, .-weft_jump_ret\n"
    WEFT_LEAP("weft_leap", WEFT_SAVE, WEFT_TRANSFER, WEFT_RESTORE)
    WEFT_LEAP("weft_leap_back", "", "  mov %rsi, %rax\n  mov %rdx, %rsp\n", "")
    ".popsection\n");

#endif
