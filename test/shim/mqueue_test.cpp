// POSIX message queues park where they would wait.
#include <string>

#include <fcntl.h>
#include <mqueue.h>

#include "shim/children.hpp"
#include "shim/differential.hpp"

using namespace std::chrono_literals;

namespace {

/// Two messages of up to 16 bytes, and no name.
class queue {
public:
    explicit queue(int flags = 0) {
        static int count = 0;
        const std::string name = "/weft-test-" + std::to_string(::getpid()) + '-' + std::to_string(++count);
        mq_attr attributes{};
        attributes.mq_maxmsg = 2;
        attributes.mq_msgsize = 16;
        number_ = ::mq_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR | flags, 0600, &attributes);
        if (number_ < 0) throw std::runtime_error("mq_open");
        ::mq_unlink(name.c_str());
    }
    ~queue() {
        if (number_ >= 0) close();
    }
    queue(const queue&) = delete;
    queue& operator=(const queue&) = delete;
    operator mqd_t() const { return number_; }
    int close() { return ::mq_close(std::exchange(number_, -1)); }

private:
    mqd_t number_;
};

timespec in_ms(long ms) {
    timespec time;
    ::clock_gettime(CLOCK_REALTIME, &time);
    time.tv_nsec += ms % 1000 * 1'000'000;
    time.tv_sec += ms / 1000 + time.tv_nsec / 1'000'000'000;
    time.tv_nsec %= 1'000'000'000;
    return time;
}

}  // namespace

DIFFERENTIAL("message queues") {
    const queue q;
    char text[16] = {};
    unsigned priority = 99;
    {
        const test::later sends{c, 40ms, [&] { CHECK(::mq_send(q, "one", 4, 3) == 0); }};
        out("receives what comes", [&] { return c.mq_receive(q, text, sizeof text, &priority); });
        out.bytes("it", text, 4);
        out.value("its priority", priority);
    }
    out("sends", [&] { return c.mq_send(q, "two", 4, 1); });
    out("sends", [&] { return c.mq_send(q, "three", 6, 2); });
    {
        const test::later takes{c, 40ms, [&] {
            char other[16];
            CHECK(::mq_receive(q, other, sizeof other, nullptr) == 6);
        }};
        out("sends when there is room", [&] { return c.mq_send(q, "four", 5, 0); });
    }
    timespec until = in_ms(40);
    out("no room in time", [&] { return c.mq_timedsend(q, "five", 5, 0, &until); });
    out("highest first", [&] { return c.mq_receive(q, text, sizeof text, &priority); });
    out.value("its priority", priority);
    until = in_ms(1000);
    out("the other", [&] { return c.mq_timedreceive(q, text, sizeof text, nullptr, &until); });
    until = in_ms(40);
    out("nothing in time", [&] { return c.mq_timedreceive(q, text, sizeof text, nullptr, &until); });
    until = {0, 0};
    out("long past", [&] { return c.mq_timedreceive(q, text, sizeof text, nullptr, &until); });
}

DIFFERENTIAL("what message queues refuse") {
    const queue q, never_waits{O_NONBLOCK};
    char text[16] = {};
    const timespec bad{0, -1}, far = in_ms(10'000);
    out("nothing there", [&] { return c.mq_receive(never_waits, text, sizeof text, nullptr); });
    out("nothing there", [&] { return c.mq_timedreceive(never_waits, text, sizeof text, nullptr, &far); });
    out("little room", [&] { return c.mq_receive(q, text, 15, nullptr); });
    out("too long", [&] { return c.mq_send(q, text, 17, 0); });
    out("no such priority", [&] { return c.mq_send(q, text, 1, 1u << 20); });
    out("not a time", [&] { return c.mq_timedreceive(q, text, sizeof text, nullptr, &bad); });
    out("not a time", [&] { return c.mq_timedsend(q, text, 1, 0, &bad); });
    out("no descriptor", [&] { return c.mq_receive(-1, text, sizeof text, nullptr); });
    out("not a queue", [&] { return c.mq_receive(0, text, sizeof text, nullptr); });
    out("not a queue", [&] { return c.mq_send(0, text, 1, 0); });
    CHECK(::fcntl(q, F_GETFL) == O_RDWR);
}

DIFFERENTIAL_ALONE("a handler without SA_RESTART ends mq_receive with EINTR") {
    const queue q;
    char text[16];
    const test::alarm_clock clock{40ms, 0};
    out("mq_receive", [&] { return c.mq_receive(q, text, sizeof text, nullptr); });
}

HUB_TEST("a kill ends mq_receive and mq_send, which have then moved nothing") {
    const test::patched now;
    const queue empty, full;
    REQUIRE(::mq_send(full, "a", 1, 0) == 0);
    REQUIRE(::mq_send(full, "b", 1, 0) == 0);
    int first = 0, second = 0;
    auto reader = weft::spawn([&] {
        char text[16];
        first = ::mq_receive(empty, text, sizeof text, nullptr) < 0 ? errno : 0;
    });
    auto writer = weft::spawn([&] { second = ::mq_send(full, "c", 1, 0) < 0 ? errno : 0; });
    weft::sleep_for(2ms);
    CHECK(reader.kill(1s));
    CHECK(writer.kill(1s));
    CHECK(first == ECANCELED);
    CHECK(second == ECANCELED);
    mq_attr state{};
    CHECK(::mq_getattr(full, &state) == 0);
    CHECK(state.mq_curmsgs == 2);
}

HUB_TEST("mq_close ends the waits for the queue with EBADF") {
    const test::patched now;
    queue q;
    auto reader = weft::spawn([number = mqd_t{q}] {
        char text[16];
        return ::mq_receive(number, text, sizeof text, nullptr) < 0 ? errno : 0;
    });
    weft::sleep_for(2ms);
    CHECK(q.close() == 0);
    CHECK(reader.get() == EBADF);
}

HUB_TEST("a queue between tasks of two sides delivers everything in order") {
    const test::patched now;
    const queue q;
    auto writer = weft::spawn([&] {
        for (int i = 0; i < 500; ++i) ::mq_send(q, reinterpret_cast<const char*>(&i), sizeof i, 0);
    });
    for (int i = 0; i < 500; ++i) {
        alignas(int) char text[16];
        int got = -1;
        const ssize_t size = weft::shim::mq_receive(q, text, sizeof text, nullptr);
        std::memcpy(&got, text, sizeof got);
        REQUIRE(size == sizeof got);
        REQUIRE(got == i);
    }
    writer.join();
}
