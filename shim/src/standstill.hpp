// Where another thread of the process stands, without its system calls noticing.  Floor: shim.
#pragma once

#include "unwind.hpp"

namespace weft::shim {

/// If the thread waits in the kernel: from where it went there. The frame pointer stays unknown.
/// @returns false if it runs, or the kernel does not tell
bool waits_in_kernel(int tid, standpoint& where, long& call) noexcept;

/// While it exists, computing threads can be stopped for a look.
class stopper {
public:
    stopper() noexcept;
    ~stopper();
    stopper(const stopper&) = delete;
    stopper& operator=(const stopper&) = delete;

    /// Stops the thread if it computes for a millisecond of the next 200, for as long as `look` takes, 100 ms at most. `look` runs on
    /// the calling thread. @returns whether it has run
    bool stop(int tid, void (*look)(const standpoint& where, void* argument), void* argument) noexcept;
};

}  // namespace weft::shim
