#include "child.hpp"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace demo {

ended run_child(const std::vector<std::string>& arguments, bool capture) {
    std::vector<char*> raw;
    for (const std::string& each : arguments) raw.push_back(const_cast<char*>(each.c_str()));
    raw.push_back(nullptr);
    std::fflush(stdout);

    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::system_error{errno, std::generic_category(), "pipe"};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    if (capture) ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, raw[0], &actions, nullptr, raw.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);

    ended result;
    char buffer[4096];
    for (ssize_t got; error == 0 && (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
        result.output.append(buffer, static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
    if (error != 0) throw std::system_error{error, std::generic_category(), arguments[0]};
    int status = 0;
    while (::wait4(pid, &status, 0, &result.used) < 0) {
        if (errno != EINTR) throw std::system_error{errno, std::generic_category(), "wait4"};
    }
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result;
}

std::string own_path() { return std::filesystem::read_symlink("/proc/self/exe"); }

}  // namespace demo
