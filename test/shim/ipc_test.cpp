// System V's messages and semaphores: a thread of weft's waits for the task, which no kill ends.
#include <string>
#include <vector>

#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

#include "shim/children.hpp"
#include "shim/differential.hpp"
#include "support/child.hpp"

using namespace std::chrono_literals;

namespace {

struct message {
    long type;
    char text[16];
};

class queue {
public:
    queue() : id_{::msgget(IPC_PRIVATE, 0600)} {
        if (id_ < 0) throw std::runtime_error("msgget");
    }
    ~queue() { remove(); }
    queue(const queue&) = delete;
    queue& operator=(const queue&) = delete;
    operator int() const { return id_; }
    void remove() const { ::msgctl(id_, IPC_RMID, nullptr); }
    /// Leaves room for so many bytes.
    void limit(unsigned long bytes) const {
        msqid_ds state{};
        ::msgctl(id_, IPC_STAT, &state);
        state.msg_qbytes = bytes;
        ::msgctl(id_, IPC_SET, &state);
    }

private:
    int id_;
};

class semaphores {
public:
    semaphores() : id_{::semget(IPC_PRIVATE, 2, 0600)} {
        if (id_ < 0) throw std::runtime_error("semget");
        ::semctl(id_, 0, SETVAL, 0);
        ::semctl(id_, 1, SETVAL, 0);
    }
    ~semaphores() { remove(); }
    semaphores(const semaphores&) = delete;
    semaphores& operator=(const semaphores&) = delete;
    operator int() const { return id_; }
    void remove() const { ::semctl(id_, 0, IPC_RMID); }

private:
    int id_;
};

sembuf change(unsigned short which, int by, int flags = 0) {
    return {which, static_cast<short>(by), static_cast<short>(flags)};
}

}  // namespace

DIFFERENTIAL("msgsnd and msgrcv") {
    const queue q;
    message m{3, "some text"};
    {
        const test::later sends{c, 40ms, [&] {
            const message sent{7, "later"};
            CHECK(::msgsnd(q, &sent, 6, 0) == 0);
        }};
        out("receives what comes", [&] { return c.msgrcv(q, &m, sizeof m.text, 0, 0); });
        out.value("type", m.type);
        out.bytes("text", m.text, 6);
    }
    m = {3, "some text"};
    out("sends", [&] { return c.msgsnd(q, &m, 10, 0); });
    out("none of that type", [&] { return c.msgrcv(q, &m, sizeof m.text, 4, IPC_NOWAIT); });
    out("too long", [&] { return c.msgrcv(q, &m, 4, 0, 0); });
    out("cut off", [&] { return c.msgrcv(q, &m, 4, 0, MSG_NOERROR); });
    q.limit(16);
    out("room for it", [&] { return c.msgsnd(q, &m, 16, 0); });
    out("no room", [&] { return c.msgsnd(q, &m, 16, IPC_NOWAIT); });
    {
        const test::later takes{c, 40ms, [&] {
            message other;
            CHECK(::msgrcv(q, &other, sizeof other.text, 0, 0) == 16);
        }};
        out("room in the end", [&] { return c.msgsnd(q, &m, 16, 0); });
    }
    out("not a type", [&] {
        const message bad{0, ""};
        return c.msgsnd(q, &bad, 1, 0);
    });
    out("a negative size", [&] { return c.msgrcv(q, &m, static_cast<size_t>(-1), 0, 0); });
    out("no queue", [&] { return c.msgrcv(-1, &m, 1, 0, 0); });
    out("no queue", [&] { return c.msgsnd(-1, &m, 1, 0); });
    const queue gone;
    const test::later removes{c, 40ms, [&] { gone.remove(); }};
    out("removed meanwhile", [&] { return c.msgrcv(gone, &m, sizeof m.text, 0, 0); });
    out("removed", [&] { return c.msgrcv(gone, &m, sizeof m.text, 0, 0); });
}

