// A kill meets C code that ignores every error and calls again: the hub goes on, the code is slowed down and named once,
// and the exception waits for weft's next wait.
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <weft/error.hpp>
#include <weft/timeout.hpp>

#include "shim/differential.hpp"
#include "shim/foreign_loop.h"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;

namespace {

/// Standard error, kept in memory while it lives.
class caught_errors {
public:
    caught_errors() : memory_{::memfd_create("errors", MFD_CLOEXEC)}, before_{::dup(2)} { ::dup2(memory_, 2); }
    ~caught_errors() { ::dup2(before_, 2); }
    /// How many lines hold these words.
    int lines_with(const std::string& words) const {
        std::string all(1 << 16, 0);
        all.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::pread(memory_, all.data(), all.size(), 0))));
        int found = 0;
        for (std::size_t at = all.find(words); at != std::string::npos; at = all.find(words, at + 1)) ++found;
        return found;
    }

private:
    test::descriptor memory_, before_;
};

/// Things that nothing ever comes of.
struct barren : foreign_things {
    test::ends sockets = test::unix_pair();
    test::ends udp = test::udp_pair();
    test::ends pipe = test::pipe_pair();
    test::listener quiet{}, busy{0};
    test::descriptor in_the_way = test::client_of(busy);
    test::descriptor towards_busy{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    test::descriptor events{::epoll_create1(EPOLL_CLOEXEC)};

    barren() : foreign_things{} {
        const std::string much = test::pattern(4096);
        while (::send(sockets[0], much.data(), much.size(), MSG_DONTWAIT) > 0) {}
        CHECK(::fcntl(pipe[1], F_SETFL, O_NONBLOCK) == 0);
        while (::write(pipe[1], much.data(), much.size()) > 0) {}
        CHECK(::fcntl(pipe[1], F_SETFL, 0) == 0);
        empty = sockets[0];
        full = pipe[1];
        listener = quiet.fd;
        connecting = towards_busy;
        nowhere = busy.at();
        nowhere_size = sizeof busy.address;
        set = events;
        datagrams = udp[0];
    }
};

/// A task that goes on in a C loop, and what it met afterwards.
struct deaf_task {
    deaf_task(const foreign_call& what, foreign_things& things)
        : task{weft::spawn(weft::fiber_options{.name = "deaf"}, [this, &what, &things] {
              foreign_loop(what.call, &things, &stop, &turns);
              try {
                  weft::yield();
              } catch (const weft::fiber_exit&) {
                  met_kill = true;
                  throw;
              }
          })} {}
    volatile int stop = 0;
    volatile long turns = 0;
    bool met_kill = false;
    weft::task<void> task;
};

}  // namespace

namespace {

/// @returns the ticker's largest gap
std::chrono::milliseconds kill_deaf_loop(const foreign_call& row, barren& things) {
    caught_errors errors;
    deaf_task deaf{row, things};
    weft::sleep_for(2ms);
    test::beside_ticker ticks;
    (void)deaf.task.kill(weft::deadline::past());
    // Some of its turns may have been answered before the kill could end them.
    for (int i = 0; i < 200 && errors.lines_with("goes on although") == 0; ++i) weft::sleep_for(10ms);
    const long fast = deaf.turns;
    const auto start = std::chrono::steady_clock::now();
    weft::sleep_for(100ms);
    const long slow = deaf.turns - fast;
    const auto span = std::chrono::steady_clock::now() - start;
    const auto gap = ticks.stop();
    CHECK(fast >= 1000);
    CHECK(slow >= 1);
    CHECK(slow <= span / 10ms + 2);
    CHECK_FALSE(deaf.met_kill);
    deaf.stop = 1;
    CHECK(deaf.task.join(1s));
    CHECK(deaf.met_kill);
    CHECK_FALSE(deaf.task.successful());
    CHECK(errors.lines_with("goes on although") == 1);
    CHECK(errors.lines_with("'deaf'") == 1);
    return gap;
}

/// A stall of the machine looks like a blocked thread, but not every time.
template <class Run>
bool never_starves(Run run) {
    for (int tries = 0; tries < 4; ++tries)
        if (run() < 20ms * test::patience()) return true;
    return false;
}

}  // namespace

