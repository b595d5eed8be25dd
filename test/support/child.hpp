// Another process, for what must end one.
#pragma once

#include <string>
#include <vector>

namespace test {

struct child_end {
    int status = 0;      // as waitpid() tells it
    std::string output;  // standard output and error

    bool exited_with(int code) const;
    bool killed_by(int signal) const;
    bool failed() const { return !exited_with(0); }
    bool says(const char* words) const { return output.find(words) != std::string::npos; }
};

/// Runs a program to its end. `variables` ("NAME=value") are set in its environment beside this one's.
/// A child that says nothing for 20 s is killed.
child_end run_child(const std::vector<std::string>& command, const std::vector<std::string>& variables = {});

}  // namespace test
