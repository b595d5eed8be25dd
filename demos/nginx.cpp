#include "nginx.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <system_error>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace demo {
namespace {

namespace fs = std::filesystem;

constexpr int inherited_fd = 3;  // where nginx finds the listening socket

// $1 nginx, $2 its directory. The first line on standard input starts nginx, the end of the input stops it.
constexpr const char* keeper_script = R"(
trap '' HUP INT TERM
if read -r line; then
    NGINX='3;' "$1" -p "$2/" -e "$2/error.log" -c "$2/nginx.conf" </dev/null &
    server=$!
    exec 3<&-
    read -r line
    kill "$server"
    wait "$server"
fi
rm -rf "$2"
)";

[[noreturn]] void fail(const char* what, int error = errno) {
    throw std::system_error{error, std::generic_category(), what};
}

std::string find_nginx() {
    std::string searched;
    if (const char* named = std::getenv("WEFT_NGINX")) {
        if (::access(named, X_OK) == 0) return named;
        searched = named;
    } else {
        const char* path = std::getenv("PATH");
        // The sbin directories are seldom on an ordinary user's path.
        searched = std::string{path ? path : ""} + ":/usr/local/sbin:/usr/sbin:/sbin";
        std::istringstream directories{searched};
        for (std::string directory; std::getline(directories, directory, ':');) {
            const std::string program = directory + "/nginx";
            if (!directory.empty() && ::access(program.c_str(), X_OK) == 0) return program;
        }
    }
    throw nginx_missing{"no nginx in " + searched + "; on Debian: apt-get install nginx-light"};
}

std::string make_directory() {
    std::string path = fs::temp_directory_path() / "weft-nginx.XXXXXX";
    if (!::mkdtemp(path.data())) fail("mkdtemp");
    return path;
}

std::string read_file(const fs::path& path) {
    std::ifstream in{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
}

void write_file(const fs::path& path, const std::string& contents) {
    std::ofstream out{path, std::ios::binary};
    out << contents;
    out.close();
    if (!out) fail(path.c_str(), EIO);
}

// A worker started by root would drop to a user that cannot read this directory; others keep who they are.
// Small buffers without sendfile make the rate limit pace evenly, not second by second. The one worker has a
// master above it because nginx without one crashes on a socket that it inherits.
std::string configuration(std::uint16_t port, std::size_t bytes_per_second) {
    return std::string{::geteuid() == 0 ? "user root;\n" : ""} +
           "daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log error.log;\n"
           "events { worker_connections 512; }\n"
           "http {\n"
           "    access_log off;\n    default_type application/octet-stream;\n"
           "    client_body_temp_path tmp;\n    proxy_temp_path tmp;\n    fastcgi_temp_path tmp;\n"
           "    uwsgi_temp_path tmp;\n    scgi_temp_path tmp;\n"
           "    sendfile off;\n    output_buffers 1 4k;\n"
           "    server {\n"
           "        listen 127.0.0.1:" + std::to_string(port) + ";\n"
           "        root files;\n"
           "        limit_rate " + std::to_string(bytes_per_second) + ";\n"
           "    }\n"
           "}\n";
}

// True once a request is answered. The socket listens already: before nginx accepts, the connection waits; if
// nginx could not start, the last holder of the socket is gone and the connection is reset.
bool answers(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    const timeval limit{10, 0};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    constexpr char request[] = "HEAD / HTTP/1.0\r\n\r\n";
    char reply[5] = {};
    const bool good = ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
                      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                      ::send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == sizeof request - 1 &&
                      ::recv(fd, reply, sizeof reply, MSG_WAITALL) == sizeof reply;
    ::close(fd);
    return good && std::string{reply, sizeof reply} == "HTTP/";
}

}  // namespace

nginx::keeper::keeper(const std::string& program, const std::string& directory, int listener) {
    const std::string messages = directory + "/messages";
    const char* arguments[] = {"sh", "-c", keeper_script, "sh", program.c_str(), directory.c_str(), nullptr};
    int ends[2] = {-1, -1};
    int error = ::pipe2(ends, O_CLOEXEC) == 0 ? 0 : errno;
    if (error == 0) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none;
        ::sigemptyset(&none);
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawnattr_init(&attributes);
        ::posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
        ::posix_spawn_file_actions_addopen(&actions, 1, messages.c_str(), O_WRONLY | O_CREAT, 0600);
        ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
        ::posix_spawn_file_actions_adddup2(&actions, listener, inherited_fd);
        // A session of its own: Ctrl-C reaches the program, not the one that cleans up after it.
        ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
        ::posix_spawnattr_setsigmask(&attributes, &none);
        error = ::posix_spawn(&pid, "/bin/sh", &actions, &attributes, const_cast<char**>(arguments), environ);
        ::posix_spawnattr_destroy(&attributes);
        ::posix_spawn_file_actions_destroy(&actions);
        ::close(ends[0]);
        pipe = ends[1];
    }
    if (error != 0) {
        if (pipe >= 0) ::close(pipe);
        fs::remove_all(directory);
        fail("the keeper of nginx", error);
    }
}

nginx::keeper::~keeper() {
    ::close(pipe);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
}

void nginx::keeper::start_nginx() const {
    if (::write(pipe, "\n", 1) != 1) fail("the keeper of nginx");
}

nginx::nginx(const std::vector<file>& files, std::size_t bytes_per_second)
    : keeper_{find_nginx(), directory_ = make_directory(), port_.fd()} {
    const fs::path directory = directory_;
    port_.listen();
    fs::create_directory(directory / "files");
    for (const file& each : files) write_file(directory / "files" / each.name, each.contents);
    write_file(directory / "nginx.conf", configuration(port_.number(), bytes_per_second));
    keeper_.start_nginx();
    port_.close();
    if (!answers(port_.number())) {
        throw std::runtime_error{"nginx did not start; its log:\n" + read_file(directory / "error.log") +
                                 read_file(directory / "messages")};
    }
}

std::string nginx::url(const std::string& name) const {
    return "http://127.0.0.1:" + std::to_string(port_.number()) + "/" + name;
}

std::vector<nginx::file> random_files(std::size_t count, std::size_t bytes_per_second) {
    std::mt19937 random{20};
    std::vector<nginx::file> files(count);
    const std::size_t last = std::max<std::size_t>(count, 2) - 1;
    for (std::size_t k = 0; k < count; ++k) {
        files[k].name = "file" + std::to_string(10 + k * 7 % count);
        files[k].contents.resize(bytes_per_second / 5 + bytes_per_second * 13 / 10 * k / last);
        for (char& byte : files[k].contents) byte = static_cast<char>(random());
    }
    return files;
}

}  // namespace demo