DIFFERENTIAL("semop and semtimedop") {
    const semaphores s;
    sembuf up = change(0, 1), down = change(0, -1), down_at_once = change(0, -1, IPC_NOWAIT);
    out("up", [&] { return c.semop(s, &up, 1); });
    out("down", [&] { return c.semop(s, &down, 1); });
    out("would wait", [&] { return c.semop(s, &down_at_once, 1); });
    {
        const test::later raises{c, 40ms, [&] {
            sembuf one = change(0, 1);
            CHECK(::semop(s, &one, 1) == 0);
        }};
        out("waits", [&] { return c.semop(s, &down, 1); });
    }
    const timespec brief{0, 40'000'000}, bad{0, -1}, none{0, 0}, long_time{5, 0};
    out("in vain", [&] { return c.semtimedop(s, &down, 1, &brief); });
    out("no time", [&] { return c.semtimedop(s, &down, 1, &none); });
    out("not a time", [&] { return c.semtimedop(s, &down, 1, &bad); });
    {
        const test::later raises{c, 40ms, [&] {
            sembuf both[] = {change(0, 1), change(1, 1)};
            CHECK(::semop(s, both, 2) == 0);
        }};
        sembuf both[] = {change(0, -1), change(1, -1)};
        out("two at once", [&] { return c.semtimedop(s, both, 2, &long_time); });
    }
    sembuf undone = change(0, 1, SEM_UNDO);
    out("to be undone", [&] { return c.semop(s, &undone, 1); });
    out("no such semaphore", [&] {
        sembuf odd = change(9, 1);
        return c.semop(s, &odd, 1);
    });
    out("none at all", [&] { return c.semop(s, &up, 0); });
    out("too many", [&] { return c.semop(s, &up, 100'000); });
    out("no set", [&] { return c.semop(-1, &up, 1); });
    const semaphores gone;
    const test::later removes{c, 40ms, [&] { gone.remove(); }};
    out("removed meanwhile", [&] { return c.semop(gone, &down, 1); });
}

HUB_TEST("a kill does not end msgrcv or semop, and is met at the next wait; IPC_RMID ends them") {
    const test::patched now;
    const queue q;
    const semaphores s;
    int received = 0, taken = 0;
    auto first = weft::spawn([&] {
        message m;
        received = ::msgrcv(q, &m, sizeof m.text, 0, 0) < 0 ? errno : 0;
        weft::sleep_for(1h);
    });
    auto second = weft::spawn([&] {
        sembuf down = change(0, -1);
        taken = ::semop(s, &down, 1) < 0 ? errno : 0;
        weft::sleep_for(1h);
    });
    weft::sleep_for(2ms);
    CHECK_FALSE(first.kill(5ms));
    CHECK_FALSE(second.kill(5ms));
    q.remove();
    s.remove();
    first.join();
    second.join();
    CHECK(received == EIDRM);
    CHECK(taken == EIDRM);
}

HUB_TEST("forty tasks that wait in semop do not hold up the one that ends their waits") {
    const test::patched now;
    const semaphores s;
    test::beside_ticker ticks;
    std::vector<weft::task<int>> tasks;
    for (int i = 0; i < 40; ++i) {
        tasks.push_back(weft::spawn([&] {
            sembuf down = change(0, -1);
            return ::semop(s, &down, 1);
        }));
    }
    weft::sleep_for(2ms);
    auto giver = weft::spawn([&] {
        sembuf wait = change(1, -1), all = change(0, 40);
        return ::semop(s, &wait, 1) == 0 && ::semop(s, &all, 1) == 0;
    });
    weft::sleep_for(2ms);
    sembuf start = change(1, 1);
    CHECK(::semop(s, &start, 1) == 0);
    CHECK(giver.get());
    for (auto& task : tasks) CHECK(task.get() == 0);
    CHECK(ticks.stop() < 20ms * test::patience());
}

TEST_CASE("child: ends while a task waits for a message" * doctest::skip()) {
    if (!weft::monkey::patch_all()) ::_exit(2);
    static const queue never;
    weft::spawn([] {
        message m;
        ::msgrcv(never, &m, sizeof m.text, 0, 0);
    });
    weft::sleep_for(10ms);
}

TEST_CASE("a thread ends though a task of it waits for a message") {
    const auto end =
        test::run_child({"/proc/self/exe", "--no-skip", "--test-case=child: ends while a task waits for a message"});
    CAPTURE(end.output);
    CHECK(end.exited_with(0));
}
