// open and its kin: a FIFO waits for its other end, and nothing else waits.
#include <algorithm>
#include <atomic>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>

#include <weft/error.hpp>
#include <weft/timeout.hpp>

#include "shim/differential.hpp"
#include "shim/files.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::descriptor;
using test::later;
using test::open_by;

// What _FORTIFY_SOURCE makes of open() without a mode.
extern "C" {
int __open_2(const char* path, int flags);
int __open64_2(const char* path, int flags);
int __openat_2(int folder, const char* path, int flags);
int __openat64_2(int folder, const char* path, int flags);
}

namespace {

std::string fifo_in(const test::scratch& folder) {
    const std::string name = folder.name("fifo");
    CHECK(::mkfifo(name.c_str(), 0600) == 0);
    return name;
}

}  // namespace

DIFFERENTIAL("a FIFO's open waits for the other end") {
    const test::scratch folder;
    const std::string name = fifo_in(folder);
    const auto opens = [&](const char* what, int flags) {
        descriptor fd;
        out(what, [&] {
            const int made = open_by(c, name.c_str(), flags | O_CLOEXEC);
            if (made >= 0) fd = descriptor{made};
            return made < 0 ? -1 : 0;
        });
        if (fd >= 0) out.value("flags", ::fcntl(fd, F_GETFL));
    };
    descriptor other;
    {
        const later come{c, 30ms, [&] { other = descriptor{::open(name.c_str(), O_WRONLY | O_CLOEXEC)}; }};
        opens("for reading", O_RDONLY);
    }
    other.close();
    {
        const later come{c, 30ms, [&] { other = descriptor{::open(name.c_str(), O_RDONLY | O_CLOEXEC)}; }};
        opens("for writing", O_WRONLY);
    }
    opens("for writing, with a reader", O_WRONLY);
    other.close();
    opens("O_NONBLOCK for reading", O_RDONLY | O_NONBLOCK);
    opens("O_NONBLOCK for writing", O_WRONLY | O_NONBLOCK);
    opens("for both", O_RDWR);
    opens("O_PATH", O_PATH);
    opens("O_NOFOLLOW", O_NOFOLLOW | O_RDWR);
}

