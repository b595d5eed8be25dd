// The calls with their exact semantics; interposed symbols and weft::shim are thin covers of them.  Floor: shim.
#pragma once

#include <cerrno>

#include "io/readiness.hpp"
#include "io/write_ticket.hpp"
#include "original.hpp"
#include "types.hpp"

namespace weft::shim {

namespace io = weft::detail::io;

/// Who calls: an interposed call has foreign frames above it, through which nothing may be thrown.
enum class caller : bool { ours, foreign };

struct core {
#define WEFT_CALL(area, result, name, parameters, ...) result name parameters;
#define WEFT_OWN(...)
#include "../calls.def"
#undef WEFT_CALL

    caller who;

    io::manner manner_of(const char* call, deadline by, io::signal_rule signals) const noexcept {
        return {call, by, signals, who == caller::foreign, true};
    }
    /// A wait ended without what it waited for. Sets errno (`late` for a time-out) or throws; @returns -1
    int failed(io::outcome how, const char* call, int late) const;

private:
    io::manner patient_manner(const io::attempt& seen, io::direction way, const char* call, deadline& by,
                              bool& timed) const;
    /// Waits until the call is worth trying again. @returns whether it is; false with errno set, or thrown
    /// `progress`: something was transferred already, so that a kill is left for the next wait.
    bool wait_for(int fd, const io::attempt& seen, io::direction way, const char* call, deadline& by, bool& timed,
                  bool progress) const;

    /// Waits for others' writes in parts to end. @returns as wait_for()
    bool wait_for_ticket(io::write_ticket& ticket, const io::attempt& seen, const char* call, deadline& by,
                         bool& timed) const;

    /// Non-blocking try in a loop. `once` makes one try: with MSG_DONTWAIT one that never blocks and returns -1 with
    /// EAGAIN if it would, with 0 one that would not. `wanted` > 0 says that a smaller result drains a stream.
    template <class Try>
    ssize_t receive(int fd, const char* call, ssize_t wanted, Try once) const;
    template <class Try, class More>
    ssize_t receive_whole(int fd, const char* call, size_t size, size_t least, bool peek, Try once, More more) const;
    ssize_t receive_message(int fd, msghdr* message, int flags, const char* call) const;
    /// The same until `total()` bytes have gone; `once` is told how many have gone before. The total is asked for when
    /// something has: the kernel is the first to look at what the caller calls an array.
    template <class Total, class Try>
    ssize_t send_all(int fd, const char* call, Total total, Try once) const;

    template <class Native>
    int accept_one(int fd, const char* call, Native native) const;
    static int try_connect(int fd, io::fd_entry& entry, const sockaddr* address, socklen_t size);
    bool wait_for_connect(int fd, deadline& by, bool& timed) const;
    ssize_t send_message(int fd, const msghdr* message, int flags, const char* call) const;
    // The flags are preadv2's, for files.
    ssize_t read_parts(int fd, const iovec* parts, int count, const char* call, int flags = 0) const;
    ssize_t write_parts(int fd, const iovec* parts, int count, const char* call, int flags = 0) const;
    int wait_for_any(pollfd* fds, nfds_t count, deadline by, io::real_poll look, const char* call) const;
    int select_until(int count, fd_set* readable, fd_set* writable, fd_set* odd, deadline by, const sigset_t* mask,
                     const char* call) const;
    int epoll_until(int set, epoll_event* events, int room, deadline by, const char* call) const;
    int sleep_until(deadline by, const char* call) const;
    bool clear_for(int fd, int onto) const;
    void close_each_from(int first);
    int fcntl_any(int fd, int command, void* argument, bool wide) const;
    int lock_region(int fd, int command, void* argument, bool wide) const;
    template <class Once>
    ssize_t move_between(int in, int out, size_t size, bool whole, const char* call, Once once) const;
    ssize_t splice_waiting(int in, off64_t* in_at, int out, off64_t* out_at, size_t size, unsigned flags,
                           const char* call) const;
    ssize_t send_file(int out, int in, off_t* offset, size_t size) const;
    template <class Native>
    int open_any(int folder, const char* path, int flags, const char* call, Native native) const;
    template <class Native>
    ssize_t read_at(int fd, const iovec* parts, int count, off_t offset, int flags, const char* call,
                    Native native) const;
    template <class Native>
    ssize_t write_at(int fd, const iovec* parts, int count, off_t offset, int flags, const char* call,
                     Native native) const;
};

/// Restores errno on the way out of a call that succeeded.
class errno_kept {
public:
    errno_kept() noexcept : value_{errno} {}
    void restore() const noexcept { errno = value_; }

private:
    int value_;
};

/// What a descriptor is, as far as trying a call without blocking goes; learned once per open file.
enum class way_to_try : std::uint8_t {
    unknown,
    socket,      // MSG_DONTWAIT
    nowait,      // RWF_NOWAIT: pipes, eventfd, timerfd
    look_first,  // no such try: poll, then call
    never_waits, // files in memory, and what epoll refuses: libc's own call
    // Files that may have to be fetched: what a try does not do, a pool thread does.
    file,         // RWF_NOWAIT
    file_copies,  // RWF_NOWAIT for reads only; writes are copies into the cache of a local disk
    file_pooled,  // no such try
};
inline bool is_file(way_to_try way) noexcept { return way >= way_to_try::file; }
way_to_try way_of(int fd, const io::attempt& seen) noexcept;
void relearn(const io::attempt& seen, way_to_try way) noexcept;

/// SO_RCVTIMEO or SO_SNDTIMEO, counted from now, as blocks() has learned it.
deadline patience_of(const io::attempt& seen, io::direction way);

/// Whether the call may park: O_NONBLOCK is clear. Learns the time-outs of a socket, too.
bool blocks(int fd, const io::attempt& seen) noexcept;

/// A look with poll(2) that does not wait: the descriptor has one of these events, or an error. A signal that comes just
/// then ends even such a poll with EINTR, which says nothing. errno stays.
bool ready_now(int fd, short events) noexcept;

/// SO_RCVLOWAT was set on some socket. Until then nobody asks for it.
bool marks_are_used() noexcept;
void marks_are_used_now() noexcept;

/// A POSIX time span as a deadline; the span is valid.
deadline after(const timespec& span);
bool valid(const timespec& span) noexcept;

/// With `mask` in force: a signal that it lets in has been waiting, and its handler has run. errno is EINTR then.
bool interrupted_by(const sigset_t* mask) noexcept;

/// The thread's signal mask as it is without those below.
sigset_t own_signal_mask() noexcept;
/// In a forked child: they are of tasks of the parent's.
void forget_signal_masks() noexcept;

/// Sets the thread's signal mask while it lives; null changes nothing. Tasks that overlap in such calls share the
/// thread: the mask set last is in force, and the thread's own again when none is left.
class signal_mask {
public:
    explicit signal_mask(const sigset_t* mask) noexcept;
    ~signal_mask();
    signal_mask(const signal_mask&) = delete;
    signal_mask& operator=(const signal_mask&) = delete;

private:
    const sigset_t* mask_;
    signal_mask* older_ = nullptr;
    signal_mask* newer_ = nullptr;
};

}  // namespace weft::shim
