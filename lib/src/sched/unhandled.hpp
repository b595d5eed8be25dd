// Errors that nobody observed.  Floor: sched.
#pragma once

#include <exception>
#include <string>

#include "fiber/thread.hpp"

namespace weft::detail {

/// "std::runtime_error: text", or the type's name for what is no std::exception.
std::string describe_error(const std::exception_ptr& error);

}  // namespace weft::detail
