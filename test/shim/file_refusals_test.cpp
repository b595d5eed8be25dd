// Where the system gives less: no RWF_NOWAIT, no descriptors, no threads. Calls still do the whole of what they do.
#include <cstddef>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "shim/differential.hpp"
#include "shim/files.hpp"
#include "shim/sockets.hpp"
#include "support/forked.hpp"
#include "support/no_threads.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;
using test::descriptor;

namespace {

constexpr int rwf_nowait = 8;

/// From now on this process's preadv2 and pwritev2 fail with `error`: always, or only if they are told not to wait.
bool refuse_tries(int error, bool always) {
    const auto answer = static_cast<std::uint32_t>(SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA));
    const std::uint32_t wanted = always ? 0 : rwf_nowait;
    sock_filter lines[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_preadv2, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwritev2, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[5])),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, wanted),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, wanted, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, answer),
    };
    const sock_fprog filter{sizeof lines / sizeof *lines, lines};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/// @returns the number of the first thing that goes wrong, or 0
int read_and_write(const char* path, bool with_pipes) {
    const std::string text = test::pattern(100'000);
    std::string room(150'000, 0);
    const int file = ::open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_TRUNC, 0600);
    if (::write(file, text.data(), 60'000) != 60'000) return 1;
    if (::pwrite(file, text.data() + 60'000, 40'000, 60'000) != 40'000) return 2;
    for (int round = 0; round < 2; ++round) {
        test::make_cold(file);
        if (::pread(file, room.data(), room.size(), 10) != 99'990) return 3;
        if (text.compare(10, 99'990, room, 0, 99'990) != 0) return 4;
        if (::lseek(file, 50'000, SEEK_SET) != 50'000) return 5;
        iovec parts[2] = {{room.data(), 7}, {room.data() + 7, 60'000}};
        if (::readv(file, parts, 2) != 50'000) return 6;
        if (text.compare(50'000, 50'000, room, 0, 50'000) != 0) return 7;
        if (::read(file, room.data(), 1) != 0) return 8;
        if (::lseek(file, 0, SEEK_CUR) != 100'000) return 9;
    }
    if (::close(file) != 0) return 10;
    const int made_up = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (::pread(made_up, room.data(), 100, 0) <= 0 || ::read(made_up, room.data(), 100) <= 0) return 11;
    ::close(made_up);
    if (!with_pipes) return 0;
    auto pipe = test::pipe_pair();
    bool wrote = false;
    auto writer = weft::spawn([&] {
        weft::sleep_for(5ms);
        wrote = ::write(pipe[1], "word", 4) == 4;
    });
    if (::read(pipe[0], room.data(), 10) != 4) return 12;  // the task wrote: this one parked
    writer.join();
    return wrote ? 0 : 13;
}

int end_without_tries(int error, bool always, const char* path) {
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        int wrong = 99;
        std::thread{[&] {
            if (!refuse_tries(error, always)) return;
            weft::spawn([&] { wrong = read_and_write(path, error != EAGAIN); }).join();
        }}.join();
        ::_exit(wrong);
    }
    const int status = test::end_of(child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

HUB_TEST("without RWF_NOWAIT files are read and written whole, and pipes wait") {
    // A filter by seccomp holds for the thread that sets it and for those that it makes: the pool's among them.
    const test::scratch folder{test::disk_folder()};
    const std::string path = folder.name("f");
    const test::patched now;
    CHECK(end_without_tries(EOPNOTSUPP, false, path.c_str()) == 0);
    CHECK(end_without_tries(ENOSYS, true, path.c_str()) == 0);
}

HUB_TEST("where the page cache never has anything at once, files are read and written whole") {
    const test::scratch folder{test::disk_folder()};
    const test::patched now;
    CHECK(end_without_tries(EAGAIN, false, folder.name("f").c_str()) == 0);
}

DIFFERENTIAL("without a free descriptor a lock is still waited for") {
    const test::scratch folder;
    const descriptor a{::open(folder.name("f").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
    out.value("opened", a >= 0);
    if (test::under_asan) return;  // it makes pipes to look at memory
    const descriptor b{::open(folder.name("f").c_str(), O_RDWR | O_CLOEXEC)};
    CHECK(::flock(a, LOCK_EX) == 0);
    rlimit before;
    CHECK(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const test::later release{c, 30ms, [&] { ::flock(a, LOCK_UN); }};
    const rlimit few{3, before.rlim_max};
    CHECK(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    out("flock", [&] { return c.flock(b, LOCK_EX); });
    CHECK(::setrlimit(RLIMIT_NOFILE, &before) == 0);
}

HUB_TEST("without a thread for it, a task's own makes the call") {
    const test::scratch folder{test::disk_folder()};
    const descriptor file{::open(folder.name("f").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
    CHECK(::write(file, "text", 4) == 4);
    const pid_t child = test::fork_flushed();  // which has no threads yet
    if (child == 0) {
        const test::no_threads none;
        const test::patched now;
        bool right = ::fsync(file) == 0 && ::fsync(-1) == -1 && errno == EBADF;
        const int third = ::open(folder.name("f").c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
        alignas(4096) char room[4096];
        right = right && ::pread(third, room, sizeof room, 0) == 4;
        ::_exit(right ? 0 : 1);
    }
    CHECK(test::exited_with(test::end_of(child), 0));
}
