// What a call through the shim costs beside libc's own: where it passes through, in a task, and connections of both kinds.
// With --syscalls instead: how many system calls a poll() makes.
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/monkey.hpp>
#include <weft/monkey_report.hpp>
#include <weft/weft.hpp>

#include "bench.hpp"
#include "original.hpp"

namespace {

namespace monkey = weft::monkey;

constexpr long calls = 200'000;

/// libc's own, whoever stands before it.
template <class F>
F* from_libc(const char* name) {
    static void* const libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    void* const found = libc ? dlsym(libc, name) : nullptr;
    if (!found) throw std::runtime_error{std::string{"libc has no "} + name};
    return reinterpret_cast<F*>(found);
}

template <class Call>
double repeated(Call call) {
    const double start = bench::cpu_ns();
    for (long i = 0; i < calls; ++i) call();
    return (bench::cpu_ns() - start) / calls;
}

/// On a thread of its own, whose making is a thousandth of what is measured: the others stay without a hub.
double on_a_thread(const std::function<double()>& measure) {
    double result = 0;
    std::thread{[&] { result = measure(); }}.join();
    return result;
}
double in_a_task(const std::function<double()>& measure) {
    return on_a_thread([&] { return weft::spawn(measure).get(); });
}

struct patched {
    patched() {
        if (!monkey::patch_all()) throw std::runtime_error{"patch_all() failed"};
    }
    ~patched() { monkey::unpatch_all(); }
};

/// The five ways of one call, which `libc` and `own` make.
template <class Libc, class Own>
void add_call(bench::table& table, const std::string& what, Libc libc, Own own) {
    table.add(what + ", libc's", [=] { return on_a_thread([=] { return repeated(libc); }); }, true);
    table.add(what + ", unpatched", [=] { return on_a_thread([=] { return repeated(own); }); });
    table.add(what + ", patched, no hub", [=] {
        const patched now;
        return on_a_thread([=] { return repeated(own); });
    });
    table.add(what + ", patched, native scope", [=] {
        const patched now;
        return in_a_task([=] {
            const monkey::native_scope native;
            return repeated(own);
        });
    });
    table.add(what + ", patched, in a task", [=] {
        const patched now;
        return in_a_task([=] { return repeated(own); });
    });
    table.add(what + ", patched, no hub, counted", [=] {
        const patched now;
        monkey::count_calls();
        const double ns = on_a_thread([=] { return repeated(own); });
        monkey::count_calls(false);
        return ns;
    });
}

/// Stands for libc's readv, so that nothing but the shim's own way is measured.
ssize_t nothing(int, const iovec*, int) {
    asm volatile("");
    return 0;
}

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

/// A process that accepts and closes.
class acceptor {
public:
    acceptor() {
        const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof address_;
        address_.sin_family = AF_INET;
        address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* const at = reinterpret_cast<sockaddr*>(&address_);
        if (::bind(listener, at, size) != 0 || ::listen(listener, SOMAXCONN) != 0 || ::getsockname(listener, at, &size) != 0)
            throw std::system_error{errno, std::generic_category(), "a listener"};
        pid_ = ::fork();
        if (pid_ < 0) throw std::system_error{errno, std::generic_category(), "fork"};
        while (pid_ == 0) {
            const int fd = ::accept(listener, nullptr, nullptr);
            if (fd >= 0) ::close(fd);
        }
        ::close(listener);
    }
    ~acceptor() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    acceptor(const acceptor&) = delete;
    acceptor& operator=(const acceptor&) = delete;

