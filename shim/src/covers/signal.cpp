#include <weft/shim/signal.hpp>

#include "../cover.hpp"

namespace weft::shim {

WEFT_COVER(int, sigwait, (const sigset_t* set, int* number), set, number)
WEFT_COVER(int, sigwaitinfo, (const sigset_t* set, siginfo_t* info), set, info)
WEFT_COVER(int, sigtimedwait, (const sigset_t* set, siginfo_t* info, const timespec* timeout), set, info, timeout)
WEFT_COVER(int, pause, ())
WEFT_COVER(int, sigsuspend, (const sigset_t* mask), mask)

}  // namespace weft::shim
