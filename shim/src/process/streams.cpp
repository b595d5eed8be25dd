// popen, pclose, and fclose, which may be meant as pclose: libc keeps to itself which child is whose.
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <unistd.h>

#include <weft/detail/small_lock.hpp>

#include "fresh.hpp"
#include "reap.hpp"

namespace weft::shim {
namespace {

struct child_stream {
    FILE* stream;
    int fd;
    pid_t child;
    child_stream* next;
};

// Held while a child is started: it must inherit no other child's stream. Only popen() and pclose() wait for it.
struct {
    detail::small_lock lock;
    std::atomic<child_stream*> first{nullptr};
} constinit open_streams;

[[gnu::constructor(102)]] void watch_forks() {
    pthread_atfork([] { open_streams.lock.lock(); }, [] { open_streams.lock.unlock(); },
                   [] { open_streams.lock.unlock(); });
}

/// @returns the stream's own, out of the list; null for one that popen() has not made
std::unique_ptr<child_stream> take(const FILE* stream) noexcept {
    if (!open_streams.first.load(std::memory_order_acquire)) return nullptr;
    const std::lock_guard guard{open_streams.lock};
    child_stream* before = nullptr;
    for (child_stream* at = open_streams.first.load(std::memory_order_relaxed); at; before = at, at = at->next) {
        if (at->stream != stream) continue;
        if (before) before->next = at->next;
        else open_streams.first.store(at->next, std::memory_order_release);
        return std::unique_ptr<child_stream>{at};
    }
    return nullptr;
}

struct mode_of_stream {
    bool reads = false, writes = false, closes_on_exec = false, valid = true;

    explicit mode_of_stream(const char* text) noexcept {
        for (; *text; ++text) {
            if (*text == 'r') reads = true;
            else if (*text == 'w') writes = true;
            else if (*text == 'e') closes_on_exec = true;
            else valid = false;
        }
        valid = valid && reads != writes;
    }
};

/// @returns 0 or an error number
int start(const char* line, int end, int becomes, pid_t* child) noexcept {
    posix_spawn_file_actions_t files;
    if (const int error = ::posix_spawn_file_actions_init(&files)) return error;
    int error = ::posix_spawn_file_actions_adddup2(&files, end, becomes);
    for (child_stream* at = open_streams.first.load(std::memory_order_relaxed); at && error == 0; at = at->next)
        if (at->fd != becomes) error = ::posix_spawn_file_actions_addclose(&files, at->fd);
    if (error == 0) error = start_shell(line, child, &files, nullptr);
    ::posix_spawn_file_actions_destroy(&files);
    return error;
}

}  // namespace

FILE* core::popen(const char* line, const char* mode_text) {
    const mode_of_stream mode{mode_text};
    if (!mode.valid) {
        errno = EINVAL;
        return nullptr;
    }
    int ends[2];
    if (original().pipe2(ends, O_CLOEXEC) < 0) return nullptr;
    const int mine = fresh(ends[mode.writes ? 1 : 0]), other = fresh(ends[mode.writes ? 0 : 1]);
    std::unique_ptr<child_stream> made{new (std::nothrow) child_stream{nullptr, mine, -1, nullptr}};
    int error = ENOMEM;
    if (made && (made->stream = ::fdopen(mine, mode.writes ? "w" : "r"))) {
        const std::lock_guard guard{open_streams.lock};
        error = start(line, other, mode.writes ? 0 : 1, &made->child);
        if (error == 0) {
            if (!mode.closes_on_exec) original().fcntl(mine, F_SETFD, nullptr);
            made->next = open_streams.first.load(std::memory_order_relaxed);
            open_streams.first.store(made.get(), std::memory_order_release);
        }
    }
    original().close(other);
    if (error == 0) return made.release()->stream;
    if (made && made->stream) original().fclose(made->stream);
    else original().close(mine);
    errno = error;
    return nullptr;
}

namespace {

/// As libc's fclose() of such a stream: the pipe first, then the child.
int close_and_reap(core& c, FILE* stream, pid_t child) {
    const bool written = original().fclose(stream) == 0;
    const int error = errno;
    int status = 0;
    if (reap(c, parks_children(c), child, &status) < 0) return -1;
    errno = error;
    return status == 0 && !written ? -1 : status;
}

}  // namespace

int core::pclose(FILE* stream) {
    if (parks_children(*this)) refuse_in_hub(*this, "pclose");
    const std::unique_ptr<child_stream> ended = take(stream);
    stream_closing(stream);
    return ended ? close_and_reap(*this, stream, ended->child) : original().pclose(stream);
}

int core::fclose(FILE* stream) {
    const std::unique_ptr<child_stream> ended = take(stream);
    stream_closing(stream);
    return ended ? close_and_reap(*this, stream, ended->child) : original().fclose(stream);
}

}  // namespace weft::shim
