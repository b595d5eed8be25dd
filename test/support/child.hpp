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
/// A child that says nothing for 20 s is killed. With WEFT_TEST_RUNNER in the environment, it is the command (words
/// between blanks) that runs the program: what an emulator runs cannot start programs for the emulated machine.
child_end run_child(std::vector<std::string> command, const std::vector<std::string>& variables = {});

}  // namespace test
