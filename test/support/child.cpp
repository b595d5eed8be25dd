#include "support/child.hpp"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <sstream>
#include <system_error>

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace test {
namespace {
constexpr int silence_limit_ms = 20'000;
}

bool child_end::exited_with(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
bool child_end::killed_by(int signal) const { return WIFSIGNALED(status) && WTERMSIG(status) == signal; }

child_end run_child(std::vector<std::string> command, const std::vector<std::string>& variables) {
    // The link names the emulator to anybody but the program itself.
    if (command[0] == "/proc/self/exe") command[0] = std::filesystem::read_symlink(command[0]);
    if (const char* runner = std::getenv("WEFT_TEST_RUNNER")) {
        std::istringstream text{runner};
        command.insert(command.begin(), std::istream_iterator<std::string>{text}, {});
    }
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    std::vector<char*> settings;
    for (const std::string& setting : variables) settings.push_back(const_cast<char*>(setting.c_str()));

    int ends[2];
    if (::pipe(ends) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(ends[1], 1);
        ::dup2(ends[1], 2);
        ::close(ends[0]);
        ::close(ends[1]);
        for (char* setting : settings) ::putenv(setting);
        ::execvp(words[0], words.data());
        ::_exit(127);
    }
    const int fork_error = errno;
    ::close(ends[1]);
    child_end end;
    char piece[4096];
    ssize_t size = child > 0 ? 1 : 0;
    while (size > 0) {
        pollfd more{ends[0], POLLIN, 0};
        if (::poll(&more, 1, silence_limit_ms) == 0) ::kill(child, SIGKILL);
        size = ::read(ends[0], piece, sizeof piece);
        if (size > 0) end.output.append(piece, static_cast<std::size_t>(size));
    }
    ::close(ends[0]);
    if (child < 0) throw std::system_error(fork_error, std::generic_category(), "fork");
    if (::waitpid(child, &end.status, 0) != child) throw std::system_error(errno, std::generic_category(), "waitpid");
    return end;
}

}  // namespace test