    /// Connects and closes with a reset, which leaves no port behind for a minute.
    void visit() const {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const linger at_once{1, 0};
        if (fd < 0 || ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) != 0 ||
            ::connect(fd, reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0 || ::close(fd) != 0)
            throw std::system_error{errno, std::generic_category(), "a connection"};
    }

private:
    sockaddr_in address_{};
    pid_t pid_;
};

constexpr int visitors = 16, visits = 250;

double visit_by_threads(const acceptor& a) {
    const double start = bench::cpu_ns();
    std::vector<std::thread> threads;
    for (int i = 0; i < visitors; ++i)
        threads.emplace_back([&a] { for (int n = 0; n < visits; ++n) a.visit(); });
    for (auto& t : threads) t.join();
    return (bench::cpu_ns() - start) / (visitors * visits);
}

double visit_by_tasks(const acceptor& a) {
    const patched now;
    const double start = bench::cpu_ns();
    std::thread{[&a] {
        std::vector<weft::task<void>> tasks;
        for (int i = 0; i < visitors; ++i)
            tasks.push_back(weft::spawn([&a] { for (int n = 0; n < visits; ++n) a.visit(); }));
        for (auto& t : tasks) t.get();
    }}.join();
    return (bench::cpu_ns() - start) / (visitors * visits);
}

/// Counts the system calls of `body` in a child, between two marks that nobody else makes.
long system_calls_of(const std::function<void(const std::function<void()>& mark)>& body) {
    constexpr long mark_number = 100'000;  // ENOSYS
    const pid_t child = ::fork();
    if (child < 0) throw std::system_error{errno, std::generic_category(), "fork"};
    if (child == 0) {
        if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(1);
        ::raise(SIGSTOP);
        body([] { ::syscall(mark_number); });
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    long count = 0, marks = 0;
    bool entering = true;
    while (::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) == 0 && ::waitpid(child, &status, 0) == child &&
           WIFSTOPPED(status)) {
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
        if (entering) {
            __ptrace_syscall_info info{};
            ::ptrace(PTRACE_GET_SYSCALL_INFO, child, reinterpret_cast<void*>(sizeof info), &info);
            if (info.entry.nr == mark_number) ++marks;
            else if (marks == 1) ++count;
        }
        entering = !entering;
    }
    if (marks != 2) throw std::runtime_error{"the counted process did not come to its end"};
    return count;
}

/// Of one poll() in a task, in which every second is parked if `parks`: the writer runs meanwhile. Its calls are taken off.
double calls_of_poll(bool parks) {
    constexpr int turns = 1000;
    const auto run = [parks](const std::function<void()>& mark, bool polls) {
        const patched now;
        weft::spawn([&] {
            int ends[2];
            if (::pipe(ends) != 0) ::_exit(2);
            char b = 0;
            const auto turn = [&](bool with_poll) {
                pollfd look{ends[0], POLLIN, 0};
                auto writer = weft::spawn([&] { if (::write(ends[1], &b, 1) != 1) ::_exit(2); });
                if (!parks) writer.get();
                if (with_poll && ::poll(&look, 1, -1) != 1) ::_exit(2);
                if (parks) writer.get();
                if (::read(ends[0], &b, 1) != 1) ::_exit(2);
            };
            turn(true);
            mark();
            for (int i = 0; i < turns; ++i) turn(polls);
            mark();
        }).get();
    };
    const long with = system_calls_of([&](const auto& mark) { run(mark, true); });
    const long without = system_calls_of([&](const auto& mark) { run(mark, false); });
    return static_cast<double>(with - without) / turns;
}

int count_system_calls() {
    std::printf("system calls of a poll() on one descriptor in a task\n");
    std::printf("  ready   %.2f   (libc's: 1)\n", calls_of_poll(false));
    std::printf("  parked  %.2f   (libc's: 1)\n", calls_of_poll(true));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::strcmp(argv[1], "--syscalls") == 0) return count_system_calls();
    bench::table table;
    weft::shim::originals_to_replace().readv = nothing;
    ssize_t (*volatile empty)(int, const iovec*, int) = nothing;
    add_call(table, "empty call", [&empty] { empty(-1, nullptr, 0); }, [] { ::readv(-1, nullptr, 0); });
    auto* const read = from_libc<ssize_t(int, void*, size_t)>("read");
    add_call(table, "read(-1)", [=] { read(-1, nullptr, 0); }, [] { (void)!::read(-1, nullptr, 0); });
    auto* const lock = from_libc<int(pthread_mutex_t*)>("pthread_mutex_lock");
    auto* const unlock = from_libc<int(pthread_mutex_t*)>("pthread_mutex_unlock");
    add_call(table, "mutex pair", [=] { lock(&mutex); unlock(&mutex); },
             [] { ::pthread_mutex_lock(&mutex); ::pthread_mutex_unlock(&mutex); });
    auto* const rdlock = from_libc<int(pthread_rwlock_t*)>("pthread_rwlock_rdlock");
    auto* const rwunlock = from_libc<int(pthread_rwlock_t*)>("pthread_rwlock_unlock");
    add_call(table, "rwlock pair", [=] { rdlock(&rwlock); rwunlock(&rwlock); },
             [] { ::pthread_rwlock_rdlock(&rwlock); ::pthread_rwlock_unlock(&rwlock); });
    table.add("getppid()", [] { return repeated([] { ::getppid(); }); });
    const acceptor a;
    table.add("connect and close, 16 threads", [&a] { return visit_by_threads(a); }, true);
    table.add("connect and close, 16 tasks", [&a] { return visit_by_tasks(a); });
    return table.run(argc, argv, "call");
}
