/// @file weft/detail/cancel_scope.hpp
/// What bounds the waits of one fiber, or keeps such bounds away from them.  Floor: fiber.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>

#include <weft/detail/export.hpp>

namespace weft::detail {

struct record;

/// Linked into its fiber's list, innermost first, from its making to its destruction or the fiber's end. Its
/// fiber's thread alone touches it.
struct WEFT_API cancel_scope {
    using time_point = std::chrono::steady_clock::time_point;
    static constexpr time_point never = time_point::max();

    cancel_scope(const cancel_scope&) = delete;
    cancel_scope& operator=(const cancel_scope&) = delete;

    record* of;           // null once the fiber has ended
    cancel_scope* outer;
    cancel_scope* inner = nullptr;
    time_point when = never;
    std::uint64_t id = 0;
    std::exception_ptr instead;  // of timed_out
    const bool shields;          // a shield: what lies outside of it does not reach the fiber, nor does a kill
    bool fired = false;          // it has ended a wait
    bool owed = false;           // an interposed call has answered for it, and nothing has been thrown since

protected:
    /// Becomes the running fiber's innermost one.
    explicit cancel_scope(bool is_shield);
    ~cancel_scope();
};

}  // namespace weft::detail
