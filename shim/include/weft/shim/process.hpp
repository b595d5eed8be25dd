/// @file weft/shim/process.hpp
/// weft::shim: children, and what processes send each other. What holds for all is in weft/shim.hpp.  Floor: shim.
#pragma once

#include <cstdio>

#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>

#include <weft/detail/export.hpp>

namespace weft::shim {

// Children. Any task may wait for any child of the process, and so may plain threads meanwhile; each child goes to one of
// them, as between threads. The program's handling of SIGCHLD is not touched. A kill or a timeout does not end these
// waits: it is met at the next one. One child's end costs a descriptor while somebody waits for it; other waits
// (for any child, a group, stops) a thread for all who ask for the same.
WEFT_API pid_t wait(int* status);
/// Stops of a child that this process traces show up to a second late, at once with __WALL.
WEFT_API pid_t waitpid(pid_t pid, int* status, int options);
WEFT_API pid_t wait3(int* status, int options, struct rusage* usage);
WEFT_API pid_t wait4(pid_t pid, int* status, int options, struct rusage* usage);
WEFT_API int waitid(idtype_t kind, id_t id, siginfo_t* info, int options);

/// SIGINT and SIGQUIT are ignored while any of these runs. SIGCHLD is blocked for the whole thread meanwhile, so for its
/// other tasks, too.
WEFT_API int system(const char* line);
/// Not a wait; for pclose().
WEFT_API FILE* popen(const char* line, const char* mode);
/// Writing out what is buffered blocks the thread while the pipe is full, as all of stdio does.
WEFT_API int pclose(FILE* stream);

// System V's messages and semaphores. Where they wait, a thread of the library's own does for them: no kill, timeout or
// signal ends that, only what is waited for, or IPC_RMID. A message that comes when the caller's thread has
// ended is lost.
WEFT_API int msgsnd(int queue, const void* message, size_t size, int flags);
WEFT_API ssize_t msgrcv(int queue, void* message, size_t size, long type, int flags);
WEFT_API int semop(int set, struct sembuf* operations, size_t count);
WEFT_API int semtimedop(int set, struct sembuf* operations, size_t count, const timespec* timeout);

// POSIX message queues; a kill ends these.
WEFT_API ssize_t mq_receive(mqd_t queue, char* data, size_t size, unsigned* priority);
WEFT_API ssize_t mq_timedreceive(mqd_t queue, char* data, size_t size, unsigned* priority, const timespec* until);
WEFT_API int mq_send(mqd_t queue, const char* data, size_t size, unsigned priority);
WEFT_API int mq_timedsend(mqd_t queue, const char* data, size_t size, unsigned priority, const timespec* until);

}  // namespace weft::shim
