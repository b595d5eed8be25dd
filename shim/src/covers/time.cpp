#include <weft/shim/time.hpp>

#include "../cover.hpp"

namespace weft::shim {

WEFT_COVER(unsigned, sleep, (unsigned seconds), seconds)
WEFT_COVER(int, usleep, (useconds_t microseconds), microseconds)
WEFT_COVER(int, nanosleep, (const timespec* span, timespec* left), span, left)
WEFT_COVER(int, clock_nanosleep, (clockid_t clock, int flags, const timespec* span, timespec* left), clock, flags, span, left)

}  // namespace weft::shim
