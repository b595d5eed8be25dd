// Reading files: what comes from the page cache, what from the disk, and the position that is left behind.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "shim/differential.hpp"
#include "shim/files.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::descriptor;

// What _FORTIFY_SOURCE makes of pread().
extern "C" {
ssize_t __pread_chk(int fd, void* data, size_t size, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void* data, size_t size, off64_t offset, size_t room);
}

namespace {

constexpr std::size_t page = 4096;

/// A file of `size` patterned bytes, of which only the pages in `cached` are in the page cache.
descriptor file_with(const std::string& name, std::size_t size, std::initializer_list<std::size_t> cached,
                     const test::calls& c = test::plain_calls()) {
    descriptor file{::open(name.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_TRUNC, 0600)};
    const std::string text = test::pattern(size);
    CHECK(::write(file, text.data(), size) == static_cast<ssize_t>(size));
    test::make_cold(file, c);
    char byte;
    for (const std::size_t at : cached) CHECK(::pread(file, &byte, 1, static_cast<off_t>(at * page)) == 1);
    CHECK(::lseek(file, 0, SEEK_SET) == 0);
    return file;
}

}  // namespace

DIFFERENTIAL("pread and its kin leave the position alone") {
    const test::scratch folder;
    const descriptor file = file_with(folder.name("f"), 3 * page, {0, 1, 2}, c);
    std::string room(4 * page, 0);
    out("pread", [&] { return c.pread(file, room.data(), 100, 50); });
    out.bytes("what", room.data(), 100);
    out("over the end", [&] { return c.pread(file, room.data(), 2 * page, 2 * page); });
    out("at the end", [&] { return c.pread(file, room.data(), 10, 3 * page); });
    out("behind the end", [&] { return c.pread(file, room.data(), 10, 30 * page); });
    out("nothing", [&] { return c.pread(file, room.data(), 0, 0); });
    iovec parts[3] = {{room.data(), 10}, {room.data() + 10, 0}, {room.data() + 10, 2 * page}};
    out("preadv", [&] { return c.preadv(file, parts, 3, page - 5); });
    out.bytes("what", room.data(), 10 + 2 * page);
    out("preadv2", [&] { return c.preadv2(file, parts, 3, 7, 0); });
    out("preadv2 RWF_HIPRI", [&] { return c.preadv2(file, parts, 1, 7, RWF_HIPRI); });
    out.value("position", ::lseek(file, 0, SEEK_CUR));
    out("preadv2 from the position", [&] { return c.preadv2(file, parts, 3, -1, 0); });
    out.value("position", ::lseek(file, 0, SEEK_CUR));
    out("preadv2 from the position, RWF_HIPRI", [&] { return c.preadv2(file, parts, 1, -1, RWF_HIPRI); });
    out.value("position", ::lseek(file, 0, SEEK_CUR));
}

DIFFERENTIAL("pread and its kin refuse what libc refuses") {
    const test::scratch folder;
    const descriptor file = file_with(folder.name("f"), page, {0}, c);
    const descriptor written{::open(folder.name("f").c_str(), O_WRONLY | O_CLOEXEC)};
    const descriptor opened{::open(folder.name("").c_str(), O_RDONLY | O_CLOEXEC)};
    auto pipe = test::pipe_pair();
    auto sockets = test::unix_pair();
    char b[16] = {};
    iovec part{b, sizeof b};
    out("no descriptor", [&] { return c.pread(-1, b, 1, 0); });
    out("a closed one", [&] { return c.pread(54321, b, 1, 0); });
    out("negative offset", [&] { return c.pread(file, b, 1, -1); });
    out("preadv2, offset -2", [&] { return c.preadv2(file, &part, 1, -2, 0); });
    out("only for writing", [&] { return c.pread(written, b, 1, 0); });
    out("a folder", [&] { return c.pread(opened, b, 1, 0); });
    out("a pipe", [&] { return c.pread(pipe[0], b, 1, 0); });
    out("a pipe, preadv2", [&] { return c.preadv2(pipe[0], &part, 1, 3, 0); });
    out("a socket", [&] { return c.pread(sockets[0], b, 1, 0); });
    out("no room", [&] { return c.pread(file, nullptr, 5, 0); });
    out("no parts", [&] { return c.preadv(file, nullptr, 1, 0); });
    out("no parts at the position", [&] { return c.readv(file, nullptr, 1); });
    out("count -1", [&] { return c.preadv(file, &part, -1, 0); });
    out("count 0", [&] { return c.preadv(file, &part, 0, 0); });
    out("too many parts", [&] { return c.preadv(file, &part, 1025, 0); });
    out("unknown flags", [&] { return c.preadv2(file, &part, 1, 0, 1 << 30); });
    out("unknown flags on a pipe", [&] { return c.preadv2(pipe[0], &part, 1, -1, 1 << 30); });
    out("RWF_NOWAIT on an empty pipe", [&] { return c.preadv2(pipe[0], &part, 1, -1, RWF_NOWAIT); });
}

