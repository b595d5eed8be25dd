// The interposed call that a fiber is in, where somebody counts or watches them.  Floor: fiber.
#pragma once

#include <chrono>

#include <weft/detail/export.hpp>

namespace weft::detail {

/// Part of the fiber's record and not of the call's frame: a handler may leave a call by longjmp().
struct call_note {
    using clock = std::chrono::steady_clock;

    const char* name = nullptr;    // null: in none, or nobody asked
    const void* frame = nullptr;   // in it lie the frame pointer of the caller and the address that it returns to
    clock::time_point held{};      // since then it has kept the thread
    clock::duration longest{};     // that it kept the thread
    bool parked = false;
    bool pooled = false;

    void lets_go(bool parks) noexcept {
        const auto span = clock::now() - held;
        if (span > longest) longest = span;
        if (parks) parked = true;
    }
    void goes_on() noexcept { held = clock::now(); }
};

/// The running fiber is in this call from now on. @returns what it is in besides, for end_call()
/// On a thread that has no hub nothing is noted, and end_call() must not be called.
WEFT_API call_note begin_call(const char* name, const void* frame) noexcept;
/// @returns what has become of it
WEFT_API call_note end_call(const call_note& outer) noexcept;
/// The thread has a hub.
WEFT_API bool has_hub() noexcept;

}  // namespace weft::detail
