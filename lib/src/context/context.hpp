// A suspended stack, and the switch between two.  Floor: context.
#pragma once

#include <cstddef>

#include "context/sanitizer.hpp"

namespace weft::detail {

/// The C++ exception state of a thread (Itanium C++ ABI 2.2.2, __cxa_eh_globals). Boost.Context's fcontext
/// layer keeps it in no version (from 1.88 its `fiber` class does, which weft does not use), and two fibers
/// parked inside `catch` would rethrow each other's exception.
struct exception_state {
    void* caught = nullptr;
    unsigned uncaught = 0;
};

/// Where a thread keeps what each fiber has of its own; the addresses never change while the thread lives.
struct thread_words {
    exception_state* exceptions = nullptr;
    int* error_number = nullptr;

    static thread_words of_this_thread() noexcept;
};

struct context {
    void* sp = nullptr;  // first: the jump stores through the context's address
    exception_state exceptions;
    int error_number = 0;
    [[no_unique_address]] sanitizer::shadow shadow;
};

/// Makes `c` a context that runs fiber_main() on [bottom, top) when first switched to.
void make_context(context& c, std::byte* top, std::byte* bottom) noexcept;

/// Suspends the caller in `from` and resumes `to`; returns when somebody switches to `from`. `final` says that
/// nobody ever will.
///
/// switch_jmp ends in an indirect jump: fastest between two different call sites. switch_ret ends in a
/// return through one shared call site, which keeps the processor's return predictor right for fibers that
/// park in the same place. Both work on every suspended context, however it was left.
void switch_jmp(const thread_words& words, context& from, context& to) noexcept;
void switch_ret(const thread_words& words, context& from, context& to) noexcept;
[[noreturn]] void switch_final(const thread_words& words, context& from, context& to) noexcept;

/// "ret" when weft's own jump serves, "boost" when Boost.Context's does: on an unknown frame layout, where
/// shadow stacks are on, or with WEFT_SWITCH=boost in the environment.
const char* switch_kind() noexcept;

/// The first function of every fiber, told which context was left for it; defined by the fiber floor.
[[noreturn]] void fiber_main(context& left) noexcept;

}  // namespace weft::detail
