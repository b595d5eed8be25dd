/// @file weft/stack.hpp
/// Where stacks come from: guards, pooling, and what happens at an overflow.  Floor: context.
#pragma once

#include <cstddef>
#include <cstdint>

#include <weft/detail/export.hpp>

namespace weft {

/// What stands below a stack: 64 KiB of address space that cannot be touched.
enum class stack_guard : std::uint8_t {
    automatic,    ///< as WEFT_GUARD in the environment says; else lightweight, on older kernels mprotect
    lightweight,  ///< MADV_GUARD_INSTALL (Linux 6.13): a million guarded stacks lie in a few mappings
    mprotect,     ///< two mappings a stack: some 32 000 of them at the usual vm.max_map_count of 65530
    none,         ///< an overflow silently overwrites the stack below
};

/// How stacks are made, in all threads of the process; see set_stack_options().
///
/// Memory:    a stack's size is address space. A page of memory is taken when it is first touched, and a
///            suspended fiber that has called little has touched one. Stacks are mapped many at a time with
///            MAP_NORESERVE, the more the more there are, up to 16 GiB or a 64th of RLIMIT_AS. Under
///            vm.overcommit_memory=2 the kernel ignores MAP_NORESERVE and counts every mapped stack and guard
///            whole, 260 KiB each at the default size, also those that no fiber has yet. mlockall(MCL_FUTURE)
///            commits them whole; add MCL_ONFAULT.
/// Refusals:  what the kernel refuses is thrown by whoever makes a fiber, as std::system_error, and every
///            fiber stays as it was; a stack that comes back serves again. At the wall of vm.max_map_count
///            the text names it.
/// Pooling:   a thread keeps the stacks of fibers that have ended: up to `warm_bytes` with the memory that
///            they have touched, the others without, and unmaps those that it will hardly need.
/// Overflow:  a fiber that runs into its guard is named on standard error, with its stack size and the
///            remedy. Then whatever handled SIGSEGV before weft does so, with the same siginfo and signal
///            mask; by default the process dies by SIGSEGV where it stood. All other faults reach the
///            previous handler unchanged, and without a text. It runs on the alternate signal stack.
///            For this weft installs a handler with the first fiber, and an alternate stack of 64 KiB in each
///            thread that makes fibers; one that the thread already has (the program's, a sanitizer's) serves
///            as it is. A handler that the program installs later replaces weft's: there is a text only if it
///            calls the one that it has replaced.
/// Not promised: a single frame of more than 64 KiB may jump over the guard into the stack below; compile
///            what has such frames with -fstack-clash-protection.
struct stack_options {
    stack_guard guard = stack_guard::automatic;
    /// Most that a thread keeps warm of stacks of one size, in bytes of stack. Memory so held is never more.
    std::size_t warm_bytes = std::size_t{256} << 20;
    /// Name overflows. False installs neither handler nor alternate stacks.
    bool report_overflow = true;
};

/// Changes the options of the process, for stacks made from then on. The stacks that a thread has keep their
/// guard until trim_stacks() there, those in use even then; a new limit for warm ones holds from the thread's
/// next mapping or trim_stacks() on. A handler that is installed stays.
/// @returns the options until now
/// @throws std::system_error  the kernel has no such guard; nothing has changed
WEFT_API stack_options set_stack_options(const stack_options& wanted);

/// Gives back the memory of all stacks that the calling thread keeps for later fibers, and unmaps what holds
/// no stack in use. For other threads: hub::post(weft::trim_stacks).
WEFT_API void trim_stacks() noexcept;

}  // namespace weft