DIFFERENTIAL("what else is opened, and what is refused") {
    const test::scratch folder;
    const std::string name = folder.name("f"), link = folder.name("link");
    CHECK(::symlink(name.c_str(), link.c_str()) == 0);
    const auto opens = [&](const char* what, const char* path, int flags, mode_t mode = 0) {
        const descriptor fd = [&] {
            descriptor made;
            out(what, [&] {
                const int result = open_by(c, path, flags | O_CLOEXEC, mode);
                if (result >= 0) made = descriptor{result};
                return result < 0 ? -1 : 0;
            });
            return made;
        }();
        if (fd >= 0) out.value("flags", ::fcntl(fd, F_GETFL));
        struct stat file {};
        if (fd >= 0 && ::fstat(fd, &file) == 0) out.value("mode", file.st_mode);
    };
    opens("no file", name.c_str(), O_RDONLY);
    opens("a link to nothing", link.c_str(), O_RDONLY);
    opens("made", name.c_str(), O_RDWR | O_CREAT, 0640);
    opens("O_EXCL", name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
    opens("O_APPEND", name.c_str(), O_WRONLY | O_APPEND);
    opens("O_DSYNC", name.c_str(), O_WRONLY | O_DSYNC);
    opens("O_NONBLOCK", name.c_str(), O_RDONLY | O_NONBLOCK);
    opens("O_NOATIME", name.c_str(), O_RDONLY | O_NOATIME);
    opens("O_NOFOLLOW", link.c_str(), O_RDONLY | O_NOFOLLOW);
    opens("O_TMPFILE", folder.name("").c_str(), O_TMPFILE | O_RDWR, 0600);
    opens("a folder", folder.name("").c_str(), O_RDONLY | O_DIRECTORY);
    opens("a folder for writing", folder.name("").c_str(), O_WRONLY);
    opens("no folder", folder.name("f/g").c_str(), O_RDONLY);
    opens("a device", "/dev/null", O_RDWR);
    opens("a terminal line", "/dev/ptmx", O_RDWR | O_NOCTTY);
    opens("no name", "", O_RDONLY);
    opens("a bad address", reinterpret_cast<const char*>(8), O_RDONLY);
    out("creat", [&] { return c.close(c.creat(folder.name("c").c_str(), 0600)); });
    out("creat in no folder", [&] { return c.creat(folder.name("x/y").c_str(), 0600); });
}

DIFFERENTIAL_ALONE("a signal handler ends the open of a FIFO, unless SA_RESTART says otherwise") {
    const test::scratch folder;
    const std::string name = fifo_in(folder);
    for (const int flags : {O_RDONLY, O_WRONLY}) {
        const test::alarm_clock clock{30ms, 0};
        out("open", [&] { return open_by(c, name.c_str(), flags | O_CLOEXEC); });
    }
    descriptor other;
    const test::alarm_clock clock{30ms, SA_RESTART};
    const later come{c, 60ms, [&] { other = descriptor{::open(name.c_str(), O_WRONLY | O_CLOEXEC)}; }};
    descriptor fd;
    out("open, SA_RESTART", [&] {
        fd = descriptor{open_by(c, name.c_str(), O_RDONLY | O_CLOEXEC)};
        return 0;
    });
}

HUB_TEST("each name of open waits for a FIFO's other end") {
    const test::patched now;
    const test::scratch folder;
    const std::string fifo = fifo_in(folder);
    const char* const path = fifo.c_str();
    const std::pair<const char*, std::function<int()>> opens[] = {
        {"open", [&] { return ::open(path, O_WRONLY); }},
        {"open64", [&] { return ::open64(path, O_WRONLY); }},
        {"openat", [&] { return ::openat(AT_FDCWD, path, O_WRONLY); }},
        {"openat64", [&] { return ::openat64(AT_FDCWD, path, O_WRONLY); }},
        {"__open_2", [&] { return ::__open_2(path, O_WRONLY); }},
        {"__open64_2", [&] { return ::__open64_2(path, O_WRONLY); }},
        {"__openat_2", [&] { return ::__openat_2(AT_FDCWD, path, O_WRONLY); }},
        {"__openat64_2", [&] { return ::__openat64_2(AT_FDCWD, path, O_WRONLY); }},
        {"creat", [&] { return ::creat(path, 0600); }},
        {"creat64", [&] { return ::creat64(path, 0600); }},
    };
    for (const auto& each : opens) {
        CAPTURE(each.first);
        auto writer = weft::spawn([&] { return each.second(); });
        weft::sleep_for(2ms);
        CHECK_FALSE(writer.ready());
        const descriptor reader{::open(path, O_RDONLY | O_CLOEXEC)};
        const descriptor written{writer.get()};
        CHECK(written >= 0);
        CHECK_FALSE(test::has_nonblock(written));
        CHECK(weft::monkey::is_patched(each.first));
    }
}

HUB_TEST("what open waited for has the lowest free number") {
    const test::scratch folder;
    const std::string name = fifo_in(folder);
    const test::patched now;
    descriptor low{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    const int number = low;
    low.close();
    auto opening = weft::spawn([&] { return ::open(name.c_str(), O_RDONLY | O_CLOEXEC); });
    weft::sleep_for(5ms);
    const descriptor other{::open(name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)};
    const descriptor opened{opening.get()};
    CHECK(std::min<int>(opened, other) == number);
    CHECK(std::max<int>(opened, other) == number + 1);
}

HUB_TEST("a kill or a timeout ends the open of a FIFO, and nothing is left open") {
    const test::scratch folder;
    const std::string name = fifo_in(folder);
    for (const bool named : {true, false}) {
        const calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        const int open_before = test::open_descriptors();
        int result = -7, error = 0;
        bool thrown = false;
        auto opening = weft::spawn([&] {
            try {
                result = open_by(c, name.c_str(), O_RDONLY | O_CLOEXEC);
                error = errno;
            } catch (const weft::fiber_exit&) {
                thrown = true;
                throw;
            }
        });
        weft::sleep_for(5ms);
        CHECK(opening.kill(1s));
        CHECK(thrown == named);
        CHECK(result == (named ? -7 : -1));
        CHECK(error == (named ? 0 : ECANCELED));
        auto limited = weft::spawn([&] {
            const weft::timeout limit{5ms};
            result = open_by(c, name.c_str(), O_RDONLY | O_CLOEXEC);
            error = errno;
        });
        CHECK_THROWS_AS(limited.get(), weft::timed_out);
        CHECK(error == (named ? 0 : ETIMEDOUT));
        CHECK(test::open_descriptors() == open_before);
        // Nobody reads it: had the thread gone on, a writer would find it.
        CHECK(::open(name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC) == -1);
    }
}

HUB_TEST("a name that turns from a file into a FIFO and back between the look and the open stops nobody") {
    const test::patched now;
    const test::scratch folder;
    const std::string name = folder.name("name"), next = folder.name("next"), fifo = fifo_in(folder);
    std::atomic<bool> stop{false};
    std::thread turning{[&] {
        for (int turn = 0; !stop.load(); ++turn) {
            if (turn % 2 == 0) {
                ::link(fifo.c_str(), next.c_str());
            } else {
                const descriptor made{::open(next.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)};
            }
            ::rename(next.c_str(), name.c_str());
            std::this_thread::sleep_for(50us);
        }
    }};
    std::thread coming{[&] {
        while (!stop.load()) {
            const int writer = ::open(fifo.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
            if (writer >= 0) ::close(writer);
            std::this_thread::sleep_for(50us);
        }
    }};
    int files = 0, fifos = 0;
    const auto open_often = [&] {
        const int fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            CHECK(errno == ENOENT);
            return;
        }
        struct stat file {};
        CHECK(::fstat(fd, &file) == 0);
        CHECK_FALSE(test::has_nonblock(fd));
        ++(S_ISFIFO(file.st_mode) ? fifos : files);
        CHECK(::close(fd) == 0);
    };
    const bool free = test::leaves_the_thread_free([&] {
        const auto until = std::chrono::steady_clock::now() + 200ms;
        while (std::chrono::steady_clock::now() < until) open_often();
    });
    stop = true;
    turning.join();
    coming.join();
    CHECK(free);
    CHECK(files > 0);
    CHECK(fifos > 0);
}
