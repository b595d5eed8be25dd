// A fully static program: no library is loaded, and calls park all the same.
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/monkey.hpp>
#include <weft/shim.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

namespace {

int failures = 0;

void expect(bool right, const char* what) {
    if (right) return;
    std::printf("wrong: %s\n", what);
    ++failures;
}

template <class Call>
bool parks(Call call) {
    bool ran = false;
    auto other = weft::spawn([&] { ran = true; });
    call();
    const bool parked = ran;
    other.join();
    return parked;
}

int listen_somewhere(sockaddr_in& address) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const at = reinterpret_cast<sockaddr*>(&address);
    const bool done = ::bind(fd, at, size) == 0 && ::listen(fd, 5) == 0 && ::getsockname(fd, at, &size) == 0;
    expect(done, "listen");
    return fd;
}

// One thread: the server's accept and read have to let the client run, and the other way round.
void echo_over_tcp() {
    sockaddr_in address{};
    const int listener = listen_somewhere(address);
    auto server = weft::spawn([listener] {
        const int fd = ::accept(listener, nullptr, nullptr);
        char text[16];
        ssize_t size;
        while ((size = ::read(fd, text, sizeof text)) > 0) expect(::write(fd, text, static_cast<size_t>(size)) == size, "echo");
        ::close(fd);
    });
    auto client = weft::spawn([&address] {
        const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        expect(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "connect");
        std::string got;
        for (int i = 0; i < 100; ++i) {
            char text[4];
            expect(::send(fd, "ping", 4, 0) == 4, "send");
            expect(::recv(fd, text, 4, MSG_WAITALL) == 4, "recv");
            got.append(text, 4);
        }
        expect(got.size() == 400 && got.find("pingping") == 0, "what came back");
        ::close(fd);
    });
    client.get();
    server.get();
    ::close(listener);
}

// A lock held across a wait, and a condition: a thread that blocked would never come to the other task.
void locks() {
    std::mutex mutex;
    std::condition_variable said;
    bool told = false;
    auto holder = weft::spawn([&] {
        const std::lock_guard held{mutex};
        ::usleep(2'000);
    });
    auto waiter = weft::spawn([&] {
        std::unique_lock held{mutex};
        said.wait(held, [&] { return told; });
    });
    auto teller = weft::spawn([&] {
        ::usleep(5'000);
        const std::lock_guard held{mutex};
        told = true;
        said.notify_one();
    });
    holder.get();
    waiter.get();
    teller.get();
}

int count_modules(dl_phdr_info* info, std::size_t, void* count) {
    if (info->dlpi_name && std::strstr(info->dlpi_name, ".so") && !std::strstr(info->dlpi_name, "vdso")) ++*static_cast<int*>(count);
    return 0;
}

}  // namespace

int main() {
    int modules = 0;
    dl_iterate_phdr(count_modules, &modules);
    expect(modules == 0, "a static program has no shared libraries");
    const auto nap = [] { ::usleep(2'000); };
    const auto look = [] { ::poll(nullptr, 0, 2); };
    expect(!parks(nap) && !parks(look), "calls pass through until they are patched");
    expect(parks([] { weft::shim::usleep(2'000); }), "by name");
    expect(weft::monkey::patch_all() && weft::monkey::is_patched("recv"), "patch_all");
    expect(parks(nap) && parks(look), "calls park");
    expect(!parks([] { weft::monkey::original<&::usleep>()(2'000); }), "an original does not");
    {
        const weft::monkey::native_scope native;
        expect(!parks(nap), "a native scope");
    }
    echo_over_tcp();
    locks();
    std::thread{[] { expect(::usleep(1'000) == 0, "a plain thread"); }}.join();
    weft::monkey::unpatch_all();
    expect(!parks(nap), "unpatched");
    std::printf("static: %d wrong\n", failures);
    return failures != 0;
}
