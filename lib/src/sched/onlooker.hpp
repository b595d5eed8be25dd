// What one thread can see of another that runs.  Floor: sched.
#pragma once

#include <cstddef>
#include <cstdint>

#include <weft/detail/export.hpp>

#include "fiber/call_note.hpp"

namespace weft::detail {

struct thread;
class mailbox;

/// Copies memory of the process that may change or go meanwhile. @returns false if it is not there
WEFT_API bool peek(const void* from, void* to, std::size_t size) noexcept;

template <class T>
bool peek_at(const T* from, T& to) noexcept {
    return peek(from, &to, sizeof to);
}

/// What a look found: of fields that change while it looks, some may be older than others.
struct glance {
    std::uint64_t turn = 0;  // another one each time that somebody else runs
    bool in_hub = false;     // the hub's fiber runs
    bool asleep = false;     // and waits for events
    call_note call;          // of the fiber that runs
};

/// Looks at the thread that made it; from any thread, and after that thread's end.
class WEFT_API onlooker {
public:
    onlooker();
    ~onlooker();
    onlooker(const onlooker&) = delete;
    onlooker& operator=(const onlooker&) = delete;

    /// @returns false once the thread has ended
    bool look(glance& found) const noexcept;
    /// "task 7 'name'", of the fiber that runs: right if it is stuck, as whoever asks supposes. @returns its id or 0
    std::uint64_t describe(char* text, std::size_t room) const noexcept;
    /// The kernel's number of the thread.
    int tid() const noexcept { return tid_; }

private:
    thread* const of_;     // may have ended: only peek() looks into it
    mailbox* const box_;   // counted
    const int tid_;
};

}  // namespace weft::detail
