// Writing files: where it goes, how much of it, and what a limit does to it.
#include <csignal>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <doctest/doctest.h>

#include "shim/differential.hpp"
#include "shim/files.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::descriptor;

namespace {

constexpr std::size_t page = 4096;

descriptor fresh_file(const test::scratch& folder, int flags = 0) {
    return descriptor{::open(folder.name("f").c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_TRUNC | flags, 0600)};
}

void note_content(test::journal& out, int file) {
    std::string room(std::size_t{2} << 20, 0);
    const ssize_t size = ::pread(file, room.data(), room.size(), 0);
    out.bytes("content", room.data(), size < 0 ? 0 : static_cast<std::size_t>(size));
    out.value("position", ::lseek(file, 0, SEEK_CUR));
}

/// A size that no file may outgrow, for as long as it lives.
class size_limit {
public:
    explicit size_limit(rlim_t most) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit now{most, before_.rlim_max};
        CHECK(::setrlimit(RLIMIT_FSIZE, &now) == 0);
    }
    ~size_limit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
    size_limit(const size_limit&) = delete;
    size_limit& operator=(const size_limit&) = delete;

private:
    rlimit before_;
};

volatile std::sig_atomic_t limit_signals = 0;
volatile pthread_t limit_signalled = 0;

}  // namespace

