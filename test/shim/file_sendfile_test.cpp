// sendfile: to sockets, pipes and files; where it begins, where it ends, and what is left behind.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <sys/sendfile.h>

#include <weft/error.hpp>
#include <weft/timeout.hpp>

#include "shim/differential.hpp"
#include "shim/files.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::descriptor;
using test::later;

namespace {

constexpr std::size_t much = std::size_t{4} << 20;

// Made once: that takes long enough for a ticker to notice.
const std::string& much_text() {
    static const std::string text = test::pattern(much);
    return text;
}

descriptor file_of(const test::scratch& folder, const char* leaf, const std::string& text) {
    descriptor file{::open(folder.name(leaf).c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_TRUNC, 0600)};
    CHECK(::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    CHECK(::lseek(file, 0, SEEK_SET) == 0);
    return file;
}

/// Reads until the end or `size` bytes on a plain thread of its own.
class drain {
public:
    drain(int fd, std::size_t size) : thread_{[this, fd, size] {
        char b[65536];
        while (got_.size() < size) {
            const ssize_t n = ::read(fd, b, std::min(sizeof b, size - got_.size()));
            if (n <= 0) break;
            got_.append(b, static_cast<std::size_t>(n));
        }
        done_ = true;
    }} {}
    ~drain() {
        if (thread_.joinable()) thread_.join();
    }
    drain(const drain&) = delete;
    drain& operator=(const drain&) = delete;
    const std::string& all(const calls& c) {
        while (!done_) c.usleep(500);
        thread_.join();
        return got_;
    }

private:
    std::string got_;
    std::atomic<bool> done_{false};
    std::thread thread_;
};

}  // namespace

DIFFERENTIAL("a file to a stream socket") {
    const test::scratch folder{test::disk_folder()};
    const std::string& text = much_text();
    const descriptor file = file_of(folder, "f", text);
    for (auto* const make : {+[] { return test::unix_pair(); }, +[] { return test::tcp_pair(); }}) {
        auto s = make();
        test::make_cold(file, c);
        off_t offset = 1000;
        {
            drain reader{s[1], 2'000'000};
            out.untimed("from an offset", [&] { return c.sendfile(s[0], file, &offset, 2'000'000); });
            out.value("right", reader.all(c) == text.substr(1000, 2'000'000));
        }
        out.value("offset", offset);
        out.value("position", ::lseek(file, 0, SEEK_CUR));
        CHECK(::lseek(file, 3'000'000, SEEK_SET) == 3'000'000);
        {
            drain reader{s[1], much - 3'000'000};
            out.untimed("from the position to the end", [&] { return c.sendfile(s[0], file, nullptr, much); });
            out.value("right", reader.all(c) == text.substr(3'000'000));
        }
        out.value("position", ::lseek(file, 0, SEEK_CUR));
        out("at the end", [&] { return c.sendfile(s[0], file, nullptr, 10); });
        out("nothing", [&] { return c.sendfile(s[0], file, nullptr, 0); });
        CHECK(::lseek(file, 0, SEEK_SET) == 0);
    }
}

DIFFERENTIAL("sendfile to a socket in time, and without waiting") {
    const test::scratch folder;
    const descriptor file = file_of(folder, "f", much_text());
    auto s = test::unix_pair();
    test::set_timeout(s[0], SO_SNDTIMEO, 100);
    off_t offset = 0;
    const auto sent = out("some of it", [&] {
        const ssize_t n = c.sendfile(s[0], file, &offset, much);
        return n > 0 && n < static_cast<ssize_t>(much) ? 1 : n;
    });
    CHECK(sent == 1);
    out.value("offset moved", offset > 0 && offset < static_cast<off_t>(much));
    const off_t before = offset;
    out("none in time", [&] { return c.sendfile(s[0], file, &offset, much); });
    out.value("offset", offset - before);
    auto n = test::unix_pair(SOCK_STREAM | SOCK_NONBLOCK);
    out("O_NONBLOCK", [&] { return c.sendfile(n[0], file, nullptr, much) > 0; });
    out("O_NONBLOCK, full", [&] { return c.sendfile(n[0], file, nullptr, much); });
}

DIFFERENTIAL("sendfile waits for a reader, and is told when there is none") {
    ::signal(SIGPIPE, SIG_IGN);
    const test::scratch folder;
    const descriptor file = file_of(folder, "f", much_text());
    auto s = test::unix_pair();
    std::string room(much, 0);
    {
        const later read{c, 30ms, [&] { CHECK(::recv(s[1], room.data(), much, MSG_WAITALL) == static_cast<ssize_t>(much)); }};
        out("all", [&] { return c.sendfile(s[0], file, nullptr, much); });
    }
    s[1].close();
    out("no reader", [&] { return c.sendfile(s[0], file, nullptr, 10); });
    CHECK(::lseek(file, 0, SEEK_SET) == 0);
    out("no reader", [&] { return c.sendfile(s[0], file, nullptr, 10); });
    out.value("position", ::lseek(file, 0, SEEK_CUR));
}

DIFFERENTIAL("sendfile to pipes and files") {
    const test::scratch folder{test::disk_folder()};
    const std::string text = test::pattern(300'000);
    const descriptor file = file_of(folder, "f", text), copy = file_of(folder, "g", "");
    auto pipe = test::pipe_pair();
    std::string room(300'000, 0);
    out("to a pipe, as much as there is room for", [&] { return c.sendfile(pipe[1], file, nullptr, 200'000); });
    out.value("position", ::lseek(file, 0, SEEK_CUR));
    {
        const later read{c, 30ms, [&] { CHECK(::read(pipe[0], room.data(), 65536) == 65536); }};
        out("to a full pipe", [&] { return c.sendfile(pipe[1], file, nullptr, 1000); });
    }
    out("what came", [&] { return c.read(pipe[0], room.data(), room.size()); });
    out.bytes("what", room.data(), 1000);
    out("nothing to a pipe", [&] { return c.sendfile(pipe[1], file, nullptr, 0); });
    out.untimed("to a file", [&] { return c.sendfile(copy, file, nullptr, 100'000); });
    out("read back", [&] { return c.pread(copy, room.data(), room.size(), 0); });
    out.bytes("what", room.data(), 100'000);
    out.value("position", ::lseek(copy, 0, SEEK_CUR));
}

DIFFERENTIAL("sendfile refuses what libc refuses") {
    const test::scratch folder;
    const descriptor file = file_of(folder, "f", "some text");
    const descriptor write_only{::open(folder.name("f").c_str(), O_WRONLY | O_CLOEXEC)};
    const descriptor appending{::open(folder.name("g").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600)};
    auto s = test::unix_pair();
    off_t offset = -1;
    out("no descriptor", [&] { return c.sendfile(s[0], -1, nullptr, 10); });
    out("to no descriptor", [&] { return c.sendfile(-1, file, nullptr, 10); });
    out("only for writing", [&] { return c.sendfile(s[0], write_only, nullptr, 10); });
    out("only for reading", [&] { return c.sendfile(descriptor{::dup(file)}, file, nullptr, 0); });
    out("negative offset", [&] { return c.sendfile(s[0], file, &offset, 10); });
    out("bad offset", [&] { return c.sendfile(s[0], file, reinterpret_cast<off_t*>(8), 10); });
    out("from a socket", [&] { return c.sendfile(s[0], s[1], nullptr, 10); });
    out("to a file that appends", [&] { return c.sendfile(appending, file, nullptr, 10); });
    const descriptor zeros{::open("/dev/zero", O_RDONLY | O_CLOEXEC)};
    out("zeros", [&] { return c.sendfile(s[0], zeros, nullptr, 5000); });
}

HUB_TEST("a kill ends sendfile with what has gone, or with ECANCELED; sendfile64 is the same") {
    const test::scratch folder;
    const descriptor file = file_of(folder, "f", much_text());
    const test::patched now;
    auto s = test::unix_pair();
    for (const bool any_gone : {true, false}) {
        ssize_t sent = -7;
        int error = 0;
        off64_t offset = 0;
        auto sending = weft::spawn([&] {
            sent = ::sendfile64(s[0], file, &offset, much);
            error = errno;
            weft::sleep_for(1h);
        });
        weft::sleep_for(10ms);
        CHECK(sending.kill(1s));
        CHECK((sent > 0) == any_gone);
        CHECK(offset == std::max<ssize_t>(sent, 0));
        if (!any_gone) CHECK(error == ECANCELED);
    }
}

HUB_TEST("a hundred slow readers of a file hold no thread") {
    const test::scratch folder{test::disk_folder()};
    const descriptor file = file_of(folder, "f", much_text());
    const test::patched now;
    constexpr int readers = 100;
    std::vector<test::ends> sockets;
    std::vector<weft::task<void>> sending;
    for (int i = 0; i < readers; ++i) sockets.push_back(test::unix_pair());
    const bool free = test::leaves_the_thread_free([&] {
        sending.clear();
        for (auto& s : sockets)
            sending.push_back(weft::spawn([&] {
                off_t offset = 0;
                (void)::sendfile(s[0], file, &offset, much);
            }));
        weft::sleep_for(30ms);
        int threads = 0;
        for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/task"}) threads += entry.exists();
        CHECK(threads < 40);
        for (auto& t : sending) t.kill();
    });
    CHECK(free);
}
