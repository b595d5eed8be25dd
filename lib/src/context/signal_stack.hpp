// Where a thread handles a signal when its own stack is used up.  Floor: context.
#pragma once

#include <cstddef>

namespace weft::detail {

/// The calling thread's alternate signal stack, if the thread has none of its own.
class signal_stack {
public:
    signal_stack() = default;
    signal_stack(const signal_stack&) = delete;
    signal_stack& operator=(const signal_stack&) = delete;
    ~signal_stack();  // on the same thread

    /// Does nothing if the thread has one: this, or another's.
    /// @throws std::system_error  no memory
    void install();

private:
    std::byte* mapped_ = nullptr;  // its guard first
    std::size_t size_ = 0;         // without the guard
};

}  // namespace weft::detail