DIFFERENTIAL("pwrite and its kin leave the position alone") {
    const test::scratch folder{test::disk_folder()};
    const descriptor file = fresh_file(folder);
    const std::string text = test::pattern(3 * page);
    out("pwrite", [&] { return c.pwrite(file, text.data(), 100, 50); });
    note_content(out, file);
    iovec parts[3] = {{const_cast<char*>(text.data()), 10}, {nullptr, 0}, {const_cast<char*>(text.data()), 2 * page}};
    out("pwritev", [&] { return c.pwritev(file, parts, 3, 120); });
    out("pwritev2", [&] { return c.pwritev2(file, parts, 3, 7, 0); });
    out("pwritev2 RWF_DSYNC", [&] { return c.pwritev2(file, parts, 1, 30'000, RWF_DSYNC); });
    note_content(out, file);
    out("pwritev2 RWF_APPEND", [&] { return c.pwritev2(file, parts, 1, 0, RWF_APPEND); });
    out("pwritev2 at the position", [&] { return c.pwritev2(file, parts, 3, -1, 0); });
    out("the same with RWF_SYNC", [&] { return c.pwritev2(file, parts, 1, -1, RWF_SYNC); });
    note_content(out, file);
    out("nothing", [&] { return c.pwrite(file, text.data(), 0, 0); });
}

DIFFERENTIAL("pwrite and its kin refuse what libc refuses") {
    const test::scratch folder;
    const descriptor file = fresh_file(folder);
    const descriptor read_only{::open(folder.name("f").c_str(), O_RDONLY | O_CLOEXEC)};
    auto pipe = test::pipe_pair();
    auto sockets = test::unix_pair();
    iovec part{const_cast<char*>("ab"), 2};
    out("no descriptor", [&] { return c.pwrite(-1, "a", 1, 0); });
    out("negative offset", [&] { return c.pwrite(file, "a", 1, -1); });
    out("only for reading", [&] { return c.pwrite(read_only, "a", 1, 0); });
    out("write, only for reading", [&] { return c.write(read_only, "a", 1); });
    out("a pipe", [&] { return c.pwrite(pipe[1], "a", 1, 0); });
    out("a pipe at an offset", [&] { return c.pwritev2(pipe[1], &part, 1, 3, 0); });
    out("a socket", [&] { return c.pwrite(sockets[0], "a", 1, 0); });
    out("no data", [&] { return c.pwrite(file, nullptr, 5, 0); });
    out("no parts", [&] { return c.pwritev(file, nullptr, 1, 0); });
    out("no parts at the position", [&] { return c.writev(file, nullptr, 1); });
    out("count -1", [&] { return c.pwritev(file, &part, -1, 0); });
    out("unknown flags", [&] { return c.pwritev2(file, &part, 1, 0, 1 << 30); });
    out("pwritev2 into a pipe", [&] { return c.pwritev2(pipe[1], &part, 1, -1, RWF_HIPRI); });
}

DIFFERENTIAL("writes that append, that go to the disk, and that are large") {
    const test::scratch folder{test::disk_folder()};
    std::string text = test::pattern((std::size_t{1} << 20) + page);
    const descriptor file = fresh_file(folder, O_APPEND);
    out("append", [&] { return c.write(file, text.data(), 1000); });
    out("pwrite appends, too", [&] { return c.pwrite(file, text.data(), 500, 0); });
    note_content(out, file);
    const descriptor synced{::open(folder.name("f").c_str(), O_RDWR | O_CLOEXEC | O_DSYNC)};
    out.untimed("O_DSYNC", [&] { return c.write(synced, text.data() + 7, 100); });
    note_content(out, synced);
    const descriptor plain{::open(folder.name("f").c_str(), O_RDWR | O_CLOEXEC)};
    out.untimed("large", [&] { return c.write(plain, text.data(), text.size()); });
    iovec parts[2] = {{text.data(), 100'000}, {text.data(), 200'000}};
    out("writev", [&] { return c.writev(plain, parts, 2); });
    note_content(out, plain);
    const descriptor direct{::open(folder.name("f").c_str(), O_RDWR | O_CLOEXEC | O_DIRECT)};
    void* const aligned = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    out.untimed("O_DIRECT", [&] { return c.pwrite(direct, aligned, page, page); });
    out("O_DIRECT, odd size", [&] { return c.pwrite(direct, aligned, 100, 1); });
    ::munmap(aligned, page);
    note_content(out, file);
}

DIFFERENTIAL_ALONE("RLIMIT_FSIZE cuts a write short, and the next one raises SIGXFSZ on the thread that made it") {
    struct sigaction action {}, before;
    action.sa_handler = [](int) {
        limit_signals = limit_signals + 1;
        limit_signalled = ::pthread_self();
    };
    ::sigaction(SIGXFSZ, &action, &before);
    const std::string text = test::pattern(3 * page);
    const test::scratch folder{test::disk_folder()};
    for (const int flags : {0, O_DSYNC}) {  // by the thread, and by a pool thread
        const descriptor file = fresh_file(folder, flags);
        const size_limit limit{2 * page + 10};
        limit_signals = 0;
        limit_signalled = 0;
        out.untimed("cut short", [&] { return c.pwrite(file, text.data(), 3 * page, 0); });
        out.value("signals", limit_signals);
        out.untimed("beyond", [&] { return c.pwrite(file, text.data(), 1, 2 * page + 10); });
        out.value("signals", limit_signals);
        out.value("on this thread", ::pthread_equal(limit_signalled, ::pthread_self()));
        out.untimed("below", [&] { return c.pwrite(file, text.data(), page, 0); });
        out.value("signals", limit_signals);
    }
    ::sigaction(SIGXFSZ, &before, nullptr);
}

HUB_TEST("a write to the page cache does not park, and one to the disk does") {
    const test::scratch folder{test::disk_folder()};
    const test::patched now;
    const auto parks = [&](int file) {
        bool ran = false;
        auto other = weft::spawn([&] { ran = true; });
        CHECK(::pwrite(file, "abc", 3, 0) == 3);
        const bool parked = ran;
        other.join();
        return parked;
    };
    CHECK(parks(fresh_file(folder, O_DSYNC)));
    const descriptor file = fresh_file(folder);
    (void)parks(file);  // some file systems make room only where they may wait
    if (test::write_would_wait(file, 0)) return;
    CHECK_FALSE(parks(file));
    CHECK(::fcntl(file, F_SETFL, O_DIRECT) == 0);
    CHECK(::fcntl(file, F_SETFL, 0) == 0);
    CHECK_FALSE(parks(file));
}

HUB_TEST("eight tasks append whole records to one file") {
    const test::scratch folder{test::disk_folder()};
    const descriptor file = fresh_file(folder, O_APPEND);
    const test::patched now;
    constexpr int writers = 8, records = 200;
    constexpr std::size_t size = 64;
    std::vector<weft::task<void>> all;
    for (int w = 0; w < writers; ++w)
        all.push_back(weft::spawn([&, w] {
            const std::string record(size, static_cast<char>('a' + w));
            for (int i = 0; i < records; ++i) CHECK(::write(file, record.data(), size) == static_cast<ssize_t>(size));
        }));
    for (auto& writer : all) writer.get();
    std::string content(writers * records * size + 1, 0);
    REQUIRE(::pread(file, content.data(), content.size(), 0) == writers * records * static_cast<ssize_t>(size));
    int whole = 0;
    for (std::size_t at = 0; at + size < content.size(); at += size)
        whole += content.compare(at, size, std::string(size, content[at])) == 0;
    CHECK(whole == writers * records);
}
