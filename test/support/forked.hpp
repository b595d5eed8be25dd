// A copy of this process, for what fork() must and must not hand down.
#pragma once

#include <cstdio>
#include <iostream>
#include <stdexcept>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/this_task.hpp>

#include "support/sanitizers.hpp"

namespace test {

/// Without text in the buffers, which a child that exits would write once more.
inline pid_t fork_flushed() {
    std::cout.flush();
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) check_no_leaks();  // what the parent's fibers hold is theirs
    return child;
}

/// Its status as waitpid() tells it, while other tasks run; -1 if it has to be killed after 10 s.
inline int end_of(pid_t child) {
    if (child <= 0) throw std::runtime_error("fork");
    int status = -1;
    for (int i = 0; i < 10'000; ++i) {
        if (::waitpid(child, &status, WNOHANG) == child) return status;
        weft::sleep_for(std::chrono::milliseconds{1});
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return -1;
}

inline bool exited_with(int status, int code) { return WIFEXITED(status) && WEXITSTATUS(status) == code; }

}  // namespace test
