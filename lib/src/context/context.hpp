// A suspended stack, and the switch between two.  Floor: context.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "context/jump.hpp"
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
    void* caught = nullptr;  // the exception state, packed: with errno it is two words
    unsigned uncaught = 0;
    int error_number = 0;
    [[no_unique_address]] sanitizer::shadow shadow;
};

/// Makes `c` a context that runs fiber_main() on [bottom, top) when first switched to.
void make_context(context& c, std::byte* top, std::byte* bottom) noexcept;

/// Of a context that was left by a leap and begins anew: as one just made.
inline void renew_context(context& c) noexcept {
    c.caught = nullptr;
    c.uncaught = 0;
    c.error_number = 0;
#if defined(WEFT_HAS_LEAP)
    renew_frame(c.sp);
#endif
}

/// weft's own jump serves; set by the first make_context(), and constant from then on.
extern std::atomic<bool> own_jump;
void jump_boost(context& from, context& to) noexcept;

/// Whether a switch may leap: weft's own jump serves, and no sanitizer is told of each switch.
bool leaps() noexcept;

inline void exchange_state(const thread_words& words, context& from, const context& to) noexcept {
    const auto word = [](const void* at) { return reinterpret_cast<std::uintptr_t>(at); };
    const exception_state now = *words.exceptions;
    // Mostly nobody has any, and none is remembered of the time before.
    if (word(now.caught) | now.uncaught | word(from.caught) | from.uncaught | word(to.caught) | to.uncaught) [[unlikely]] {
        from.caught = now.caught;
        from.uncaught = now.uncaught;
        words.exceptions->caught = to.caught;
        words.exceptions->uncaught = to.uncaught;
    }
    // Stores that change nothing would still cost store forwarding on the next load.
    const int error = *words.error_number;
    if (from.error_number != error) from.error_number = error;
    if (to.error_number != error) *words.error_number = to.error_number;
}

/// The same between two that have no exceptions, caught or in flight, which are not stored then.
/// @returns false, having done nothing, if the caller has some
[[gnu::always_inline]] inline bool exchange_plain_state(const thread_words& words, context& from,
                                                        const context& to) noexcept {
    if (reinterpret_cast<std::uintptr_t>(words.exceptions->caught) | words.exceptions->uncaught) [[unlikely]]
        return false;
    const int error = *words.error_number;
    from.error_number = error;
    if (to.error_number != error) [[unlikely]]
        *words.error_number = to.error_number;
    return true;
}

/// Suspends the caller in `from` and resumes `to`; returns when somebody switches to `from`. Works on every
/// suspended context, however it was left.
///
/// switch_context ends in a return, which keeps the processor's return predictor right where both sides left
/// through the same call site: it is inlined so that a caller has exactly one. Where `to` has not left through one, it
/// is left `by_leap`. switch_final says that nobody will ever switch to `from` again.
/// @returns the word of the switch back; 1, look_around, where Boost's jump serves, which carries none
__attribute__((always_inline)) inline std::uintptr_t switch_context(const thread_words& words, context& from,
                                                                    context& to, std::uintptr_t word,
                                                                    [[maybe_unused]] bool by_leap = false) noexcept {
    exchange_state(words, from, to);
    sanitizer::leaving(from.shadow, to.shadow, false);
#if defined(WEFT_HAS_LEAP)
    if (own_jump.load(std::memory_order_relaxed)) [[likely]] word = jump(&from.sp, word, to.sp, by_leap);
    else
#endif
        jump_boost(from, to), word = 1;
    sanitizer::arrived(from.shadow, nullptr);
    return word;
}
[[noreturn]] __attribute__((always_inline)) inline void switch_final(const thread_words& words, context& from,
                                                                     context& to, [[maybe_unused]] std::uintptr_t word) noexcept {
    exchange_state(words, from, to);
    sanitizer::leaving(from.shadow, to.shadow, true);
#if defined(WEFT_HAS_LEAP)
    if (own_jump.load(std::memory_order_relaxed)) [[likely]] leap(&from.sp, word, to.sp);
#endif
    jump_boost(from, to);
    __builtin_unreachable();
}

/// "ret" when weft's own jump serves, "boost" when Boost.Context's does: on an unknown frame layout, where
/// shadow stacks are on, or with WEFT_SWITCH=boost in the environment.
const char* switch_kind() noexcept;

/// The first function of every fiber, told which context was left for it; defined by the fiber floor.
[[noreturn]] void fiber_main(context& left) noexcept;

}  // namespace weft::detail
