#include "context/overflow.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <signal.h>
#include <ucontext.h>

#include "base/sys.hpp"

namespace weft::detail {
namespace {

// Set once, before the handler can run, but for what SA_RESETHAND takes away.
struct sigaction before;
std::atomic<bool> before_is_spent{false};

class line {
public:
    line& operator<<(const char* text) noexcept {
        const std::size_t size = std::min(std::strlen(text), sizeof text_ - used_);
        std::memcpy(text_ + used_, text, size);
        used_ += size;
        return *this;
    }
    line& operator<<(std::uint64_t number) noexcept {
        char digits[21];
        char* at = digits + sizeof digits - 1;
        *at = '\0';
        do *--at = static_cast<char>('0' + number % 10);
        while (number /= 10);
        return *this << at;
    }
    void print() const noexcept { sys::write(2, text_, used_); }

private:
    char text_[400];
    std::size_t used_ = 0;
};

void print(const overflow_report& report) noexcept {
    line text;
    text << "weft: stack overflow in " << (report.task ? "task " : "fiber ") << report.id;
    if (report.name[0]) text << " '" << report.name.data() << "'";
    text << ": its stack has " << report.stack_size << " bytes, and it has gone " << report.wanted
         << " deep; give it more with fiber_options::stack_size, or all fibers with the build option "
            "default_stack_kib\n";
    text.print();
}

bool was_sent(const siginfo_t& info) noexcept { return info.si_code <= 0; }

// As if weft's handler had never been there.
void fall_to_default(int signal, siginfo_t& info) noexcept {
    struct sigaction plain {};
    plain.sa_handler = SIG_DFL;
    ::sigaction(signal, &plain, nullptr);
    // A fault repeats itself when the instruction does; a signal that was sent is sent again.
    if (was_sent(info))
        sys::call(SYS_rt_tgsigqueueinfo, sys::call(SYS_getpid), sys::call(SYS_gettid), signal,
                  sys::word(&info));
}

void call_before(int signal, siginfo_t* info, void* machine) noexcept {
    std::uint64_t mask, added;  // the kernel's sets, the front of libc's
    std::memcpy(&mask, &static_cast<ucontext_t*>(machine)->uc_sigmask, sizeof mask);
    std::memcpy(&added, &before.sa_mask, sizeof added);
    mask |= added;
    if (!(before.sa_flags & SA_NODEFER)) mask |= std::uint64_t{1} << (signal - 1);
    sys::call(SYS_rt_sigprocmask, SIG_SETMASK, sys::word(&mask), 0, sizeof mask);
    if (before.sa_flags & SA_SIGINFO) before.sa_sigaction(signal, info, machine);
    else before.sa_handler(signal);
}

void on_fault(int signal, siginfo_t* info, void* machine) {
    const int error = errno;
    overflow_report report;
    if (!was_sent(*info) && describe_overflow(info->si_addr, report)) print(report);
    const bool plain = !(before.sa_flags & SA_SIGINFO);
    const bool resets = before.sa_flags & SA_RESETHAND;
    if (plain && before.sa_handler == SIG_IGN && was_sent(*info)) return;
    if ((plain && (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN)) ||
        (resets && before_is_spent.exchange(true)))
        fall_to_default(signal, *info);
    else call_before(signal, info, machine);
    errno = error;
}

}  // namespace

void catch_overflows() {
    static const bool caught = [] {
        struct sigaction ours {};
        ours.sa_sigaction = &on_fault;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
        // Two calls: in another thread the handler may run before one that does both has filled in `before`.
        if (::sigaction(SIGSEGV, nullptr, &before) != 0 || ::sigaction(SIGSEGV, &ours, nullptr) != 0)
            throw std::system_error(errno, std::generic_category(), "weft: a handler of SIGSEGV");
        return true;
    }();
    (void)caught;
}

}  // namespace weft::detail
