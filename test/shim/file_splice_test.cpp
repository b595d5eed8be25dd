// splice, tee and vmsplice: which end they wait for, and how much they then move.
#include <algorithm>
#include <csignal>

#include <fcntl.h>
#include <sys/resource.h>

#include <weft/error.hpp>

#include "shim/differential.hpp"
#include "shim/files.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::descriptor;
using test::later;

namespace {

constexpr std::size_t pipe_size = 65536;

void fill(int fd) {
    const std::string text = test::pattern(pipe_size);
    CHECK(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

descriptor file_of(const test::scratch& folder, const std::string& text) {
    descriptor file{::open(folder.name("f").c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_TRUNC, 0600)};
    CHECK(::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    CHECK(::lseek(file, 0, SEEK_SET) == 0);
    return file;
}

}  // namespace

DIFFERENTIAL("splice from pipe to pipe waits for either end") {
    auto a = test::pipe_pair(), b = test::pipe_pair();
    std::string room(2 * pipe_size, 0);
    {
        const later write{c, 30ms, [&] { CHECK(::write(a[1], "some words", 10) == 10); }};
        out("from an empty pipe", [&] { return c.splice(a[0], nullptr, b[1], nullptr, 100, 0); });
    }
    out("what came", [&] { return c.read(b[0], room.data(), room.size()); });
    fill(b[1]);
    CHECK(::write(a[1], "more words", 10) == 10);
    {
        const later read{c, 30ms, [&] { CHECK(::read(b[0], room.data(), room.size()) == pipe_size); }};
        out("to a full pipe", [&] { return c.splice(a[0], nullptr, b[1], nullptr, 100, SPLICE_F_MOVE); });
    }
    out("what came", [&] { return c.read(b[0], room.data(), room.size()); });
    out.bytes("what", room.data(), 10);
    out("SPLICE_F_NONBLOCK", [&] { return c.splice(a[0], nullptr, b[1], nullptr, 100, SPLICE_F_NONBLOCK); });
    a[1].close();
    out("from a pipe that has ended", [&] { return c.splice(a[0], nullptr, b[1], nullptr, 100, 0); });
    auto n = test::pipe_pair(O_NONBLOCK);
    out("O_NONBLOCK", [&] { return c.splice(n[0], nullptr, b[1], nullptr, 100, 0); });
}

DIFFERENTIAL("splice between a file and a pipe") {
    const test::scratch folder{test::disk_folder()};
    const std::string text = test::pattern(200'000);
    const descriptor file = file_of(folder, text);
    auto p = test::pipe_pair();
    std::string room(pipe_size, 0);
    off64_t at = 100;
    test::make_cold(file, c);
    out.untimed("from an offset", [&] { return c.splice(file, &at, p[1], nullptr, 30'000, 0); });
    out.value("offset", at);
    out("what came", [&] { return c.read(p[0], room.data(), room.size()); });
    out.bytes("what", room.data(), 30'000);
    out.untimed("from the position", [&] { return c.splice(file, nullptr, p[1], nullptr, 20'000, 0); });
    out.value("position", ::lseek(file, 0, SEEK_CUR));
    at = 190'000;
    out.untimed("into the file", [&] { return c.splice(p[0], nullptr, file, &at, 50'000, 0); });
    out.value("offset", at);
    {
        const later write{c, 30ms, [&] { CHECK(::write(p[1], "words", 5) == 5); }};
        out("into the file, waiting", [&] { return c.splice(p[0], nullptr, file, nullptr, 50'000, 0); });
    }
    out.value("position", ::lseek(file, 0, SEEK_CUR));
    fill(p[1]);
    at = 0;
    {
        const later read{c, 30ms, [&] { CHECK(::read(p[0], room.data(), room.size()) == pipe_size); }};
        out("to a full pipe", [&] { return c.splice(file, &at, p[1], nullptr, 1000, 0); });
    }
    out("at the end", [&] {
        at = 300'000;
        return c.splice(file, &at, p[1], nullptr, 1000, 0);
    });
    std::string whole(300'000, 0);
    out("content", [&] { return c.pread(file, whole.data(), whole.size(), 0); });
    out.bytes("what", whole.data(), 210'000);
}

DIFFERENTIAL("splice between a socket and a pipe") {
    for (auto* const make : {+[] { return test::unix_pair(); }, +[] { return test::tcp_pair(); }}) {
        auto s = make();
        auto p = test::pipe_pair();
        std::string room(pipe_size, 0);
        {
            const later send{c, 30ms, [&] { CHECK(::send(s[1], "some words", 10, 0) == 10); }};
            out("from a socket", [&] { return c.splice(s[0], nullptr, p[1], nullptr, 100, 0); });
        }
        out("to a socket", [&] { return c.splice(p[0], nullptr, s[0], nullptr, 100, 0); });
        out("what came", [&] { return c.recv(s[1], room.data(), room.size(), 0); });
        out.bytes("what", room.data(), 10);
        {
            const later write{c, 30ms, [&] { CHECK(::write(p[1], "more", 4) == 4); }};
            out("to a socket, from an empty pipe", [&] { return c.splice(p[0], nullptr, s[0], nullptr, 100, 0); });
        }
        out("what came", [&] { return c.recv(s[1], room.data(), room.size(), 0); });
        fill(p[1]);
        out("a full pipe", [&] { return c.splice(p[0], nullptr, s[0], nullptr, 2 * pipe_size, 0); });
        out("all of it", [&] { return c.recv(s[1], room.data(), pipe_size, MSG_WAITALL); });
        out.bytes("what", room.data(), pipe_size);
        s[1].close();
        out("from a socket that has ended", [&] { return c.splice(s[0], nullptr, p[1], nullptr, 100, 0); });
    }
}

DIFFERENTIAL("splice to a socket that nobody reads") {
    auto s = test::unix_pair();
    auto p = test::pipe_pair();
    const std::string text = test::pattern(4096);
    while (::send(s[0], text.data(), text.size(), MSG_DONTWAIT) > 0) {}
    fill(p[1]);
    std::string room(std::size_t{1} << 20, 0);
    {
        const later read{c, 30ms, [&] {
            ssize_t more = pipe_size;
            for (ssize_t n = 0; more > 0 && n >= 0;) {
                n = ::recv(s[1], room.data(), room.size(), 0);
                if (n > 0 && ::fcntl(p[0], F_GETFD) >= 0) more -= n;
            }
        }};
        out("waits", [&] { return c.splice(p[0], nullptr, s[0], nullptr, 1000, 0); });
    }
    test::set_timeout(s[0], SO_SNDTIMEO, 100);
    while (::send(s[0], text.data(), text.size(), MSG_DONTWAIT) > 0) {}
    out("in time", [&] { return c.splice(p[0], nullptr, s[0], nullptr, 1000, 0); });
}

DIFFERENTIAL("splice refuses what libc refuses") {
    const test::scratch folder;
    const descriptor file = file_of(folder, "text");
    auto p = test::pipe_pair(), q = test::pipe_pair();
    auto s = test::unix_pair();
    off64_t at = 0;
    out("no pipe", [&] { return c.splice(file, nullptr, s[0], nullptr, 10, 0); });
    out("no descriptor", [&] { return c.splice(-1, nullptr, p[1], nullptr, 10, 0); });
    out("to no descriptor", [&] { return c.splice(p[0], nullptr, -1, nullptr, 10, 0); });
    out("an offset in a pipe", [&] { return c.splice(p[0], &at, q[1], nullptr, 10, 0); });
    out("the writing end", [&] { return c.splice(p[1], nullptr, q[1], nullptr, 10, 0); });
    out("to the reading end", [&] { return c.splice(p[0], nullptr, q[0], nullptr, 10, 0); });
    out("to itself", [&] { return c.splice(p[0], nullptr, p[1], nullptr, 10, 0); });
    out("odd flags", [&] { return c.splice(p[0], nullptr, q[1], nullptr, 10, 0x100); });
    out("nothing", [&] { return c.splice(p[0], nullptr, q[1], nullptr, 0, 0); });
    out("tee, no pipe", [&] { return c.tee(p[0], file, 10, 0); });
    out("tee, no descriptor", [&] { return c.tee(-1, q[1], 10, 0); });
    out("tee to itself", [&] { return c.tee(p[0], p[1], 10, 0); });
    iovec part{&at, 4};
    out("vmsplice, no pipe", [&] { return c.vmsplice(file, &part, 1, 0); });
    out("vmsplice, no descriptor", [&] { return c.vmsplice(-1, &part, 1, 0); });
    out("vmsplice, odd flags", [&] { return c.vmsplice(p[1], &part, 1, 0x100); });
    out("vmsplice, no parts", [&] { return c.vmsplice(p[1], nullptr, 0, 0); });
    out("vmsplice, bad parts", [&] { return c.vmsplice(p[1], reinterpret_cast<iovec*>(8), 1, 0); });
}

DIFFERENTIAL("tee and vmsplice wait, and take nothing away") {
    auto a = test::pipe_pair(), b = test::pipe_pair();
    std::string room(2 * pipe_size, 0);
    {
        const later write{c, 30ms, [&] { CHECK(::write(a[1], "some words", 10) == 10); }};
        out("tee", [&] { return c.tee(a[0], b[1], 100, 0); });
    }
    out("the copy", [&] { return c.read(b[0], room.data(), room.size()); });
    out("the original", [&] { return c.read(a[0], room.data(), room.size()); });
    out("SPLICE_F_NONBLOCK", [&] { return c.tee(a[0], b[1], 100, SPLICE_F_NONBLOCK); });
    fill(b[1]);
    CHECK(::write(a[1], "more words", 10) == 10);
    {
        const later read{c, 30ms, [&] { CHECK(::read(b[0], room.data(), room.size()) == pipe_size); }};
        out("tee to a full pipe", [&] { return c.tee(a[0], b[1], 100, 0); });
    }
    out("the copy", [&] { return c.read(b[0], room.data(), room.size()); });
    std::string text = test::pattern(pipe_size);
    iovec part{text.data(), text.size()};
    fill(b[1]);
    {
        const later read{c, 30ms, [&] { CHECK(::read(b[0], room.data(), room.size()) == pipe_size); }};
        out("vmsplice to a full pipe", [&] { return c.vmsplice(b[1], &part, 1, 0) > 0; });
    }
    CHECK(::read(b[0], room.data(), room.size()) > 0);
    {
        const later write{c, 30ms, [&] { CHECK(::write(b[1], "words", 5) == 5); }};
        out("vmsplice from an empty pipe", [&] { return c.vmsplice(b[0], &part, 1, 0); });
    }
    out.bytes("what", text.data(), 5);
    out("vmsplice, SPLICE_F_NONBLOCK", [&] { return c.vmsplice(b[0], &part, 1, SPLICE_F_NONBLOCK); });
}

HUB_TEST("a kill ends splice, tee and vmsplice with ECANCELED, and by weft's names throws") {
    auto a = test::pipe_pair(), b = test::pipe_pair();
    char byte;
    iovec part{&byte, 1};
    for (const bool named : {true, false}) {
        const calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        const std::function<ssize_t()> waits[] = {
            [&] { return c.splice(a[0], nullptr, b[1], nullptr, 100, 0); },
            [&] { return c.tee(a[0], b[1], 100, 0); },
            [&] { return c.vmsplice(a[0], &part, 1, 0); },
        };
        for (const auto& wait : waits) {
            ssize_t result = -7;
            int error = 0;
            bool thrown = false;
            auto waiting = weft::spawn([&] {
                try {
                    result = wait();
                    error = errno;
                } catch (const weft::fiber_exit&) {
                    thrown = true;
                    throw;
                }
            });
            weft::sleep_for(3ms);
            CHECK_FALSE(waiting.ready());
            CHECK(waiting.kill(1s));
            CHECK(thrown == named);
            if (!named) CHECK(result == -1);
            if (!named) CHECK(error == ECANCELED);
        }
    }
}

HUB_TEST("two tasks hand a megabyte through pipes and a socket, byte for byte") {
    const test::patched now;
    auto first = test::pipe_pair(), second = test::pipe_pair();
    auto s = test::tcp_pair();
    const std::string text = test::pattern(std::size_t{1} << 20);
    auto feeding = weft::spawn([&] {
        CHECK(::write(first[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
        first[1].close();
    });
    auto to_socket = weft::spawn([&] {
        while (::splice(first[0], nullptr, s[0], nullptr, pipe_size, 0) > 0) {}
        s[0].close();
    });
    auto from_socket = weft::spawn([&] {
        while (::splice(s[1], nullptr, second[1], nullptr, pipe_size, 0) > 0) {}
        second[1].close();
    });
    std::string got;
    char b[8192];
    for (ssize_t n; (n = ::read(second[0], b, sizeof b)) > 0;) got.append(b, static_cast<std::size_t>(n));
    CHECK(got == text);
    feeding.get();
    to_socket.get();
    from_socket.get();
}
