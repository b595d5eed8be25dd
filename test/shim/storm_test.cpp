// Thousands of tasks of two hubs, and threads without any, read, write, close, replace, copy and pass on the same descriptors,
// run out of time, are killed, and fork: every byte arrives once and in its place, or its stream has died.
// WEFT_TEST_SEEDS says how many seeds, WEFT_TEST_SEED which one alone: a failure names the one that shows it.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <thread>

#include <poll.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/wait.h>

#include <weft/timeout.hpp>

#include "shim/differential.hpp"
#include "shim/storm_model.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;
using test::calls;
using test::storm::below;
using test::storm::dice;
using test::storm::frames_each;
using test::storm::kind;
using test::storm::pipes_are_tried;
using test::storm::stream;

namespace {

constexpr int hubs = 2, streams = 36;
constexpr bool slow = test::under_asan || test::under_tsan;
constexpr int writers_per_hub = slow ? 8 : 30;
// Of each stream's writers, those who write to what was passed to them, one a hub, and the one that has no task.
constexpr int passed_on = hubs * writers_per_hub, by_thread = passed_on + hubs;

struct private_end {
    int fd = -1;  // another number for the end that reads, which only the hub's own tasks use
};

struct storm {
    explicit storm(unsigned seed) : random{seed} {
        const kind other = pipes_are_tried() ? kind::pipe : kind::local;
        for (int i = 0; i < streams; ++i) {
            const bool small = i % 3 == 0;
            const kind what = i % 7 == 3   ? kind::messages
                              : i % 7 == 5 ? (small ? kind::local : kind::tcp)
                                           : (i % 2 == 0 ? kind::local : other);
            all.emplace_back(i, what, small && what != kind::messages, by_thread + 1, random);
        }
        gone[1].close();
    }
    dice random;
    std::deque<stream> all;
    private_end apart[hubs][streams];
    test::ends gone = test::unix_pair();  // what stands where a dead stream's end stood: at its end
    test::ends carrier = test::unix_pair(SOCK_SEQPACKET);
    std::atomic<int> writing{0};  // crews and threads that still write
    std::atomic<bool> over{false};
    std::atomic<int> odd{0};       // results that nothing explains
    std::atomic<int> first_odd{0};
};

void explain(storm& s, const stream& on, int error, bool apart) {
    const bool fine = error == EAGAIN || error == ECANCELED || error == ETIMEDOUT ||
                      (error == EBADF && (apart || on.is_dead())) ||
                      ((error == EPIPE || error == ECONNRESET) && on.is_dead());
    if (!fine && s.odd++ == 0) s.first_odd = error;
}

// By one of the calls that write to such an end, all of it.
ssize_t write_by(const calls& c, const stream& to, int fd, const std::string& text, dice& d) {
    iovec parts[3] = {{const_cast<char*>(text.data()), 1}, {nullptr, 0}, {const_cast<char*>(text.data()) + 1, text.size() - 1}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 3;
    mmsghdr one{message, 0};
    switch (below(d, to.is_socket() ? 6 : 2)) {
        case 0: return c.write(fd, text.data(), text.size());
        case 1: return c.writev(fd, parts, 3);
        case 2: return c.send(fd, text.data(), text.size(), MSG_NOSIGNAL);
        case 3: return c.sendto(fd, text.data(), text.size(), MSG_NOSIGNAL, nullptr, 0);
        case 4: return c.sendmsg(fd, &message, MSG_NOSIGNAL);
        default: return c.sendmmsg(fd, &one, 1, MSG_NOSIGNAL) == 1 ? static_cast<ssize_t>(one.msg_len) : -1;
    }
}

/// Writes a frame and notes what has gone of it, however the call ends.
void write_frame(storm& s, const calls& c, stream& to, int writer, int fd, dice& d) {
    const std::string text = to.frame(writer, to.next_of(writer));
    struct note {
        stream& to;
        int writer;
        ssize_t gone = -1;
        ~note() { to.sent(writer, gone > 0 ? static_cast<std::size_t>(gone) : 0); }
    } result{to, writer};
    if (writer != by_thread && below(d, 12) == 0) {
        try {
            const weft::timeout limit{std::chrono::milliseconds{below(d, 5)}};
            result.gone = write_by(c, to, fd, text, d);
        } catch (const weft::timed_out&) {
        }
    } else {
        result.gone = write_by(c, to, fd, text, d);
        if (result.gone <= 0) explain(s, to, errno, false);
    }
}

void write_all(storm& s, const calls& c, stream& to, int writer, dice d) {
    while (to.next_of(writer) < frames_each) {
        test::descriptor copy;
        if (to.is_small() && below(d, 6) == 0) copy = test::descriptor{::fcntl(to.writes_at(), F_DUPFD_CLOEXEC, 0)};
        write_frame(s, c, to, writer, copy < 0 ? to.writes_at() : int{copy}, d);
        if (below(d, 4) == 0) weft::sleep_for(std::chrono::microseconds{below(d, 3'000)});
        else weft::yield();
    }
}

ssize_t read_by(const calls& c, const stream& from, int fd, char* room, std::size_t size, dice& d, int flags) {
    iovec parts[2] = {{room, size / 2}, {room + size / 2, size - size / 2}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    switch (below(d, from.is_socket() ? 5 : 2)) {
        case 0: return c.read(fd, room, size);
        case 1: return c.readv(fd, parts, 2);
        case 2: return c.recv(fd, room, size, flags);
        case 3: return c.recvfrom(fd, room, size, flags, nullptr, nullptr);
        default: return c.recvmsg(fd, &message, flags);
    }
}

constexpr int no_hub = -1;

/// The end of the stream that a task of this hub reads at, now: no other may run between this and the call.
int end_for(const storm& s, int hub, int which, bool apart) {
    const int own = hub == no_hub ? -1 : s.apart[hub][which].fd;
    return apart && own >= 0 ? own : s.all[static_cast<std::size_t>(which)].reads_at();
}

/// Reads once; @returns whether there may be more
bool read_bytes(storm& s, const calls& c, stream& from, int hub, int which, dice& d) {
    char room[12'000], shown[400];
    const std::lock_guard mine{from.reading};
    const bool apart = below(d, 2) == 0, whole = below(d, 6) == 0;
    const std::size_t size = static_cast<std::size_t>(whole ? 1 + below(d, 300) : 2 + below(d, sizeof room - 2));
    ssize_t peeked = -1;
    if (from.is_socket() && below(d, 6) == 0)
        peeked = c.recv(end_for(s, hub, which, apart), shown, sizeof shown, MSG_PEEK);
    const ssize_t got = read_by(c, from, end_for(s, hub, which, apart), room, size, d, whole ? MSG_WAITALL : 0);
    const int error = errno;
    if (got > 0) from.came(room, static_cast<std::size_t>(got));
    if (got > 0 && peeked > 0 && std::string_view(shown, static_cast<std::size_t>(std::min(got, peeked))) !=
                                     std::string_view(room, static_cast<std::size_t>(std::min(got, peeked))))
        ++s.odd;
    if (got < 0) explain(s, from, error, apart);
    return got != 0;
}

bool read_message(storm& s, const calls& c, stream& from, int hub, int which, dice& d) {
    char room[4'000];
    const bool apart = below(d, 2) == 0;
    const ssize_t got = read_by(c, from, end_for(s, hub, which, apart), room, sizeof room, d, 0);
    const int error = errno;
    if (got > 0) from.message_came(room, static_cast<std::size_t>(got));
    if (got < 0) explain(s, from, error, apart);
    return got != 0;
}

void read_all(storm& s, const calls& c, int hub, int which, dice d) {
    stream& from = s.all[static_cast<std::size_t>(which)];
    const auto once = from.what() == kind::messages ? &read_message : &read_bytes;
    for (bool more = true; more;) {
        if (below(d, 16) == 0) {
            try {
                const weft::timeout limit{std::chrono::milliseconds{1 + below(d, 4)}};
                more = once(s, c, from, hub, which, d);
            } catch (const weft::timed_out&) {
            }
        } else {
            more = once(s, c, from, hub, which, d);
        }
        if (below(d, 8) == 0) weft::yield();
    }
}

/// Looks at both ends of streams without taking anything, and at their flags.
void look_on(storm& s, const calls& c, int hub, dice d) {
    while (!s.over) {
        const int which = below(d, streams);
        const stream& at = s.all[static_cast<std::size_t>(which)];
        const int read_end = end_for(s, hub, which, below(d, 2) == 0);
        if (test::has_nonblock(at.writes_at()) || (!at.is_dead() && test::has_nonblock(at.reads_at()))) ++s.odd;
        pollfd looks[2] = {{read_end, POLLIN, 0}, {at.writes_at(), POLLOUT, 0}};
        if (below(d, 2) == 0 || read_end >= FD_SETSIZE) {
            c.poll(looks, static_cast<nfds_t>(1 + below(d, 2)), below(d, 4));
        } else {
            fd_set readable;
            FD_ZERO(&readable);
            FD_SET(read_end, &readable);
            timeval limit{0, below(d, 4'000)};
            c.select(read_end + 1, &readable, nullptr, nullptr, &limit);
        }
        weft::sleep_for(std::chrono::microseconds{below(d, 4'000)});
    }
}

/// Closes, replaces and makes anew the ends that only this hub's tasks read at.
void churn(storm& s, const calls& c, int hub, dice d) {
    while (!s.over) {
        const int which = below(d, streams);
        const stream& of = s.all[static_cast<std::size_t>(which)];
        int& fd = s.apart[hub][which].fd;
        if (fd < 0) {
            if (!of.is_dead()) fd = ::dup(of.reads_at());
        } else if (of.is_dead() || below(d, 3) == 0) {
            const int old = std::exchange(fd, -1);
            if (below(d, 2) == 0) c.close(old);
            else if (::close_range(static_cast<unsigned>(old), static_cast<unsigned>(old), 0) != 0) ::close(old);
        } else if (below(d, 2) == 0) {
            c.dup2(of.reads_at(), fd);
        } else {
            c.dup3(of.reads_at(), fd, O_CLOEXEC);
        }
        weft::sleep_for(std::chrono::microseconds{below(d, 1'500)});
    }
    for (auto& own : s.apart[hub])
        if (own.fd >= 0) c.close(std::exchange(own.fd, -1));
}

void pass_on(storm& s, const calls& c, dice d) {
    for (int i = 0; i < 4 * frames_each; ++i) {
        int which = below(d, streams) / 3 * 3;
        const stream& to = s.all[static_cast<std::size_t>(which)];
        if (!to.is_small()) continue;
        iovec part{&which, sizeof which};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        test::control rights;
        const int fd = to.writes_at();
        rights.carry(message, &fd, 1);
        if (c.sendmsg(s.carrier[0], &message, MSG_NOSIGNAL) != sizeof which) ++s.odd;
        weft::sleep_for(1ms);
    }
}

void take_what_is_passed(storm& s, const calls& c, int hub, dice d) {
    for (;;) {
        int which = -1;
        iovec part{&which, sizeof which};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        test::control rights;
        message.msg_control = rights.room;
        message.msg_controllen = sizeof rights.room;
        if (c.recvmsg(s.carrier[1], &message, MSG_CMSG_CLOEXEC) <= 0) return;
        int came;
        std::memcpy(&came, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof came);
        stream& to = s.all[static_cast<std::size_t>(which)];
        if (to.next_of(passed_on + hub) < frames_each) write_frame(s, c, to, passed_on + hub, came, d);
        c.close(came);
    }
}

/// In a child: a task of its own, and a wait that works.
bool lives() {
    auto s = test::unix_pair();
    char byte = 0;
    auto reader = weft::spawn([&] { return ::read(s[0], &byte, 1); });
    weft::yield();
    return ::write(s[1], "x", 1) == 1 && reader.get() == 1 && byte == 'x';
}

void fork_one(storm& s) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(lives() ? 0 : 1);
    int status = -1;
    while (::waitpid(child, &status, WNOHANG) == 0) weft::sleep_for(1ms);
    if (status != 0) ++s.odd;
}

/// All that one hub has to do with it.
void crew(storm& s, const calls& c, int hub, dice d) {
    struct job {
        weft::task<void> task;
        std::function<void()> work;
        bool writes;
    };
    std::vector<job> jobs;
    const auto add = [&](bool writes, std::function<void()> work) { jobs.push_back({weft::spawn(work), work, writes}); };
    for (int which = 0; which < streams; ++which) {
        stream& at = s.all[static_cast<std::size_t>(which)];
        for (int i = 0; i < writers_per_hub; ++i)
            add(true, [&, own = d(), writer = hub * writers_per_hub + i] { write_all(s, c, at, writer, dice{static_cast<unsigned>(own)}); });
        for (int i = 0; i < (at.what() == kind::messages ? 4 : 2); ++i)
            add(false, [&, which, own = d()] { read_all(s, c, hub, which, dice{static_cast<unsigned>(own)}); });
    }
    std::vector<weft::task<void>> others;
    for (int i = 0; i < 40; ++i) others.push_back(weft::spawn([&, own = dice{d()}] { look_on(s, c, hub, own); }));
    others.push_back(weft::spawn([&, own = dice{d()}] { churn(s, c, hub, own); }));
    auto taker = weft::spawn([&, own = dice{d()}] { take_what_is_passed(s, c, hub, own); });
    auto passer = weft::spawn([&, own = dice{d()}] { pass_on(s, c, own); });
    const auto writing = [&] {
        for (const job& j : jobs)
            if (j.writes && !j.task.ready()) return true;
        return !passer.ready();
    };
    for (int turn = 0; writing(); ++turn) {
        weft::sleep_for(2ms);
        job& j = jobs[static_cast<std::size_t>(below(d, static_cast<int>(jobs.size())))];
        if (below(d, 3) == 0 && !j.task.ready()) {
            CHECK(j.task.kill(10s));
            j.task = weft::spawn(j.work);  // another takes over
        }
        if (turn % 40 == 20) {
            stream& of = s.all[static_cast<std::size_t>(below(d, streams))];
            of.dies();
            c.dup2(s.gone[0], of.reads_at());
        }
        if (hub == 0 && !slow && turn % 60 == 30 && turn < 200) fork_one(s);
    }
    --s.writing;
    while (s.writing > 0) weft::sleep_for(1ms);
    if (hub == 0) {
        s.carrier[0].close();
        taker.join();
        s.over = true;
        for (stream& each : s.all) each.end();
    }
    for (job& j : jobs) CHECK(j.task.join(20s));
    CHECK(taker.join(10s));
    for (auto& other : others) CHECK(other.join(10s));
}

void write_without_tasks(storm& s) {
    for (int i = 0; i < frames_each; ++i) {
        for (stream& to : s.all) {
            if (!to.is_small()) continue;
            dice d{static_cast<unsigned>(i)};
            write_frame(s, test::plain_calls(), to, by_thread, to.writes_at(), d);
        }
        std::this_thread::sleep_for(1ms);
    }
    --s.writing;
}

void read_without_tasks(storm& s, int which) {
    dice d{7};
    while (read_bytes(s, test::plain_calls(), s.all[static_cast<std::size_t>(which)], no_hub, which, d))
        std::this_thread::sleep_for(1ms);
}

void run(unsigned seed) {
    INFO("WEFT_TEST_SEED=" << seed << " replays it");
    storm s{seed};
    s.writing = hubs + 1;
    const calls* const both[2] = {&test::named_calls(), &test::plain_calls()};
    const dice first{s.random()}, second{s.random()};
    const int start = below(s.random, 2);
    std::thread other{[&] {
        weft::spawn(weft::fiber_options{.stack_size = std::size_t{1} << 20}, [&] { crew(s, *both[1 - start], 1, second); }).get();
    }};
    std::thread writer{[&] { write_without_tasks(s); }};
    std::thread reader{[&] { read_without_tasks(s, 0); }};
    crew(s, *both[start], 0, first);
    {
        const weft::monkey::native_scope blocks;
        for (std::thread* each : {&other, &writer, &reader}) each->join();
    }
    for (const stream& each : s.all) {
        const std::string complaint = each.complaint();
        CHECK_MESSAGE(complaint.empty(), complaint);
    }
    CHECK_MESSAGE(s.odd == 0, "the first has error number " << s.first_odd);
}

unsigned number(const char* name, unsigned otherwise) {
    const char* const text = std::getenv(name);
    return text ? static_cast<unsigned>(std::strtoul(text, nullptr, 10)) : otherwise;
}

}  // namespace

HUB_TEST("every byte of a storm arrives once and in its place") {
    ::signal(SIGPIPE, SIG_IGN);  // write() to a stream that has died is one of the moves
    const test::patched now;
    const unsigned only = number("WEFT_TEST_SEED", 0), count = only ? only : number("WEFT_TEST_SEEDS", 3);
    for (unsigned seed = only ? only : 1; seed <= count; ++seed) run(seed);
}
