// Where a task waits until one of its process's children may have something to tell.  Floor: shim.
#pragma once

#include "core.hpp"
#include "own_descriptor.hpp"

namespace weft::shim {

/// As waitid(2) names children. `options` without WNOHANG and WNOWAIT.
struct children {
    idtype_t kind;
    id_t id;
    int options;

    bool operator==(const children&) const noexcept = default;
};

struct watched_children;

/// One caller's wait. Nothing is reaped here: that is left to the caller, who tries after each wait(), and so nothing is
/// lost with one that leaves. One child's end is waited for on a pidfd. For everything else a thread of the library's
/// own stands in waitid(WNOWAIT): one for all who ask for the same, woken in turn.
class child_wait {
public:
    explicit child_wait(const children& which) noexcept;
    ~child_wait();
    child_wait(const child_wait&) = delete;
    child_wait& operator=(const child_wait&) = delete;

    /// @returns ready if the call is worth trying again, interrupted, or killed where the thread ends
    io::outcome wait(const io::manner& how);

private:
    io::outcome wait_on_descriptor(const io::manner& how);
    io::outcome wait_in_line(const io::manner& how);

    children which_;
    own_descriptor pidfd_;
    int descriptor_ = -1;  // pidfd_'s, or the caller's own
    watched_children* line_ = nullptr;
    long patience_ms_;
};

}  // namespace weft::shim
