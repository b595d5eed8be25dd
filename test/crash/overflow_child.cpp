// A program that faults as its one argument says; the tests look at what is said and who handles it.
#include <algorithm>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <thread>

#include <sys/prctl.h>
#include <unistd.h>

#include <weft/fiber.hpp>
#include <weft/stack.hpp>
#include <weft/task.hpp>

namespace {

void say(const char* text) {
    if (::write(1, text, std::strlen(text)) < 0) std::abort();
}

template <int FrameSize>
[[gnu::noinline]] int recurse(int depth) {
    volatile char room[FrameSize] = {};
    room[0] = static_cast<char>(depth);
    return depth <= 0 ? room[0] : recurse<FrameSize>(depth - 1) + room[0];
}
void overflow() { recurse<1024>(1'000'000); }

int* volatile nowhere = reinterpret_cast<int*>(0x18);
void null_dereference() { *nowhere = 1; }

void in_task() { weft::spawn({.name = "deep"}, overflow).join(); }
void in_fiber() { weft::fiber{overflow, {.stack_size = 65'536}}.switch_to(); }
void in_large_frames() { weft::spawn({.name = "wide"}, [] { recurse<40'960>(1'000); }).join(); }
void in_thread() {
    std::thread{[] { weft::fiber{overflow, {.name = "of a thread"}}.switch_to(); }}.join();
}
void in_second_life() {
    for (int i = 0; i < 10; ++i) weft::spawn({.name = "early"}, [] {}).join();
    weft::fiber{[] { weft::fiber{overflow, {.name = "late"}}.switch_to(); }, {.name = "outer"}}.switch_to();
}
void null_in_task() { weft::spawn({.name = "innocent"}, null_dereference).join(); }

void in_the_guard_of_another() {
    std::uintptr_t other = 0;
    weft::fiber idle{[&] {
        char here = 0;
        other = reinterpret_cast<std::uintptr_t>(&here);
        weft::fiber::current().parent().switch_to();
    }};
    idle.switch_to();
    weft::fiber{[&] { *reinterpret_cast<volatile char*>(other - weft::default_stack_size() - 28 * 1024) = 1; }}.switch_to();
}

// What a handler of the program's finds.
void told(int signal, siginfo_t* info, void*) {
    sigset_t blocked;
    ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
    stack_t now;
    ::sigaltstack(nullptr, &now);
    char text[200];
    std::snprintf(text, sizeof text, "handler: signal %d, address %p, code %d, SEGV %s, USR1 %s, USR2 %s, "
                  "%s\n",
                  signal, info->si_addr, info->si_code, ::sigismember(&blocked, SIGSEGV) ? "blocked" : "open",
                  ::sigismember(&blocked, SIGUSR1) ? "blocked" : "open",
                  ::sigismember(&blocked, SIGUSR2) ? "blocked" : "open",
                  now.ss_flags & SS_ONSTACK ? "on the alternate stack" : "on the fiber's stack");
    say(text);
    ::_exit(3);
}

void told_number(int signal) {
    say(signal == SIGSEGV ? "handler: a number\n" : "handler: wrong\n");
    ::_exit(3);
}

struct sigaction action(void (*handler)(int, siginfo_t*, void*), int flags) {
    struct sigaction made {};
    made.sa_sigaction = handler;
    made.sa_flags = flags | SA_SIGINFO;
    ::sigaddset(&made.sa_mask, SIGUSR1);
    return made;
}
struct sigaction install(const struct sigaction& wanted) {
    struct sigaction before {};
    if (::sigaction(SIGSEGV, &wanted, &before) != 0) std::abort();
    return before;
}

void block_usr2() {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGUSR2);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

void overflow_with_handler() {
    install(action(told, 0));
    in_task();
}
void null_with_handler() {
    install(action(told, 0));
    block_usr2();
    null_in_task();
}
void null_with_nodefer() {
    install(action(told, SA_NODEFER));
    null_in_task();
}
void null_with_old_handler() {
    struct sigaction plain {};
    plain.sa_handler = told_number;
    install(plain);
    null_in_task();
}

sigjmp_buf back;
void recover(int, siginfo_t*, void*) {
    say("recovered\n");
    ::siglongjmp(back, 1);
}
void fault_and_recover() {
    if (sigsetjmp(back, 1) == 0) null_dereference();
}
void faults_twice() {
    fault_and_recover();
    fault_and_recover();
}
void recovers() {
    install(action(recover, 0));
    weft::spawn(faults_twice).join();
    in_task();
}
void recovers_once() {
    install(action(recover, SA_RESETHAND));
    weft::spawn(faults_twice).join();
}

void handler_after_weft() {
    weft::fiber{[] {}}.switch_to();
    install(action(told, SA_ONSTACK));
    in_task();
}
struct sigaction replaced;
void chain(int signal, siginfo_t* info, void* machine) {
    say("chained\n");
    replaced.sa_sigaction(signal, info, machine);
}
void handler_that_chains() {
    weft::fiber{[] {}}.switch_to();
    replaced = install(action(chain, SA_ONSTACK));
    in_task();
}

void sent() {
    weft::fiber{[] {}}.switch_to();
    ::raise(SIGSEGV);
    say("went on\n");
}
void sent_to_who_ignores() {
    ::signal(SIGSEGV, SIG_IGN);
    sent();
}
void null_in_who_ignores() {
    ::signal(SIGSEGV, SIG_IGN);
    null_in_task();
}

void no_report() {
    weft::set_stack_options({.report_overflow = false});
    weft::fiber{[] {}}.switch_to();
    struct sigaction now {};
    ::sigaction(SIGSEGV, nullptr, &now);
    stack_t alternate;
    ::sigaltstack(nullptr, &alternate);
    if (now.sa_handler != SIG_DFL || !(alternate.ss_flags & SS_DISABLE)) say("meddled\n");
    in_task();
}

void own_alternate_stack() {
    static char room[64 * 1024];
    stack_t own{};
    own.ss_sp = room;
    own.ss_size = sizeof room;
    ::sigaltstack(&own, nullptr);
    weft::fiber{[] {}}.switch_to();
    stack_t now;
    ::sigaltstack(nullptr, &now);
    say(now.ss_sp == room ? "kept\n" : "replaced\n");
    in_task();
}

auto mappings() {
    std::ifstream maps{"/proc/self/maps"};
    return std::count(std::istreambuf_iterator<char>{maps}, {}, '\n');
}
void threads_come_and_go() {
    const auto one = [] { std::thread{[] { weft::fiber{[] {}}.switch_to(); }}.join(); };
    for (int i = 0; i < 5; ++i) one();
    const auto before = mappings();
    for (int i = 0; i < 100; ++i) one();
    say(mappings() <= before + 10 ? "no mapping left\n" : "mappings left\n");
}

struct {
    const char* name;
    void (*run)();
} const ends[] = {
    {"task", in_task},
    {"fiber", in_fiber},
    {"large-frames", in_large_frames},
    {"thread", in_thread},
    {"second-life", in_second_life},
    {"null", null_in_task},
    {"guard-of-another", in_the_guard_of_another},
    {"overflow-with-handler", overflow_with_handler},
    {"null-with-handler", null_with_handler},
    {"null-with-nodefer", null_with_nodefer},
    {"null-with-old-handler", null_with_old_handler},
    {"recovers", recovers},
    {"recovers-once", recovers_once},
    {"handler-after-weft", handler_after_weft},
    {"handler-that-chains", handler_that_chains},
    {"sent", sent},
    {"sent-to-who-ignores", sent_to_who_ignores},
    {"null-in-who-ignores", null_in_who_ignores},
    {"no-report", no_report},
    {"own-alternate-stack", own_alternate_stack},
    {"threads", threads_come_and_go},
};

}  // namespace

int main(int count, char** words) {
    ::prctl(PR_SET_DUMPABLE, 0);  // these deaths are no news to who collects core files
    for (const auto& end : ends) {
        if (count == 2 && std::strcmp(words[1], end.name) == 0) {
            end.run();
            return 0;
        }
    }
    std::fputs("unknown end\n", stderr);
    return 2;
}
