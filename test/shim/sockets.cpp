#include "shim/sockets.hpp"

#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace test {

void control::carry(msghdr& message, const int* fds, std::size_t count) {
    message.msg_control = room;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds, count * sizeof(int));
}

int control::take(const msghdr& message) {
    int came = 0;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header;
         header = CMSG_NXTHDR(const_cast<msghdr*>(&message), header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        for (std::size_t at = 0; CMSG_LEN(at) < header->cmsg_len; at += sizeof(int), ++came) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(header) + at, sizeof fd);
            ::close(fd);
        }
    }
    return came;
}

scratch::scratch(const char* parent) : folder_{std::string{parent} + "/weft-test-" "XX" "XX" "XX"} {
    if (!::mkdtemp(folder_.data())) throw std::runtime_error("mkdtemp");
}

scratch::~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

}  // namespace test
