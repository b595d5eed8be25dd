/// @file weft/detail/hop.hpp
/// How an explicit switch leaves and comes back to the very frame that asks for it.  Floor: fiber.
#pragma once

#include <cstdint>

#include <weft/detail/export.hpp>
#include <weft/detail/switch_clobbers.hpp>
#include <weft/message.hpp>

namespace weft::detail {

struct end_block;

// The word that comes with a switch back: null, the address of a message, or one of these.
inline constexpr std::uintptr_t look_around = 1;   // arrive_slowly() has what has come
inline constexpr std::uintptr_t travel_slowly = 2;  // there was no switch; switch_slowly() makes it, or throws

#if defined(WEFT_HAS_HOP)

/// Not a function to call: hop() jumps to it.
extern "C" WEFT_API std::uintptr_t weft_switch(end_block* target, message* values) noexcept;

/// Suspends the caller and runs `target`. @returns the word of the switch back
[[gnu::always_inline]] inline std::uintptr_t hop(end_block* target, message* values) noexcept {
    std::uintptr_t word;
    WEFT_HOP("weft_switch", word, target, values);
    return word;
}

#else

inline std::uintptr_t hop(end_block*, message*) noexcept { return travel_slowly; }

#endif

/// A switch by the library itself, when there is more to do than to leave, or nowhere to go. Throws as switch_to().
WEFT_API message switch_slowly(end_block* target, message* values);
/// For who came back with look_around.
WEFT_API message arrive_slowly();

[[gnu::always_inline]] inline message switch_message(end_block* target, message* values) {
    const std::uintptr_t word = hop(target, values);
    if (word == 0) [[likely]]
        return {};
    if (word == look_around) return arrive_slowly();
    if (word == travel_slowly) return switch_slowly(target, values);
    return std::move(*reinterpret_cast<message*>(word));
}

}  // namespace weft::detail
