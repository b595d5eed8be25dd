// system, popen and pclose: as POSIX has them, several at once, while others run.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>

#include "shim/children.hpp"
#include "shim/differential.hpp"

using namespace std::chrono_literals;

namespace {

std::atomic<int> interrupts{0};

/// A handler or another way with a signal, for as long as it lives.
class disposition {
public:
    disposition(int number, void (*handler)(int)) : number_{number} {
        struct sigaction action {};
        action.sa_handler = handler;
        action.sa_flags = SA_RESTART;
        ::sigaction(number, &action, &before_);
    }
    ~disposition() { ::sigaction(number_, &before_, nullptr); }
    disposition(const disposition&) = delete;
    disposition& operator=(const disposition&) = delete;

private:
    int number_;
    struct sigaction before_ {};
};

void count_interrupt(int) { ++interrupts; }

bool handles(int number, void (*handler)(int)) {
    struct sigaction action {};
    return ::sigaction(number, nullptr, &action) == 0 && action.sa_handler == handler;
}

bool is_blocked(int number) {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return ::sigismember(&mask, number) == 1;
}

/// In the shell: whether a signal is in one of its sets ("SigBlk", "SigIgn") as it begins.
std::string asks(const char* set, int number) {
    char text[160];
    std::snprintf(text, sizeof text, "s=$(sed -n 's/^%s:.*\\(........\\)$/\\1/p' /proc/$$/status); exit $(( (0x$s >> %d) & 1 ))",
                  set, number - 1);
    return text;
}

std::string all_of(FILE* stream) {
    std::string text;
    for (int c; (c = std::fgetc(stream)) != EOF;) text += static_cast<char>(c);
    return text;
}

}  // namespace

DIFFERENTIAL("system") {
    out("exit", [&] { return c.system("exit 7"); });
    out("some time", [&] { return c.system("sleep 0.1"); });
    out("killed", [&] { return c.system("kill -9 $$"); });
    out("no such command", [&] { return c.system("no-such-command 2>/dev/null"); });
    out("nothing", [&] { return c.system(""); });
    out("whether there is a shell", [&] { return c.system(nullptr); });
    out("what a child has", [&] { return c.system("sleep 0.05 & wait; exit 3"); });
}

DIFFERENTIAL("SIGINT and SIGQUIT are ignored while system() waits, and not in the child") {
    interrupts = 0;
    {
        const disposition interrupt{SIGINT, count_interrupt}, quit{SIGQUIT, SIG_IGN};
        out("sends them here", [&] { return c.system("kill -INT $PPID; kill -QUIT $PPID; sleep 0.05"); });
        out.value("handler ran", interrupts);
        out.value("there again", handles(SIGINT, count_interrupt) && handles(SIGQUIT, SIG_IGN));
        out("SIGINT ignored there", [&] { return c.system(asks("SigIgn", SIGINT).c_str()); });
        out("SIGQUIT ignored there", [&] { return c.system(asks("SigIgn", SIGQUIT).c_str()); });
    }
    out("SIGCHLD blocked there", [&] { return c.system(asks("SigBlk", SIGCHLD).c_str()); });
    out.value("SIGCHLD blocked here", is_blocked(SIGCHLD));
}

DIFFERENTIAL("where SIGCHLD is ignored system() has no status") {
    const disposition ignored{SIGCHLD, SIG_IGN};
    out("system", [&] { return c.system("exit 3"); });
}

HUB_TEST("a handler of SIGCHLD that takes every child does not take system()'s") {
    const test::patched now;
    const disposition takes{SIGCHLD, [](int) {
                                const int before = errno;
                                while (::waitpid(-1, nullptr, WNOHANG) > 0) {}
                                errno = before;
                            }};
    CHECK(weft::spawn([] { return ::system("sleep 0.05; exit 4"); }).get() == 4 << 8);
    CHECK(weft::shim::system("sleep 0.05; exit 5") == 5 << 8);
}

