#include "context/signal_stack.hpp"

#include <algorithm>
#include <system_error>

#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "base/sys.hpp"
#include "context/guard.hpp"

namespace weft::detail {
namespace {

// What the processor's state takes, which grows with the processor, and room for handlers of the program's.
std::size_t wanted_size() noexcept {
    const std::size_t frame = ::getauxval(AT_MINSIGSTKSZ);
    return std::max<std::size_t>(64 * 1024, (frame + 32 * 1024 + page_size - 1) / page_size * page_size);
}

stack_t current() noexcept {
    stack_t now{};
    sys::call(SYS_sigaltstack, 0, sys::word(&now));
    return now;
}

}  // namespace

void signal_stack::install() {
    if (mapped_ || !(current().ss_flags & SS_DISABLE)) return;
    const std::size_t size = wanted_size();
    const long at = sys::call(SYS_mmap, 0, static_cast<long>(size + page_size), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    long error = at < 0 && at >= -4095 ? -at : -sys::call(SYS_mprotect, at, page_size, PROT_NONE);
    if (error == 0) {
        stack_t made{};
        made.ss_sp = reinterpret_cast<void*>(at + static_cast<long>(page_size));
        made.ss_size = size;
        error = -sys::call(SYS_sigaltstack, sys::word(&made), 0);
    }
    if (error == 0) {
        mapped_ = reinterpret_cast<std::byte*>(at);
        size_ = size;
        return;
    }
    if (at >= 0 || at < -4095) sys::call(SYS_munmap, at, static_cast<long>(size + page_size));
    throw std::system_error(static_cast<int>(error), std::generic_category(),
                            "weft: the alternate signal stack of a thread; "
                            "stack_options::report_overflow = false does without");
}

signal_stack::~signal_stack() {
    if (!mapped_) return;
    if (current().ss_sp == mapped_ + page_size) {
        stack_t none{};
        none.ss_flags = SS_DISABLE;
        // Refused while a handler runs on it.
        if (sys::call(SYS_sigaltstack, sys::word(&none), 0) != 0) return;
    }
    sys::unmap(mapped_, size_ + page_size);
}

}  // namespace weft::detail