DIFFERENTIAL("preadv2 from the position waits as readv does") {
    auto pipe = test::pipe_pair();
    char b[16] = {};
    iovec part{b, sizeof b};
    for (const int flags : {0, RWF_HIPRI}) {
        const test::later write{c, 30ms, [&] { CHECK(::write(pipe[1], "word", 4) == 4); }};
        out("preadv2", [&] { return c.preadv2(pipe[0], &part, 1, -1, flags); });
    }
}

DIFFERENTIAL("a read is whole however little of it the page cache holds") {
    const test::scratch folder{test::disk_folder()};
    std::string room(20 * page, 0);
    const descriptor file = file_with(folder.name("f"), 16 * page, {0, 3, 9}, c);
    out("pread", [&] { return c.pread(file, room.data(), 16 * page, 0); });
    out.bytes("what", room.data(), 16 * page);
    test::make_cold(file, c);
    out("cold", [&] { return c.pread(file, room.data(), 20 * page, 100); });
    out.bytes("what", room.data(), 16 * page);
    const descriptor second = file_with(folder.name("g"), 16 * page, {0, 1, 5}, c);
    iovec parts[3] = {{room.data(), page + 7}, {room.data() + page + 7, 5 * page}, {room.data() + 6 * page + 7, 14 * page}};
    out("readv", [&] { return c.readv(second, parts, 3); });
    out.bytes("what", room.data(), 16 * page);
    out.value("position", ::lseek(second, 0, SEEK_CUR));
    out("at the end", [&] { return c.read(second, room.data(), 10); });
    const descriptor third = file_with(folder.name("h"), 16 * page + 11, {0}, c);
    out("read", [&] { return c.read(third, room.data(), 3 * page); });
    out.value("position", ::lseek(third, 0, SEEK_CUR));
    out("read on", [&] { return c.read(third, room.data(), room.size()); });
    out.value("position", ::lseek(third, 0, SEEK_CUR));
}

DIFFERENTIAL("RWF_NOWAIT by the caller is answered at once") {
    const test::scratch folder{test::disk_folder()};
    const descriptor file = file_with(folder.name("f"), 4 * page, {0}, c);
    char b[16];
    iovec part{b, sizeof b};
    out("cached", [&] { return c.preadv2(file, &part, 1, 0, RWF_NOWAIT); });
    test::make_cold(file, c);
    out("cold", [&] { return c.preadv2(file, &part, 1, 2 * page, RWF_NOWAIT); });
}

