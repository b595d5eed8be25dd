// Errors that nobody observed.  Floor: sched.
#pragma once

#include <exception>

#include <weft/detail/end_block.hpp>

namespace weft::detail {

/// Calls the user's hook, by default a line on standard error.
void report_unhandled(const end_block& block, const std::exception_ptr& error) noexcept;

/// "std::runtime_error: text", or the type's name for what is no std::exception.
std::string describe_error(const std::exception_ptr& error);

}  // namespace weft::detail