HUB_TEST("a C loop that ignores the answers to a kill does not stop the hub, is named once and slowed down") {
    const test::patched now;
    barren things;
    for (const foreign_call* row = foreign_cancelled; row->name; ++row) {
        CAPTURE(row->name);
        CHECK(never_starves([&] { return kill_deaf_loop(*row, things); }));
    }
}

HUB_TEST("a C loop in a timeout scope is slowed down in the same way, and the scope's end throws") {
    const test::patched now;
    barren things;
    caught_errors errors;
    volatile int stop = 0;
    volatile long turns = 0;
    auto task = weft::spawn([&] {
        weft::timeout limit{1ms};
        foreign_loop(foreign_cancelled[0].call, &things, &stop, &turns);
    });
    for (int i = 0; i < 200 && turns < 1000; ++i) weft::sleep_for(10ms);
    const long fast = turns;
    const auto start = std::chrono::steady_clock::now();
    weft::sleep_for(100ms);
    CHECK(fast >= 1000);
    CHECK(turns - fast <= (std::chrono::steady_clock::now() - start) / 10ms + 2);
    stop = 1;
    CHECK_THROWS_AS(task.get(), weft::timed_out);
    CHECK(errors.lines_with("goes on although") == 1);
}

namespace {

/// What is held against the steadfast calls, and how it is given up.
struct held : foreign_things {
    held() : foreign_things{} {
        CHECK(::pthread_mutex_init(&mutex, nullptr) == 0);
        CHECK(::pthread_rwlock_init(&rwlock, nullptr) == 0);
        CHECK(::pthread_cond_init(&condition, nullptr) == 0);
        CHECK(::pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE) == 0);
        CHECK(::pthread_barrier_init(&barrier, nullptr, 2) == 0);
        CHECK(::sem_init(&semaphore, 0, 0) == 0);
    }
    ~held() {
        ::pthread_mutex_destroy(&mutex);
        ::pthread_rwlock_destroy(&rwlock);
        ::pthread_cond_destroy(&condition);
        ::pthread_spin_destroy(&spin);
        ::pthread_barrier_destroy(&barrier);
        ::sem_destroy(&semaphore);
    }
};

struct hindrance {
    const char* call;
    void (*begin)(held& h);
    void (*end)(held& h);
};

