#include <weft/shim/process.hpp>

#include "../cover.hpp"

namespace weft::shim {

WEFT_COVER(pid_t, wait, (int* status), status)
WEFT_COVER(pid_t, waitpid, (pid_t pid, int* status, int options), pid, status, options)
WEFT_COVER(pid_t, wait3, (int* status, int options, struct rusage* usage), status, options, usage)
WEFT_COVER(pid_t, wait4, (pid_t pid, int* status, int options, struct rusage* usage), pid, status, options, usage)
WEFT_COVER(int, waitid, (idtype_t kind, id_t id, siginfo_t* info, int options), kind, id, info, options)
WEFT_COVER(int, system, (const char* line), line)
WEFT_COVER(FILE*, popen, (const char* line, const char* mode), line, mode)
WEFT_COVER(int, pclose, (FILE* stream), stream)
WEFT_COVER(int, msgsnd, (int queue, const void* message, size_t size, int flags), queue, message, size, flags)
WEFT_COVER(ssize_t, msgrcv, (int queue, void* message, size_t size, long type, int flags), queue, message, size, type, flags)
WEFT_COVER(int, semop, (int set, struct sembuf* operations, size_t count), set, operations, count)
WEFT_COVER(int, semtimedop, (int set, struct sembuf* operations, size_t count, const timespec* timeout), set, operations, count, timeout)
WEFT_COVER(ssize_t, mq_receive, (mqd_t queue, char* data, size_t size, unsigned* priority), queue, data, size, priority)
WEFT_COVER(ssize_t, mq_timedreceive, (mqd_t queue, char* data, size_t size, unsigned* priority, const timespec* until), queue, data, size, priority, until)
WEFT_COVER(int, mq_send, (mqd_t queue, const char* data, size_t size, unsigned priority), queue, data, size, priority)
WEFT_COVER(int, mq_timedsend, (mqd_t queue, const char* data, size_t size, unsigned priority, const timespec* until), queue, data, size, priority, until)

}  // namespace weft::shim