DIFFERENTIAL("much is read whole, and so is a file that goes past the cache") {
    const test::scratch folder{test::disk_folder()};
    constexpr std::size_t much = (std::size_t{1} << 20) + 3 * page;
    const descriptor file = file_with(folder.name("f"), much, {}, c);
    std::string room(much + page, 0);
    out.untimed("read", [&] { return c.read(file, room.data(), room.size()); });
    out.bytes("what", room.data(), much);
    const descriptor direct{::open(folder.name("f").c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT)};
    void* const aligned = ::mmap(nullptr, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    out("O_DIRECT", [&] { return c.pread(direct, aligned, 4 * page, page); });
    out.bytes("what", aligned, 4 * page);
    out("O_DIRECT, odd size", [&] { return c.pread(direct, aligned, 100, 1); });
    ::munmap(aligned, 4 * page);
}

DIFFERENTIAL("files that the kernel makes up, and files in memory") {
    char b[64] = {};
    const descriptor made_up{::open("/proc/sys/kernel/ostype", O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    for (int i = 0; i < 2; ++i) out("procfs", [&] { return c.pread(made_up, b, sizeof b, 0); });
    out("read", [&] { return c.read(made_up, b, sizeof b); });
    out("read at the end", [&] { return c.read(made_up, b, sizeof b); });
    const descriptor memory{::memfd_create("m", MFD_CLOEXEC)};
    CHECK(::write(memory, "some words", 10) == 10);
    for (int i = 0; i < 2; ++i) out("memory", [&] { return c.pread(memory, b, 4, 5); });
    out.bytes("what", b, 4);
    const descriptor zeros{::open("/dev/zero", O_RDONLY | O_CLOEXEC)};
    out("zeros", [&] { return c.pread(zeros, b, sizeof b, 5); });
}

HUB_TEST("a read from the page cache does not park, and one from the disk does") {
    const test::scratch folder{test::disk_folder()};
    const descriptor file = file_with(folder.name("f"), 16 * page, {0});
    const test::patched now;
    char b[page];
    bool ran = false;
    const auto parks = [&](off_t offset) {
        ran = false;
        auto other = weft::spawn([&] { ran = true; });
        CHECK(::pread(file, b, page, offset) == static_cast<ssize_t>(page));
        const bool parked = ran;
        other.join();
        return parked;
    };
    CHECK_FALSE(parks(0));
    if (!test::is_cold(file, 8 * page)) return;
    CHECK(parks(8 * page));
    CHECK_FALSE(parks(8 * page));
}

HUB_TEST("reads from the disk stop nobody, and a kill waits for them") {
    const test::scratch folder{test::disk_folder()};
    const descriptor file = file_with(folder.name("f"), std::size_t{4} << 20, {});
    if (!test::is_cold(file, 0)) return;
    const test::patched now;
    const bool free = test::leaves_the_thread_free([&] {
        test::make_cold(file);
        char b[page];
        for (off_t at = 0; at < (1 << 20); at += page) CHECK(::pread(file, b, page, at) == static_cast<ssize_t>(page));
    });
    CHECK(free);
    ssize_t got = -7;
    std::string room(std::size_t{4} << 20, 0);
    auto reading = weft::spawn([&] {
        got = ::pread(file, room.data(), room.size(), 0);
        weft::sleep_for(1h);
    });
    weft::yield();
    CHECK(got == -7);
    CHECK(reading.kill(5s));
    CHECK(got == static_cast<ssize_t>(room.size()));
}

HUB_TEST("a task that only reads cached files lets others run") {
    const test::scratch folder;
    const descriptor file = file_with(folder.name("f"), page, {0});
    const test::patched now;
    bool stop = false;
    weft::spawn([&] { stop = true; });
    char b[16];
    while (!stop) CHECK(::pread(file, b, sizeof b, 0) == sizeof b);
}

HUB_TEST("the large-file names read and write as the others do") {
    const test::scratch folder;
    const descriptor file = file_with(folder.name("f"), page, {0});
    const test::patched now;
    const std::string text = test::pattern(page);
    char b[16] = {};
    iovec part{b, sizeof b};
    CHECK(::pread64(file, b, 16, 3) == 16);
    CHECK(text.compare(3, 16, b, 16) == 0);
    CHECK(::preadv64(file, &part, 1, 8) == 16);
    CHECK(text.compare(8, 16, b, 16) == 0);
    CHECK(::preadv64v2(file, &part, 1, 20, 0) == 16);
    CHECK(text.compare(20, 16, b, 16) == 0);
    CHECK(::__pread_chk(file, b, 16, 30, sizeof b) == 16);
    CHECK(text.compare(30, 16, b, 16) == 0);
    CHECK(::__pread64_chk(file, b, 16, 40, sizeof b) == 16);
    CHECK(text.compare(40, 16, b, 16) == 0);
    CHECK(::pwrite64(file, "abcd", 4, 0) == 4);
    iovec words{const_cast<char*>("efgh"), 4};
    CHECK(::pwritev64(file, &words, 1, 4) == 4);
    CHECK(::pwritev64v2(file, &words, 1, 8, 0) == 4);
    CHECK(::pread64(file, b, 12, 0) == 12);
    CHECK(std::string{b, 12} == "abcdefghefgh");
    for (const char* name : {"pread64", "preadv64", "preadv64v2", "pwrite64", "pwritev64", "pwritev64v2",
                             "__pread_chk", "__pread64_chk"})
        CHECK(weft::monkey::is_patched(name));
}
