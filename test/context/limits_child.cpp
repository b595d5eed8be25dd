// A program that runs out of what stacks are made of, in the way that its one argument says.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <weft/fiber.hpp>
#include <weft/stack.hpp>

namespace {

void require(bool condition, const char* what) {
    if (condition) return;
    std::printf("broken: %s\n", what);
    std::exit(1);
}

void limit_address_space(std::size_t bytes) {
    const rlimit limit{bytes, bytes};
    require(::setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit");
}

// A fiber that counts its turns.
weft::fiber counting(std::size_t stack_size) {
    return weft::fiber{[] { for (int steps = 0;;) weft::fiber::current().parent().switch_to(++steps); },
                       {.stack_size = stack_size}};
}

// Makes fibers until one is refused; then all live, and there is room again when others have gone.
std::size_t fill(std::size_t stack_size, std::size_t most) {
    std::vector<weft::fiber> fibers;
    fibers.reserve(most);
    try {
        while (fibers.size() < most) {
            fibers.push_back(counting(stack_size));
            fibers.back().switch_to();
        }
    } catch (const std::system_error& e) {
        std::printf("refused: %s\n", e.what());
    }
    const std::size_t held = fibers.size();
    for (auto& f : fibers) require(f.switch_to().as<int>() == 2, "a fiber that lived before the refusal");
    fibers.resize(held / 2);
    while (fibers.size() < held) {
        fibers.push_back(counting(stack_size));
        require(fibers.back().switch_to().as<int>() == 1, "a fiber made after others have ended");
    }
    for (std::size_t i = 0; i < held / 2; ++i)
        require(fibers[i].switch_to().as<int>() == 3, "a fiber that stayed");
    fibers.clear();
    weft::trim_stacks();
    require(counting(stack_size).switch_to().as<int>() == 1, "a fiber made after all have ended");
    std::puts("all survived");
    return held;
}

void large_stacks() {
    limit_address_space(std::size_t{400} << 20);
    require(fill(std::size_t{4} << 20, 1000) >= 75, "the limit is used up");
}
void default_stacks() {
    limit_address_space(std::size_t{400} << 20);
    const std::size_t each = weft::default_stack_size() + 68 * 1024;  // with its guard
    require(fill(weft::default_stack_size(), 10'000) >= (std::size_t{300} << 20) / each, "the limit is used up");
}

void wall() {
    std::size_t most = 0;
    std::ifstream{"/proc/sys/vm/max_map_count"} >> most;
    if (most > 100'000) return (void)std::puts("not here");
    weft::set_stack_options({.guard = weft::stack_guard::mprotect});
    require(fill(16 * 1024, 100'000) >= most / 2 - 1000, "the limit is used up");
}

std::ptrdiff_t mappings() {
    std::ifstream maps{"/proc/self/maps"};
    return std::count(std::istreambuf_iterator<char>{maps}, {}, '\n');
}

void print_mappings_of_1000() {
    std::vector<weft::fiber> fibers;
    fibers.reserve(1000);
    const auto before = mappings();
    for (int i = 0; i < 1000; ++i) {
        fibers.push_back(counting(weft::default_stack_size()));
        fibers.back().switch_to();
    }
    std::puts(mappings() - before >= 1900 ? "two mappings a stack" : "few mappings");
}

// As kernels do that do not know a call, or an advice.
void refuse(std::vector<sock_filter> rules) {
    rules.insert(rules.begin(), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    rules.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const sock_fprog program{static_cast<unsigned short>(rules.size()), rules.data()};
    require(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
    require(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "a filter");
}
void no_process_madvise() {
    refuse({BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_madvise, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS)});
}
void no_lightweight_guards() {
    no_process_madvise();
    refuse({BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
            BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 100, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL)});
}

void guards_one_by_one() {
    no_process_madvise();
    print_mappings_of_1000();
}
void old_kernel() {
    no_lightweight_guards();
    print_mappings_of_1000();
}
void old_kernel_asked_for_too_much() {
    no_lightweight_guards();
    try {
        weft::set_stack_options({.guard = weft::stack_guard::lightweight});
    } catch (const std::system_error& e) {
        std::puts(e.what());
    }
    print_mappings_of_1000();
}
void fiber_on_old_kernel() {
    no_lightweight_guards();
    try {
        weft::fiber{[] {}}.switch_to();
    } catch (const std::system_error& e) {
        std::puts(e.what());
    }
}
void guards_of_the_environment() { print_mappings_of_1000(); }

struct {
    const char* name;
    void (*run)();
} const ends[] = {
    {"large-stacks", large_stacks},
    {"default-stacks", default_stacks},
    {"wall", wall},
    {"one-by-one", guards_one_by_one},
    {"old-kernel", old_kernel},
    {"old-kernel-asked", old_kernel_asked_for_too_much},
    {"old-kernel-told", fiber_on_old_kernel},
    {"environment", guards_of_the_environment},
};

}  // namespace

int main(int count, char** words) {
    std::setvbuf(stdout, nullptr, _IONBF, 0);
    for (const auto& end : ends) {
        if (count == 2 && std::strcmp(words[1], end.name) == 0) {
            end.run();
            return 0;
        }
    }
    std::fputs("unknown end\n", stderr);
    return 2;
}
