// system(), as POSIX describes it, over posix_spawn. Weft's own for everybody: whoever sets SIGINT and SIGQUIT aside and puts
// them back has to know of all others who do.
#include <cerrno>
#include <mutex>
#include <new>

#include <pthread.h>
#include <spawn.h>
#include <unistd.h>

#include <weft/detail/small_lock.hpp>

#include "reap.hpp"

namespace weft::shim {
namespace {

// Counted: SIGINT and SIGQUIT are ignored while any system() runs.
struct {
    detail::small_lock lock;
    int count = 0;
    struct sigaction interrupt {}, quit {};  // as they are without
} constinit aside;

void put_back() noexcept {
    ::sigaction(SIGINT, &aside.interrupt, nullptr);
    ::sigaction(SIGQUIT, &aside.quit, nullptr);
}

[[gnu::constructor(102)]] void watch_forks() {
    pthread_atfork([] { aside.lock.lock(); }, [] { aside.lock.unlock(); },
                   [] {
                       if (aside.count > 0) put_back();  // those who wait are the parent's
                       aside.count = 0;
                       aside.lock.unlock();
                   });
}

class interrupts_aside {
public:
    interrupts_aside() noexcept {
        const std::lock_guard guard{aside.lock};
        if (aside.count++ > 0) return;
        struct sigaction ignore {};
        ignore.sa_handler = SIG_IGN;
        ::sigaction(SIGINT, &ignore, &aside.interrupt);
        ::sigaction(SIGQUIT, &ignore, &aside.quit);
    }
    ~interrupts_aside() {
        const std::lock_guard guard{aside.lock};
        if (--aside.count == 0) put_back();
    }
    interrupts_aside(const interrupts_aside&) = delete;
    interrupts_aside& operator=(const interrupts_aside&) = delete;

    /// What the child is to have by default: what this process does not ignore by itself.
    static sigset_t for_child() noexcept {
        const std::lock_guard guard{aside.lock};
        sigset_t defaults;
        ::sigemptyset(&defaults);
        if (aside.interrupt.sa_handler != SIG_IGN) ::sigaddset(&defaults, SIGINT);
        if (aside.quit.sa_handler != SIG_IGN) ::sigaddset(&defaults, SIGQUIT);
        return defaults;
    }
};

int start(const char* line, pid_t* child, const sigset_t& mask) noexcept {
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    const sigset_t defaults = interrupts_aside::for_child();
    ::posix_spawnattr_setsigmask(&attributes, &mask);
    ::posix_spawnattr_setsigdefault(&attributes, &defaults);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const int error = start_shell(line, child, nullptr, &attributes);
    ::posix_spawnattr_destroy(&attributes);
    return error;
}

int run(core& c, bool parks, const char* line) {
    const errno_kept kept;
    const sigset_t before = own_signal_mask();
    sigset_t without = before;
    ::sigaddset(&without, SIGCHLD);
    pid_t child = -1;
    int status = -1;
    int error;
    {
        const interrupts_aside no_interrupts;
        const signal_mask no_handler{&without};
        error = start(line, &child, before);
        try {
            if (error == 0 && reap(c, parks, child, &status) != child) error = errno, status = -1;
        } catch (...) {
            // The thread is cancelled: nobody is left who would wait for it.
            if (!parks) {
                ::kill(child, SIGKILL);
                reap(c, false, child, nullptr);
            }
            throw;
        }
        if (child < 0) status = W_EXITCODE(127, 0);
    }
    if (error != 0) errno = error;
    else kept.restore();
    return status;
}

}  // namespace

int start_shell(const char* line, pid_t* child, const posix_spawn_file_actions_t* files,
                const posix_spawnattr_t* attributes) noexcept {
    char name[] = "sh", option[] = "-c";
    char* const words[] = {name, option, const_cast<char*>(line), nullptr};
    return ::posix_spawn(child, "/bin/sh", files, attributes, words, environ);
}

void refuse_in_hub(const core& c, const char* call) {
    if (io::may_park()) return;
    io::manner how = c.manner_of(call, deadline::never(), io::signal_rule::ignores);
    how.interruptible = false;
    io::pause(how);  // throws, or returns at once where the thread ends
}

int core::system(const char* line) {
    const bool parks = parks_children(*this);
    if (parks) refuse_in_hub(*this, "system");
    if (!line) return run(*this, parks, "exit 0") == 0;
    return run(*this, parks, line);
}

}  // namespace weft::shim
