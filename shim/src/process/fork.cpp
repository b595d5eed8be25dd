// fork and its kin. What becomes of weft in the child is in lib/src/hub/fork.cpp.
#include <unistd.h>

#include "fresh.hpp"
#include "reap.hpp"

namespace weft::shim {
namespace {

/// No handler that fork() calls, and no lock that it takes, may let others run: the child would be made in their midst.
class no_others {
public:
    no_others() noexcept : parks_{io::may_park()} {
        if (parks_) io::enter_native();
    }
    ~no_others() {
        if (parks_) io::leave_native();
    }
    no_others(const no_others&) = delete;
    no_others& operator=(const no_others&) = delete;

    bool in_fiber() const noexcept { return parks_; }

private:
    const bool parks_;
};

}  // namespace

pid_t core::fork() {
    const no_others during;
    const pid_t child = original().fork();
    if (child == 0 && during.in_fiber()) forget_signal_masks();
    return child;
}

// Without its handlers nothing is made anew: the sets are still the parent's, and this fiber's calls are libc's from now on.
pid_t core::_Fork() {
    const pid_t child = original()._Fork();
    if (child == 0 && io::may_park()) {
        io::enter_native();
        forget_signal_masks();
    }
    return child;
}

int core::daemon(int stays, int keeps_streams) {
    const no_others during;
    const int result = original().daemon(stays, keeps_streams);
    if (result == 0 && during.in_fiber()) forget_signal_masks();
    for (int fd = 0; fd <= STDERR_FILENO && result == 0 && keeps_streams == 0; ++fd) fresh(fd);
    return result;
}

}  // namespace weft::shim

// vfork() returns twice on one stack, so nothing may stand between it and its caller: the symbol asks where to go and jumps.
// The child of a task would run in its parent's memory, and a wait there would run the parent's tasks: it is a fork().

extern "C" [[gnu::visibility("hidden"), gnu::used]] pid_t weft_fork_for_vfork() {
    return weft::shim::core{weft::shim::caller::foreign}.fork();
}

extern "C" [[gnu::visibility("hidden"), gnu::used]] pid_t (*weft_vfork_target() noexcept)() {
    if (weft::shim::parks(weft::monkey::area::process)) return weft_fork_for_vfork;
    return weft::shim::original().vfork;
}

#if defined(__x86_64__)
asm(R"(
    .text
    .globl vfork
    .type vfork, @function
vfork:
    .cfi_startproc
    endbr64
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    call weft_vfork_target
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    jmp *%rax
    .cfi_endproc
    .size vfork, .-vfork
)");
#elif defined(__aarch64__)
asm(R"(
    .text
    .globl vfork
    .type vfork, %function
vfork:
    .cfi_startproc
    stp x29, x30, [sp, #-16]!
    .cfi_adjust_cfa_offset 16
    bl weft_vfork_target
    ldp x29, x30, [sp], #16
    .cfi_adjust_cfa_offset -16
    mov x16, x0
    br x16
    .cfi_endproc
    .size vfork, .-vfork
)");
#endif
