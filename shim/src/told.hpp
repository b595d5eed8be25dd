// A call that somebody counts or watches.  Floor: shim.
#pragma once

#include <optional>

#include "fiber/call_note.hpp"
#include "gate.hpp"

namespace weft::shim {

/// The rows of calls.def, in their order.
enum class call_index : int {
#define WEFT_CALL(area, result, name, parameters, ...) name,
#include "../calls.def"
#undef WEFT_CALL
    count
};

/// One more, or one less, wants to know of calls.
void listen(int change) noexcept;

/// Lives as long as the call, in a function that nothing is inlined into; errno stays.
class told_call {
public:
    /// `frame` is that function's, from __builtin_frame_address(0); `in_task` whether the call is weft's to answer.
    told_call(call_index which, const void* frame, bool in_task) noexcept;
    ~told_call();
    told_call(const told_call&) = delete;
    told_call& operator=(const told_call&) = delete;

private:
    const call_index which_;
    const bool in_task_;
    const bool has_hub_;
    detail::call_note outer_{};
};

/// For calls that define their own symbols: where they are about to wait, and not on the way of those that need not.
class told_wait {
public:
    told_wait(call_index which, monkey::area area_of_it, const void* frame) noexcept {
        if (gate_of(area_of_it) & is_told) [[unlikely]] call_.emplace(which, frame, parks(area_of_it));
    }

private:
    std::optional<told_call> call_;
};

}  // namespace weft::shim
