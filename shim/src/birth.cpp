// Descriptors that come into being, and streams that let go of theirs: a number that was closed where nobody saw it must
// not keep what was known of its earlier file.
#include <cerrno>

#include "fresh.hpp"
#include "core.hpp"

namespace weft::shim {
namespace {

int fresh_pair(int result, const int* ends) noexcept {
    if (result == 0) {
        fresh(ends[0]);
        fresh(ends[1]);
    }
    return result;
}

FILE* fresh_stream(FILE* stream) noexcept {
    const errno_kept kept;
    if (stream) fresh(::fileno(stream));
    kept.restore();
    return stream;
}

}  // namespace

void stream_closing(FILE* stream) noexcept {
    const errno_kept kept;
    const int fd = stream ? ::fileno(stream) : -1;
    if (fd >= 0) io::closing(fd);
    kept.restore();
}

FILE* core::freopen(const char* path, const char* mode, FILE* stream) {
    stream_closing(stream);
    return fresh_stream(original().freopen(path, mode, stream));
}

FILE* core::freopen64(const char* path, const char* mode, FILE* stream) {
    stream_closing(stream);
    return fresh_stream(original().freopen64(path, mode, stream));
}

int core::pipe(int* ends) { return fresh_pair(original().pipe(ends), ends); }
int core::pipe2(int* ends, int flags) { return fresh_pair(original().pipe2(ends, flags), ends); }

int core::socketpair(int domain, int type, int protocol, int* ends) {
    return fresh_pair(original().socketpair(domain, type, protocol, ends), ends);
}

int core::closedir(DIR* folder) {
    const errno_kept kept;
    const int fd = folder ? ::dirfd(folder) : -1;
    if (fd >= 0) io::closing(fd);
    kept.restore();
    return original().closedir(folder);
}

// Of an existing descriptor it only changes what that tells of.
int core::signalfd(int fd, const sigset_t* mask, int flags) {
    const int made = original().signalfd(fd, mask, flags);
    return fd == -1 ? fresh(made) : made;
}

int core::inotify_init() { return fresh(original().inotify_init()); }
int core::inotify_init1(int flags) { return fresh(original().inotify_init1(flags)); }
int core::fanotify_init(unsigned flags, unsigned event_flags) {
    return fresh(original().fanotify_init(flags, event_flags));
}
int core::pidfd_open(pid_t pid, unsigned flags) { return fresh(original().pidfd_open(pid, flags)); }
int core::open_by_handle_at(int folder, file_handle* handle, int flags) {
    return fresh(original().open_by_handle_at(folder, handle, flags));
}
int core::posix_openpt(int flags) { return fresh(original().posix_openpt(flags)); }

int core::eventfd(unsigned value, int flags) { return fresh(original().eventfd(value, flags)); }
int core::timerfd_create(int clock, int flags) { return fresh(original().timerfd_create(clock, flags)); }
int core::epoll_create(int size) { return fresh(original().epoll_create(size)); }
int core::epoll_create1(int flags) { return fresh(original().epoll_create1(flags)); }

}  // namespace weft::shim
