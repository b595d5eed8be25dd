/// @file nginx.hpp
/// A real nginx for demos and tests: on a free loopback port, with files and a rate limit of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/types.h>

#include "loopback.hpp"

namespace demo {

/// No nginx was found; `what()` names the package to install.
struct nginx_missing : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A running nginx that serves a few files out of a temporary directory.
///
/// Start:     the constructor returns once a request has been answered; as root and as an ordinary user.
/// Lifetime:  the destructor stops nginx and removes the directory before it returns. If the program
///            ends in any other way (a signal, SIGKILL included), a small keeper process does both.
class nginx {
public:
    /// One file to serve as `/name`. The name is a plain file name.
    struct file {
        std::string name;
        std::string contents;
    };

    /// @param bytes_per_second  limit for each response; 0 for none
    /// @throws nginx_missing       neither `$WEFT_NGINX` nor, without it, `$PATH` and sbin have one
    /// @throws std::runtime_error  it did not start; the text holds its error log
    /// @throws std::system_error   no directory, socket or process could be had
    explicit nginx(const std::vector<file>& files, std::size_t bytes_per_second = 0);

    nginx(const nginx&) = delete;
    nginx& operator=(const nginx&) = delete;

    std::uint16_t port() const { return port_.number(); }
    std::string url(const std::string& name) const;

private:
    // Starts nginx on a line from us; stops it and removes the directory when our end of the pipe is closed.
    struct keeper {
        keeper(const std::string& program, const std::string& directory, int listener);
        ~keeper();
        void start_nginx() const;
        int pipe = -1;
        pid_t pid = -1;
    };

    std::string directory_;
    loopback_port port_;  // listens before nginx starts, so no other program can take it in between
    keeper keeper_;
};

/// Files of random bytes, "file10" and up. At that rate the smallest takes 0.2 s, the largest 1.5 s; the
/// order of the names is not that of the sizes.
std::vector<nginx::file> random_files(std::size_t count, std::size_t bytes_per_second);

}  // namespace demo
