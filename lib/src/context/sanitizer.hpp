// Tells ASan and TSan which stack runs, empty without them, and Valgrind which stacks there are.  Floor: context.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WEFT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_TSAN 1
#endif
#endif

#if defined(WEFT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(WEFT_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace weft::detail::sanitizer {

#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
inline constexpr bool active = true;
#else
inline constexpr bool active = false;
#endif

#if defined(WEFT_VALGRIND)
/// Valgrind sees by itself that a switch has moved the stack pointer to another stack, if it has been told of
/// every stack; so it is told when a fiber is made and when its stack is given back, never at a switch.
extern const bool on_valgrind;
void register_stack(const void* bottom, std::size_t size) noexcept;
void forget_registered(const void* bottom, std::size_t size) noexcept;  // every stack in this range
#endif

/// What a sanitizer wants to know of a stack; a part of each context.
struct shadow {
#if defined(WEFT_ASAN)
    void* fake_stack = nullptr;
    const void* bottom = nullptr;
    std::size_t size = 0;
#endif
#if defined(WEFT_TSAN)
    void* fiber = nullptr;
#endif
};

inline void made([[maybe_unused]] shadow& s, [[maybe_unused]] const void* bottom, [[maybe_unused]] std::size_t size) {
#if defined(WEFT_ASAN)
    s.bottom = bottom;
    s.size = size;
#endif
#if defined(WEFT_TSAN)
    s.fiber = __tsan_create_fiber(0);
#endif
#if defined(WEFT_VALGRIND)
    if (on_valgrind) [[unlikely]]
        register_stack(bottom, size);
#endif
}

/// For a thread's own stack, whose bounds ASan tells at the first switch away from it.
inline void adopted([[maybe_unused]] shadow& s) {
#if defined(WEFT_TSAN)
    s.fiber = __tsan_get_current_fiber();
#endif
}

inline void ended([[maybe_unused]] shadow& s) {
#if defined(WEFT_TSAN)
    __tsan_destroy_fiber(s.fiber);
    s.fiber = nullptr;
#endif
}

__attribute__((always_inline)) inline void leaving([[maybe_unused]] shadow& from, [[maybe_unused]] shadow& to,
                                                   [[maybe_unused]] bool for_ever) {
#if defined(WEFT_ASAN)
    __sanitizer_start_switch_fiber(for_ever ? nullptr : &from.fake_stack, to.bottom, to.size);
#endif
#if defined(WEFT_TSAN)
    __tsan_switch_to_fiber(to.fiber, 0);
#endif
}

__attribute__((always_inline)) inline void arrived([[maybe_unused]] shadow& here, [[maybe_unused]] shadow* from) {
#if defined(WEFT_ASAN)
    const void* bottom = nullptr;
    std::size_t size = 0;
    __sanitizer_finish_switch_fiber(here.fake_stack, &bottom, &size);
    if (from && !from->bottom) {
        from->bottom = bottom;
        from->size = size;
    }
#endif
}

/// For a stack that is given back, or a mapping with any number of them: frames that were left by a jump leave
/// poison behind.
inline void forget_stack([[maybe_unused]] const void* bottom, [[maybe_unused]] std::size_t size) {
#if defined(WEFT_ASAN)
    __asan_unpoison_memory_region(bottom, size);
#endif
#if defined(WEFT_VALGRIND)
    if (on_valgrind) [[unlikely]]
        forget_registered(bottom, size);
#endif
}

}  // namespace weft::detail::sanitizer
