// Who is amid a transfer in parts: nobody else's bytes come between them.  Floor: io.
#pragma once

#include "io/readiness.hpp"

namespace weft::detail::io {

/// Of one descriptor, held by one call of one task from a try to the next, or given back where nothing has gone yet.
/// Whoever finds it taken lines up, first come first served.
class write_ticket {
public:
    write_ticket() = default;
    ~write_ticket() { give(); }
    write_ticket(const write_ticket&) = delete;
    write_ticket& operator=(const write_ticket&) = delete;

    bool had() const noexcept { return had_; }

    /// @returns whether it is had now; else wait()
    WEFT_API bool take(const attempt& a) noexcept;
    /// @returns ready when it is had
    WEFT_API outcome wait(const attempt& a, const manner& how);
    WEFT_API void give() noexcept;

private:
    bool had_ = false;
    fd_entry* entry_ = nullptr;  // null: had without being taken, by a signal handler on top of some call
};

}  // namespace weft::detail::io
