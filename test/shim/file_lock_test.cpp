// Locks on files: who waits, for how long, and what ends it. The holder is another process, or another open file.
#include <aio.h>
#include <csignal>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <weft/error.hpp>
#include <weft/timeout.hpp>

#include "shim/differential.hpp"
#include "shim/files.hpp"
#include "shim/sockets.hpp"
#include "support/forked.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::descriptor;
using test::later;
using test::lock_by;

namespace {

struct flock region(short type, off_t start, off_t size = 1) {
    struct flock r {};
    r.l_type = type;
    r.l_whence = SEEK_SET;
    r.l_start = start;
    r.l_len = size;
    return r;
}

/// Another process with the file open, which locks what it is told to.
class other_process {
public:
    explicit other_process(const char* path) {
        auto pipe = test::unix_pair(SOCK_SEQPACKET);
        child_ = test::fork_flushed();
        REQUIRE(child_ >= 0);
        if (child_ == 0) serve(path, pipe[1]);
        ask_ = std::move(pipe[0]);
    }
    ~other_process() {
        ::syscall(SYS_kill, child_, SIGKILL);
        ::syscall(SYS_wait4, child_, nullptr, 0, nullptr);
    }
    other_process(const other_process&) = delete;
    other_process& operator=(const other_process&) = delete;

    /// Begins it and does not wait for it.
    void begin(int command, struct flock r) {
        const order o{command, r};
        REQUIRE(::syscall(SYS_write, ask_.operator int(), &o, sizeof o) == sizeof o);
    }
    /// 0 or the error number.
    int end() {
        int answer = -1;
        REQUIRE(::syscall(SYS_read, ask_.operator int(), &answer, sizeof answer) == sizeof answer);
        return answer;
    }
    int does(int command, struct flock r) {
        begin(command, r);
        return end();
    }

private:
    struct order {
        int command;
        struct flock r;
    };
    // System calls only: nothing of weft's works here.
    [[noreturn]] static void serve(const char* path, int from) {
        const long file = ::syscall(SYS_open, path, O_RDWR);
        for (order o; ::syscall(SYS_read, from, &o, sizeof o) == sizeof o;) {
            const int answer = ::syscall(SYS_fcntl, file, o.command, &o.r) == 0 ? 0 : errno;
            ::syscall(SYS_write, from, &answer, sizeof answer);
        }
        ::_exit(0);
    }