/// A process that holds a record lock, or just is there, until its pipe closes.
struct other_process {
    test::ends go = test::pipe_pair();
    test::ends ready = test::pipe_pair();
    test::scratch folder;
    test::descriptor file{::open(folder.name("locked").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    pid_t pid = -1;

    other_process() {
        const weft::monkey::native_scope native;
        pid = ::fork();
        if (pid == 0) {
            struct flock lock {};
            lock.l_type = F_WRLCK;
            char b = 0;
            if (::fcntl(file, F_SETLK, &lock) != 0) ::_exit(1);
            ::close(go[1].release());
            if (::write(ready[1], &b, 1) != 1) ::_exit(1);
            (void)!::read(go[0], &b, 1);
            ::_exit(0);
        }
        char b;
        CHECK(::read(ready[0], &b, 1) == 1);
    }
    ~other_process() {
        let_go();
        const weft::monkey::native_scope native;
        ::waitpid(pid, nullptr, 0);  // nobody's any more, where the call under test has taken it
    }
    void let_go() { go[1].close(); }
};
std::unique_ptr<other_process> other;

void start_other(held& h) {
    other = std::make_unique<other_process>();
    h.child = other->pid;
    h.locked_file = other->file;
}
void end_other(held&) { other->let_go(); }

const hindrance hindrances[] = {
    {"pthread_mutex_lock", [](held& h) { ::pthread_mutex_lock(&h.mutex); }, [](held& h) { ::pthread_mutex_unlock(&h.mutex); }},
    {"pthread_rwlock_rdlock", [](held& h) { ::pthread_rwlock_wrlock(&h.rwlock); },
     [](held& h) { ::pthread_rwlock_unlock(&h.rwlock); }},
    {"pthread_rwlock_wrlock", [](held& h) { ::pthread_rwlock_rdlock(&h.rwlock); },
     [](held& h) { ::pthread_rwlock_unlock(&h.rwlock); }},
    {"pthread_spin_lock", [](held& h) { ::pthread_spin_lock(&h.spin); }, [](held& h) { ::pthread_spin_unlock(&h.spin); }},
    {"pthread_cond_wait", [](held&) {},
     [](held& h) {
         ::pthread_mutex_lock(&h.mutex);
         h.condition_holds = 1;
         ::pthread_cond_broadcast(&h.condition);
         ::pthread_mutex_unlock(&h.mutex);
     }},
    {"pthread_barrier_wait", [](held&) {}, [](held& h) { ::pthread_barrier_wait(&h.barrier); }},
    {"sem_wait", [](held&) {}, [](held& h) { ::sem_post(&h.semaphore); }},
    {"waitpid", start_other, end_other},
    {"fcntl", start_other, end_other},
};

const hindrance& hindrance_of(const char* call) {
    for (const hindrance& h : hindrances)
        if (std::string_view{h.call} == call) return h;
    throw std::logic_error(std::string{"nothing stands in the way of "} + call);
}

/// The shim parks in this call; of fcntl only some commands wait.
bool is_ours(const char* call) {
    return weft::monkey::is_patched(call) && (std::string_view{call} != "fcntl" || weft::monkey::is_patched("flock"));
}

}  // namespace

namespace {

/// @returns the ticker's largest gap
std::chrono::milliseconds kill_steadfast(const foreign_call& row) {
    const hindrance& in_the_way = hindrance_of(row.name);
    held things;
    in_the_way.begin(things);
    test::beside_ticker ticks;
    long answer = -7;
    bool met_kill = false;
    auto task = weft::spawn([&] {
        answer = row.call(&things);
        try {
            weft::yield();
        } catch (const weft::fiber_exit&) {
            met_kill = true;
            throw;
        }
    });
    weft::sleep_for(5ms);
    CHECK_FALSE(task.ready());
    (void)task.kill(weft::deadline::past());
    weft::sleep_for(20ms);
    CHECK_FALSE(task.ready());
    CHECK(answer == -7);
    in_the_way.end(things);
    CHECK(task.join(2s));
    CHECK(answer == 0);
    CHECK(met_kill);
    const auto gap = ticks.stop();
    other.reset();
    return gap;
}

}  // namespace

HUB_TEST("what a kill must not end in C code waits on, gets what it waits for, and the kill follows") {
    const test::patched now;
    for (const foreign_call* row = foreign_steadfast; row->name; ++row) {
        if (!is_ours(row->name)) continue;
        CAPTURE(row->name);
        CHECK(never_starves([&] { return kill_steadfast(*row); }));
    }
}

HUB_TEST("close never waits, so a killed task's close in C code works") {
    const test::patched now;
    auto p = test::pipe_pair();
    const int fd = p[0];
    long closed = -1;
    auto task = weft::spawn([&] {
        foreign_things things{};
        things.empty = fd;
        CHECK(foreign_cancelled[0].call(&things) == -1);
        CHECK(errno == ECANCELED);
        closed = ::close(p[0].release());
    });
    weft::sleep_for(2ms);
    CHECK(task.kill(1s));
    CHECK(closed == 0);
    CHECK(::fcntl(fd, F_GETFD) == -1);
}
