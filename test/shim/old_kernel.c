// old_kernel PROFILE PROGRAM [ARGUMENT...]: runs a program as on a kernel that lacks some calls.
//
//   debian12   Linux 6.1: no MADV_GUARD_INSTALL, no process_madvise on oneself, no RWF_NOWAIT on pipes
//   debian11   Linux 5.10: besides, no epoll_pwait2 and no MADV_POPULATE_WRITE
//   strict     an old kernel under a container's filter: besides, no close_range, pidfd_open, membarrier, preadv2,
//              pwritev2, process_vm_readv, and EPERM for what the filter does not know
//
// The calls answer what such a kernel would. A filter, not a kernel: what the others do stays as it is here.
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

enum { most = 128, rwf_nowait = 8, guard_install = 102, guard_remove = 103, populate_read = 22, populate_write = 23 };

static struct sock_filter program[most];
static unsigned short length;

static void add(unsigned short code, unsigned value, unsigned char yes, unsigned char no) {
    program[length++] = (struct sock_filter){code, yes, no, value};
}

// The accumulator holds the number of the call, before and after.
static void refuse(long call, int error) {
    add(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1);
    add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error, 0, 0);
}

// Only with this value, or these bits, in an argument.
static void refuse_with(long call, int argument, unsigned short test, unsigned value, int error) {
    add(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 4);
    add(BPF_LD | BPF_W | BPF_ABS, (unsigned)(offsetof(struct seccomp_data, args) + 8 * (size_t)argument), 0, 0);
    add(BPF_JMP | test | BPF_K, value, 0, 1);
    add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error, 0, 0);
    add(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
}

static int fill(const char* profile) {
    const int strict = strcmp(profile, "strict") == 0;
    const int debian11 = strict || strcmp(profile, "debian11") == 0;
    if (!debian11 && strcmp(profile, "debian12") != 0) {
        return 0;
    }
    add(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
    add(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    add(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
    refuse_with(SYS_madvise, 2, BPF_JEQ, guard_install, EINVAL);
    refuse_with(SYS_madvise, 2, BPF_JEQ, guard_remove, EINVAL);
    if (debian11) {
        refuse_with(SYS_madvise, 2, BPF_JEQ, populate_read, EINVAL);
        refuse_with(SYS_madvise, 2, BPF_JEQ, populate_write, EINVAL);
        refuse(SYS_epoll_pwait2, strict ? EPERM : ENOSYS);
    }
    if (strict) {
        refuse(SYS_preadv2, ENOSYS);
        refuse(SYS_pwritev2, ENOSYS);
        refuse(SYS_close_range, ENOSYS);
        refuse(SYS_pidfd_open, EPERM);
        refuse(SYS_membarrier, EPERM);
        refuse(SYS_process_madvise, EPERM);
        refuse(SYS_process_vm_readv, EPERM);
    } else {
        refuse_with(SYS_preadv2, 5, BPF_JSET, rwf_nowait, EOPNOTSUPP);
        refuse_with(SYS_pwritev2, 5, BPF_JSET, rwf_nowait, EOPNOTSUPP);
        refuse(SYS_process_madvise, EINVAL);
    }
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    return 1;
}

int main(int count, char** arguments) {
    const int no_filter = 77;  // what Meson takes for "skipped"
    if (count < 3 || !fill(arguments[1])) {
        fprintf(stderr, "usage: old_kernel debian12|debian11|strict program [argument...]\n");
        return 2;
    }
    struct sock_fprog filter = {length, program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) != 0) {
        perror("old_kernel: no filter can be set here");
        return no_filter;
    }
    execv(arguments[2], arguments + 2);
    perror(arguments[2]);
    return 1;
}