HUB_TEST("many system() at once, in tasks and a plain thread, wait side by side and leave everything as it was") {
    const test::patched now;
    interrupts = 0;
    const disposition interrupt{SIGINT, count_interrupt}, quit{SIGQUIT, count_interrupt};
    const auto start = std::chrono::steady_clock::now();
    int beside = -1;
    std::thread thread{[&] { beside = ::system("sleep 0.3; exit 9"); }};
    std::vector<weft::task<int>> tasks;
    for (int i = 0; i < 8; ++i) {
        const int span = 2 + i % 3;
        tasks.push_back(weft::spawn([=] { return ::system(("sleep 0." + std::to_string(span)).c_str()); }));
    }
    auto asking = weft::spawn([] { return ::system((asks("SigBlk", SIGCHLD)).c_str()); });
    auto ignoring = weft::spawn([] { return ::system((asks("SigIgn", SIGINT)).c_str()); });
    weft::yield();
    test::beside_ticker ticks;  // a start takes its time
    for (auto& task : tasks) CHECK(task.get() == 0);
    CHECK(asking.get() == 0);
    CHECK(ignoring.get() == 0);
    CHECK(ticks.stop() < 20ms * test::patience());
    thread.join();
    CHECK(beside == 9 << 8);
    CHECK(std::chrono::steady_clock::now() - start < 1500ms * test::patience());
    CHECK(handles(SIGINT, count_interrupt));
    CHECK(handles(SIGQUIT, count_interrupt));
    CHECK_FALSE(is_blocked(SIGCHLD));
    CHECK(::raise(SIGINT) == 0);
    CHECK(interrupts == 1);
}

HUB_TEST("a kill does not end system() or pclose(), and is met at the next wait") {
    const test::patched now;
    int status = -1, closed = -1;
    auto first = weft::spawn([&] {
        status = ::system("sleep 0.1; exit 2");
        weft::sleep_for(1h);
    });
    auto second = weft::spawn([&] {
        closed = ::pclose(::popen("sleep 0.1; exit 3", "r"));
        weft::sleep_for(1h);
    });
    weft::sleep_for(10ms);
    CHECK_FALSE(first.kill(1ms));
    CHECK_FALSE(second.kill(1ms));
    first.join();
    second.join();
    CHECK(status == 2 << 8);
    CHECK(closed == 3 << 8);
}

DIFFERENTIAL("popen and pclose") {
    FILE* stream = c.popen("echo word; sleep 0.1; exit 6", "r");
    const std::string said = [&] {
        char line[16] = {};
        return std::string{std::fgets(line, sizeof line, stream) ? line : ""};
    }();
    out.bytes("read", said.data(), said.size());
    out("closed", [&] { return c.pclose(stream); });

    stream = c.popen("cat >/dev/null; sleep 0.1; exit 4", "w");
    out.value("flags", ::fcntl(::fileno(stream), F_GETFD));
    std::fputs("buffered till the end", stream);
    out("an end of file first, then the child", [&] { return c.pclose(stream); });

    stream = c.popen("kill -TERM $$", "re");
    out.value("flags", ::fcntl(::fileno(stream), F_GETFD));
    out("killed", [&] { return c.pclose(stream); });

    stream = c.popen("sleep 0.1; exit 5", "r");
    out("closed as any stream", [&] { return c.named ? c.pclose(stream) : ::fclose(stream); });
    stream = std::fopen("/dev/null", "r");
    out("not of popen", [&] { return c.pclose(stream); });
    for (const char* mode : {"", "rw", "x", "e", "rb", "r+"})
        out("a bad mode", [&] { return c.popen("true", mode) != nullptr; });
}

DIFFERENTIAL("a child of popen has none of the other streams") {
    FILE* const first = c.popen("cat >/dev/null; exit 1", "w");
    FILE* const second = c.popen("sleep 0.4", "r");
    out("needs nobody else's end", [&] { return c.pclose(first); });
    out("the other", [&] { return c.pclose(second); });
}

DIFFERENTIAL("pclose where nobody kept the child") {
    const disposition ignored{SIGCHLD, SIG_IGN};
    FILE* const stream = c.popen("sleep 0.05", "r");
    out("pclose", [&] { return c.pclose(stream); });
}

DIFFERENTIAL("a child that reads no more is the writer's error only if it has none of its own") {
    const disposition ignored{SIGPIPE, SIG_IGN};
    for (const char* line : {"exec 0<&-; exit 0", "exec 0<&-; exit 2"}) {
        FILE* const stream = c.popen(line, "w");
        c.usleep(100'000);
        std::fputs("for nobody", stream);
        out("pclose", [&] { return c.pclose(stream); });
    }
}

HUB_TEST("pclose of what has just been read to its end lets others run while the child goes on") {
    for (const bool named : {true, false}) {
        const test::calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        test::beside_ticker ticks;
        FILE* const stream = c.popen("echo a; exec 1>&-; sleep 0.2", "r");
        CHECK(weft::spawn([&] {
            const std::string text = all_of(stream);
            return c.pclose(stream) == 0 && text == "a\n";
        }).get());
        CHECK(ticks.stop() < 20ms * test::patience());
    }
}
