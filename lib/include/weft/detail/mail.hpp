/// @file weft/detail/mail.hpp
/// A piece of work for the thread that owns something.  Floor: base.
#pragma once

namespace weft::detail {

/// It lives wherever the sender put it, and belongs to deliver() once it has been taken.
struct mail {
    using function = void (*)(mail&) noexcept;

    explicit mail(function deliver_function) noexcept : deliver{deliver_function} {}

    mail* next = nullptr;
    function deliver;
};

}  // namespace weft::detail