    pid_t child_;
    descriptor ask_;
};

descriptor opened(const test::scratch& folder) {
    return descriptor{::open(folder.name("f").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
}

int free_signals() {
    int count = 0;
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) {
        struct sigaction now;
        count += ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_DFL;
    }
    return count;
}

}  // namespace

DIFFERENTIAL("flock") {
    const test::scratch folder;
    const descriptor a = opened(folder), b = opened(folder);
    out("exclusive", [&] { return c.flock(a, LOCK_EX); });
    out("again", [&] { return c.flock(a, LOCK_EX); });
    out("LOCK_NB", [&] { return c.flock(b, LOCK_EX | LOCK_NB); });
    {
        const later release{c, 30ms, [&] { ::flock(a, LOCK_UN); }};
        out("waits", [&] { return c.flock(b, LOCK_EX); });
    }
    out("is held", [&] { return c.flock(a, LOCK_SH | LOCK_NB); });
    out("shared now", [&] { return c.flock(b, LOCK_SH); });
    out("by both", [&] { return c.flock(a, LOCK_SH); });
    {
        const later release{c, 30ms, [&] { ::flock(b, LOCK_UN); }};
        out("waits for the other reader", [&] { return c.flock(a, LOCK_EX); });
    }
    out("free", [&] { return c.flock(a, LOCK_UN); });
    out("free again", [&] { return c.flock(a, LOCK_UN); });
    out("no operation", [&] { return c.flock(a, 0); });
    out("no descriptor", [&] { return c.flock(-1, LOCK_EX); });
}

DIFFERENTIAL("fcntl's and lockf's locks, held by another process") {
    const test::scratch folder;
    const descriptor file = opened(folder);
    other_process other{folder.name("f").c_str()};
    struct flock one = region(F_WRLCK, 0);
    out.value("held", other.does(F_SETLK, one));
    out("F_SETLK", [&] { return lock_by(c, file, F_SETLK, one); });
    out("F_OFD_SETLK", [&] { return lock_by(c, file, F_OFD_SETLK, one); });
    out("F_TLOCK", [&] { return c.lockf(file, F_TLOCK, 1); });
    out("F_TEST", [&] { return c.lockf(file, F_TEST, 1); });
    const auto release = [&] { return later{c, 30ms, [&] { other.begin(F_SETLK, region(F_UNLCK, 0, 0)); }}; };
    for (const int command : {F_SETLKW, F_OFD_SETLKW}) {
        {
            const later free = release();
            out("waits", [&] { return lock_by(c, file, command, one); });
        }
        out.value("released", other.end());
        out.value("held by us", other.does(F_SETLK, one));
        struct flock none = region(F_UNLCK, 0);
        out("unlock", [&] { return lock_by(c, file, command, none); });
        out.value("held again", other.does(F_SETLK, one));
    }
    {
        const later free = release();
        out("F_LOCK waits", [&] { return c.lockf(file, F_LOCK, 1); });
    }
    out.value("released", other.end());
    out("F_ULOCK", [&] { return c.lockf(file, F_ULOCK, 1); });
    out("lockf, no such command", [&] { return c.lockf(file, 77, 1); });
    out("lockf, no descriptor", [&] { return c.lockf(-1, F_LOCK, 1); });
    struct flock odd = region(77, 0);
    out("F_SETLKW of an odd type", [&] { return lock_by(c, file, F_SETLKW, odd); });
    odd = region(F_WRLCK, 0);
    odd.l_pid = 5;
    out("F_OFD_SETLKW with a process", [&] { return lock_by(c, file, F_OFD_SETLKW, odd); });
    out("F_SETLKW, no descriptor", [&] { return lock_by(c, -1, F_SETLKW, one); });
}

DIFFERENTIAL("a deadlock between processes is found") {
    const test::scratch folder;
    const descriptor file = opened(folder);
    other_process other{folder.name("f").c_str()};
    struct flock first = region(F_WRLCK, 0), second = region(F_WRLCK, 1);
    out("ours", [&] { return lock_by(c, file, F_SETLKW, first); });
    out.value("its own", other.does(F_SETLK, second));
    other.begin(F_SETLKW, first);
    weft::sleep_for(30ms);  // it is in the kernel by then, or waits for nobody
    out("F_SETLKW", [&] { return lock_by(c, file, F_SETLKW, second); });
    CHECK(::lseek(file, 1, SEEK_SET) == 1);
    out("lockf", [&] { return c.lockf(file, F_LOCK, 1); });
    first.l_type = F_UNLCK;
    out("unlock", [&] { return lock_by(c, file, F_SETLKW, first); });
    out.value("it goes on", other.end());
}

DIFFERENTIAL_ALONE("a signal handler ends the wait for a lock, unless SA_RESTART says otherwise") {
    const test::scratch folder;
    const descriptor file = opened(folder), second = opened(folder);
    other_process other{folder.name("f").c_str()};
    struct flock one = region(F_WRLCK, 0);
    CHECK(other.does(F_SETLK, one) == 0);
    CHECK(::flock(second, LOCK_EX) == 0);
    const int signals = free_signals();
    for (int i = 0; i < 3; ++i) {
        const test::alarm_clock clock{30ms, 0};
        out("flock", [&] { return c.flock(file, LOCK_EX); });
    }
    for (const int command : {F_SETLKW, F_OFD_SETLKW}) {
        const test::alarm_clock clock{30ms, 0};
        out("fcntl", [&] { return lock_by(c, file, command, one); });
    }
    {
        const test::alarm_clock clock{30ms, 0};
        out("lockf", [&] { return c.lockf(file, F_LOCK, 1); });
    }
    CHECK(free_signals() == signals);
    {
        const test::alarm_clock clock{30ms, SA_RESTART};
        const later release{c, 80ms, [&] { ::flock(second, LOCK_UN); }};
        out("flock, SA_RESTART", [&] { return c.flock(file, LOCK_EX); });
    }
    CHECK(::flock(file, LOCK_UN) == 0);
    // Nobody was left behind who takes the locks now.
    CHECK(other.does(F_SETLK, region(F_UNLCK, 0)) == 0);
    out("free", [&] { return c.flock(second, LOCK_EX | LOCK_NB); });
    out.value("free", other.does(F_SETLK, one));
}

HUB_TEST("forty waits for a lock do not stop the write and the unlock that end them") {
    const test::scratch folder{test::disk_folder()};
    const descriptor held = opened(folder);
    const test::patched now;
    const bool free = test::leaves_the_thread_free([&] {
        REQUIRE(::flock(held, LOCK_EX) == 0);
        std::vector<weft::task<void>> waiting;
        int got = 0;
        for (int i = 0; i < 40; ++i)
            waiting.push_back(weft::spawn([&] {
                const descriptor file{::open(folder.name("f").c_str(), O_RDWR | O_CLOEXEC)};
                CHECK(::flock(file, LOCK_EX) == 0);
                ++got;
                CHECK(::flock(file, LOCK_UN) == 0);
            }));
        weft::sleep_for(20ms);
        CHECK(got == 0);
        auto releasing = weft::spawn([&] {
            CHECK(::pwrite(held, "done", 4, 0) == 4);
            CHECK(::fsync(held) == 0);
            CHECK(::flock(held, LOCK_UN) == 0);
        });
        releasing.get();
        for (auto& w : waiting) w.get();
        CHECK(got == 40);
    });
    CHECK(free);
}

HUB_TEST("neither a kill nor a timeout ends the wait for a lock, which is held afterwards") {
    const test::scratch folder;
    const descriptor held = opened(folder);
    for (const bool named : {true, false}) {
        const calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        REQUIRE(::flock(held, LOCK_EX) == 0);
        const descriptor file = opened(folder);
        int result = -7;
        bool thrown = false;
        auto waiting = weft::spawn([&] {
            result = c.flock(file, LOCK_EX);
            try {
                weft::sleep_for(1h);
            } catch (const weft::fiber_exit&) {
                thrown = true;
                throw;
            }
        });
        weft::sleep_for(5ms);
        CHECK_FALSE(waiting.kill(10ms));
        CHECK(result == -7);
        CHECK(::flock(held, LOCK_UN) == 0);
        CHECK(waiting.join(1s));
        CHECK(result == 0);
        CHECK(thrown);
        CHECK(::flock(held, LOCK_EX | LOCK_NB) == -1);
        CHECK(::flock(file, LOCK_UN) == 0);
        CHECK(::flock(held, LOCK_UN) == 0);
    }
}

HUB_TEST("a thread that ends leaves nobody behind who waits for a lock or for a FIFO's other end") {
    const test::scratch folder;
    const descriptor held = opened(folder), file = opened(folder);
    const std::string fifo = folder.name("fifo");
    CHECK(::mkfifo(fifo.c_str(), 0600) == 0);
    CHECK(::flock(held, LOCK_EX) == 0);
    const test::patched now;
    int locked = 0, fd = 0;
    std::thread{[&] {
        weft::spawn([&] { locked = ::flock(file, LOCK_EX); });
        weft::spawn([&] { fd = ::open(fifo.c_str(), O_RDONLY | O_CLOEXEC); });
        weft::sleep_for(5ms);
    }}.join();
    CHECK(locked == -1);
    CHECK(fd == -1);
    CHECK(::flock(held, LOCK_UN) == 0);
    weft::sleep_for(5ms);
    CHECK(::flock(held, LOCK_EX | LOCK_NB) == 0);
}

HUB_TEST("lockf64 and fcntl64 wait as the others do") {
    const test::scratch folder;
    const descriptor file = opened(folder);
    other_process other{folder.name("f").c_str()};
    const test::patched now;
    struct flock one = region(F_WRLCK, 0);
    struct flock64 same {};
    same.l_type = F_WRLCK;
    same.l_len = 1;
    CHECK(other.does(F_SETLK, one) == 0);
    bool locked = false;
    auto first = weft::spawn([&] {
        CHECK(::lockf64(file, F_LOCK, 1) == 0);
        locked = true;
    });
    auto second = weft::spawn([&] { CHECK(::fcntl64(file, F_OFD_SETLKW, &same) == 0); });
    weft::sleep_for(5ms);
    CHECK_FALSE(locked);
    other.does(F_SETLK, region(F_UNLCK, 0));
    // The two exclude each other: one is the process's, the other the open file's.
    weft::sleep_for(20ms);
    one.l_type = same.l_type = F_UNLCK;
    CHECK(::fcntl(file, F_SETLK, &one) == 0);
    CHECK(::fcntl(file, F_OFD_SETLK, &same) == 0);
    CHECK(first.join(1s));
    CHECK(second.join(1s));
}

DIFFERENTIAL("aio_suspend") {
    auto pipe = test::pipe_pair();
    char b[8] = {};
    aiocb request{};
    request.aio_fildes = pipe[0];
    request.aio_buf = b;
    request.aio_nbytes = sizeof b;
    const aiocb* const list[2] = {nullptr, &request};
    const timespec short_time{0, 30'000'000}, no_time{0, 0};
    CHECK(::aio_read(&request) == 0);
    out("not yet", [&] { return c.aio_suspend(list, 2, &no_time); });
    out("not in time", [&] { return c.aio_suspend(list, 2, &short_time); });
    {
        const later write{c, 30ms, [&] { CHECK(::write(pipe[1], "abc", 3) == 3); }};
        out("done", [&] { return c.aio_suspend(list, 2, nullptr); });
    }
    out("still", [&] { return c.aio_suspend(list, 2, nullptr); });
    out.value("result", ::aio_return(&request));
    out("a count of -1", [&] { return c.aio_suspend(list, -1, nullptr); });
}

HUB_TEST("a kill ends aio_suspend64, and its request goes on") {
    auto pipe = test::pipe_pair();
    char b[8] = {};
    aiocb64 request{};
    request.aio_fildes = pipe[0];
    request.aio_buf = b;
    request.aio_nbytes = sizeof b;
    const aiocb64* const list[1] = {&request};
    CHECK(::aio_read64(&request) == 0);
    {
        const test::patched now;
        int result = 0, error = 0;
        auto waiting = weft::spawn([&] {
            result = ::aio_suspend64(list, 1, nullptr);
            error = errno;
        });
        weft::sleep_for(5ms);
        CHECK(waiting.kill(1s));
        CHECK(result == -1);
        CHECK(error == ECANCELED);
    }
    CHECK(::write(pipe[1], "abc", 3) == 3);
    while (::aio_error64(&request) == EINPROGRESS) weft::sleep_for(1ms);
    CHECK(::aio_return64(&request) == 3);
}
