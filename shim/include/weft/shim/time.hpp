/// @file weft/shim/time.hpp
/// weft::shim: sleep and its kin. What holds for all is in weft/shim.hpp.  Floor: shim.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <weft/detail/export.hpp>

namespace weft::shim {

// Time. The clock is that of the hub; a signal handler that runs ends a sleep with EINTR.
WEFT_API unsigned sleep(unsigned seconds);
WEFT_API int usleep(useconds_t microseconds);
WEFT_API int nanosleep(const timespec* span, timespec* left);
/// Clocks of CPU time block the thread.
WEFT_API int clock_nanosleep(clockid_t clock, int flags, const timespec* span, timespec* left);

}  // namespace weft::shim
