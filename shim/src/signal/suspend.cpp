// pause and sigsuspend: until a handler has run.
#include <cerrno>

#include "core.hpp"
#include "own_descriptor.hpp"
#include "signal_set.hpp"

namespace weft::shim {

int core::pause() { return failed(io::pause(manner_of("pause", deadline::never(), io::signal_rule::ends)), "pause", 0); }

// What the thread's own mask holds back and `mask` lets in stays held back while the fiber is parked, so that no other
// task is interrupted for it, and is let in where this one runs. What only `mask` holds back is held back for all.
int core::sigsuspend(const sigset_t* mask) {
    if (!mask) return original().sigsuspend(mask);  // EFAULT
    if (interrupted_by(mask)) return -1;
    const std::uint64_t own = bits_of(own_signal_mask()), wanted = bits_of(*mask);
    const sigset_t both = set_of(own | wanted);
    const signal_mask during{(wanted & ~own) != 0 ? &both : nullptr};
    const std::uint64_t held_back = own & ~wanted;
    own_descriptor there;
    if (held_back != 0) there.take(new_signalfd(held_back));
    const io::manner manner = manner_of("sigsuspend", deadline::never(), io::signal_rule::ends);
    for (;;) {
        const io::outcome how = held_back != 0 ? wait_for_signal(there, manner) : io::pause(manner);
        if (how != io::outcome::ready) return failed(how, "sigsuspend", 0);
        if (interrupted_by(mask)) return -1;
    }
}

int core::__xpg_sigpause(int number) {
    sigset_t mask = own_signal_mask();
    if (::sigdelset(&mask, number) < 0) return -1;
    return sigsuspend(&mask);
}

}  // namespace weft::shim
