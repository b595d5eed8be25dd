/// @file child.hpp
/// Runs another program, or this one again, and waits for its end.
#pragma once

#include <string>
#include <vector>

#include <sys/resource.h>

namespace demo {

/// How a child ended.
struct ended {
    int status = 0;      // what it returned; 128 + the signal if one killed it
    std::string output;  // its standard output, if that was asked for
    rusage used{};
};

/// @param arguments  the program's path, then what it is given
/// @param capture    collect its standard output instead of letting it through
/// @throws std::system_error  it could not be started
ended run_child(const std::vector<std::string>& arguments, bool capture);

/// Where this very program lies.
std::string own_path();

}  // namespace demo
