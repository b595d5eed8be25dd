// What the sources of the lot share.  Floor: io.
#pragma once

#include "base/mailbox.hpp"
#include "io/lot.hpp"

namespace weft::detail::io::lot {

/// Holds a bucket's lock, and wakes the threads that are owed that once it has let go.
class holding {
public:
    explicit holding(bucket& b) noexcept : bucket_{b} { b.lock.lock(); }
    ~holding() {
        bucket_.lock.unlock();
        if (owes) mailbox::wake_owed();
    }
    holding(const holding&) = delete;
    holding& operator=(const holding&) = delete;

    bool owes = false;

private:
    bucket& bucket_;
};

// With the lock held.
void append(bucket& b, sleeper& who) noexcept;
void take_out(bucket& b, sleeper& who) noexcept;
sleeper* first_at(const bucket& b, const void* address) noexcept;
void summon_first(bucket& b, const void* address, holding& held) noexcept;

void forget_courier() noexcept;

}  // namespace weft::detail::io::lot
