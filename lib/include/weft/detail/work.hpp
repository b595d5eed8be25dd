/// @file weft/detail/work.hpp
/// What the threads of a pool do.  Floor: hub.
#pragma once

namespace weft::detail {

/// Linked into a pool from the call that hands it in until run() or drop(), one of which is called once. It lies
/// wherever its owner put it; the pool touches it no more after that.
struct work {
    /// On a thread of the pool, with every signal blocked.
    virtual void run() noexcept = 0;
    /// It will never run. @param error  an error number: why no thread could be made; 0 if the queue was dropped
    virtual void drop(int error) noexcept = 0;

    work* next_work = nullptr;

protected:
    ~work() = default;
};

}  // namespace weft::detail
