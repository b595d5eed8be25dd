// What the scheduler asks of whoever turns it.  Floor: sched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>

struct epoll_event;

namespace weft::detail {

struct thread;

struct driver {
    virtual ~driver() = default;

    virtual clock::time_point now() noexcept = 0;

    /// Takes in what has happened outside: descriptors, callbacks. `until` in the past: without waiting.
    /// Otherwise waits for something to happen, for a post to the thread's mailbox, or for `until`.
    /// @returns false if it did not wait because nothing can ever happen: no descriptor, job or handle is
    ///          awaited and no other thread exists
    virtual bool poll(clock::time_point until) = 0;

    /// Adds a descriptor to the edge-triggered set, for reading, writing and urgent data, for as long as it is
    /// open. @returns 0 or minus an error number
    virtual long watch(int fd, std::uint64_t cookie) noexcept = 0;

    /// In a forked child: what is shared with the parent is let go and made anew.
    virtual void after_fork() {}

    /// The set, for descriptors that other threads close; -1 for none.
    virtual int set() const noexcept { return -1; }

    /// Waits in progress that an event, not a deadline, will end.
    long expected = 0;

    /// It stands in for another one, or serves again.
    virtual void installed() noexcept {}
};

/// No thread exists but the caller and those that the library itself runs, and these have no job that could wake
/// anybody.
bool only_our_threads() noexcept;

/// A thread of the library's own starts or ends.
void count_own_thread(int change) noexcept;
/// Such a job has been handed to them, or is over.
void count_job(int change) noexcept;
void forget_own_threads() noexcept;
/// Starts such a thread, detached, with every signal blocked. @returns 0 or an error number; nothing was run then
WEFT_API int start_own_thread(const char* name, void (*body)(void*), void* argument) noexcept;

/// Descriptors of this thread's set have had edges, or a signal handler has interrupted the thread's wait;
/// both defined by the io floor. Cookies that are no descriptor's are skipped.
WEFT_API void on_edges(const epoll_event* events, std::size_t count) noexcept;
void on_signal() noexcept;
/// The thread's set is about to go.
void on_set_closing(int set) noexcept;
/// A descriptor is the library's own: the program can neither close it nor wait on it.
WEFT_API void on_own_descriptor(int fd, bool own) noexcept;
/// In a forked child: registrations and waits are the parent's.
void on_fork() noexcept;

/// The driver of a thread that chooses none; defined by the hub floor.
std::unique_ptr<driver> make_hub_driver(thread& t);

}  // namespace weft::detail
