// What goes to the disk whole: fsync and its kin, copies inside the kernel. Others run meanwhile, and no kill ends it.
#include <fcntl.h>
#include <unistd.h>

#include <weft/error.hpp>
#include <weft/timeout.hpp>

#include "shim/differential.hpp"
#include "shim/files.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::descriptor;

namespace {

descriptor file_of(const std::string& name, const std::string& text) {
    descriptor file{::open(name.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_TRUNC, 0600)};
    CHECK(::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    return file;
}

}  // namespace

DIFFERENTIAL("fsync and its kin") {
    const test::scratch folder{test::disk_folder()};
    const descriptor file = file_of(folder.name("f"), test::pattern(300'000));
    auto pipe = test::pipe_pair();
    out.untimed("fsync", [&] { return c.fsync(file); });
    out.untimed("fdatasync", [&] { return c.fdatasync(file); });
    out.untimed("sync_file_range", [&] { return c.sync_file_range(file, 0, 100, SYNC_FILE_RANGE_WRITE); });
    out.untimed("syncfs", [&] { return c.syncfs(file); });
    out("fsync of a pipe", [&] { return c.fsync(pipe[0]); });
    out("fdatasync of nothing", [&] { return c.fdatasync(-1); });
    out("syncfs of nothing", [&] { return c.syncfs(54321); });
    out("sync_file_range, odd flags", [&] { return c.sync_file_range(file, 0, 100, 99); });
    out("sync_file_range of a pipe", [&] { return c.sync_file_range(pipe[0], 0, 100, SYNC_FILE_RANGE_WRITE); });
}

DIFFERENTIAL("copy_file_range") {
    const test::scratch folder{test::disk_folder()};
    const std::string text = test::pattern(200'000);
    const descriptor from = file_of(folder.name("f"), text);
    const descriptor to = file_of(folder.name("g"), "");
    auto pipe = test::pipe_pair();
    off64_t from_at = 1000, to_at = 500;
    out.untimed("copy", [&] { return c.copy_file_range(from, &from_at, to, &to_at, 50'000, 0); });
    out.value("from", from_at);
    out.value("to", to_at);
    CHECK(::lseek(from, 190'000, SEEK_SET) == 190'000);
    out.untimed("to the end", [&] { return c.copy_file_range(from, nullptr, to, nullptr, 50'000, 0); });
    out.value("from", ::lseek(from, 0, SEEK_CUR));
    out.value("to", ::lseek(to, 0, SEEK_CUR));
    std::string room(100'000, 0);
    out("read back", [&] { return c.pread(to, room.data(), room.size(), 0); });
    out.bytes("what", room.data(), 60'000);
    out("from a pipe", [&] { return c.copy_file_range(pipe[0], nullptr, to, nullptr, 10, 0); });
    out("odd flags", [&] { return c.copy_file_range(from, nullptr, to, nullptr, 10, 7); });
    out("to nothing", [&] { return c.copy_file_range(from, nullptr, -1, nullptr, 10, 0); });
}

HUB_TEST("other tasks run while a file goes to the disk, and a kill waits until it is there") {
    const test::scratch folder{test::disk_folder()};
    const test::patched now;
    int (*const calls[])(int) = {::fsync, ::fdatasync, ::syncfs};
    for (const auto sync : calls) {
        const descriptor file = file_of(folder.name("f"), test::pattern(std::size_t{8} << 20));
        bool ended = false, thrown = false;
        int result = -7;
        auto syncing = weft::spawn([&] {
            result = sync(file);
            ended = true;
            try {
                weft::sleep_for(1h);
            } catch (const weft::fiber_exit&) {
                thrown = true;
                throw;
            }
        });
        weft::yield();
        CHECK_FALSE(ended);  // and we run
        syncing.kill();
        CHECK(ended);
        CHECK(result == 0);
        CHECK(thrown);
    }
}

HUB_TEST("a timeout does not end a transfer that a pool thread has, and is thrown by the end of its scope") {
    const test::scratch folder{test::disk_folder()};
    const descriptor file = file_of(folder.name("f"), test::pattern(std::size_t{8} << 20));
    const test::patched now;
    int result = -7;
    CHECK_THROWS_AS(
        {
            const weft::timeout limit{1us};
            result = ::fsync(file);
            weft::sleep_for(1h);
        },
        weft::timed_out);
    CHECK(result == 0);
}

HUB_TEST("a descriptor closed before a pool thread has come to the call ends it with EBADF, and its number's next file is safe") {
    const test::scratch folder{test::disk_folder()};
    const test::patched now;
    // Sixteen threads at most: the later ones of these wait for their turn.
    constexpr int busy = 64;
    std::vector<weft::task<void>> others;
    const descriptor large = file_of(folder.name("large"), test::pattern(std::size_t{16} << 20));
    for (int i = 0; i < busy; ++i)
        others.push_back(weft::spawn([&] {
            CHECK(::write(large, "x", 1) == 1);
            CHECK(::fsync(large) == 0);
        }));
    descriptor file = file_of(folder.name("f"), "");
    const std::string text(std::size_t{2} << 20, 'x');
    int error = 0;
    ssize_t took = 0;
    auto writer = weft::spawn([&] {
        took = ::pwrite(file, text.data(), text.size(), 0);
        error = errno;
    });
    weft::yield();
    const int number = file;
    file.close();
    const descriptor next = file_of(folder.name("g"), "");
    REQUIRE(next == number);
    writer.get();
    for (auto& other : others) other.get();
    if (took < 0) CHECK(error == EBADF);
    CHECK(::lseek(next, 0, SEEK_END) == 0);
}
