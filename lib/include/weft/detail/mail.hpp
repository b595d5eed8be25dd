/// @file weft/detail/mail.hpp
/// A piece of work for the thread that owns something.  Floor: base.
#pragma once

namespace weft::detail {

/// It lives wherever the sender put it, and belongs to arrive() once it has been taken.
struct mail {
    virtual void arrive() noexcept = 0;

    mail* next = nullptr;

protected:
    ~mail() = default;
};

}  // namespace weft::detail
