#include <weft/thread_pool.hpp>

#include <cerrno>
#include <system_error>

#include "hub/worker_pool.hpp"

namespace weft {
namespace {

constexpr const char* no_thread = "weft: no thread for a job";

int at_least_one(int threads) {
    if (threads < 1) throw std::invalid_argument("weft: a thread_pool of less than 1 thread could run nothing");
    return threads;
}

clock::duration not_negative(clock::duration span) {
    if (span < clock::duration::zero())
        throw std::invalid_argument("weft: a negative idle_timeout; use 0 for threads that end at once and "
                                    "clock::duration::max() for threads that stay");
    return span;
}

}  // namespace

pool_closed::pool_closed()
    : std::runtime_error{"weft: the thread_pool is closed and takes no more jobs; spawn before close()"} {}

job_dropped::job_dropped()
    : std::runtime_error{"weft: the thread_pool was terminated before this job had begun"} {}

std::exception_ptr detail::drop_reason(int error) noexcept {
    if (error == 0) return std::make_exception_ptr(job_dropped{});
    return std::make_exception_ptr(std::system_error(error, std::generic_category(), no_thread));
}

thread_pool::thread_pool(int max_threads, clock::duration idle_timeout)
    : workers_{std::make_unique<detail::worker_pool>(at_least_one(max_threads), not_negative(idle_timeout), true)} {}

thread_pool::~thread_pool() = default;

void thread_pool::submit(detail::work& job) {
    const int error = workers_->submit(job);
    if (error == ESHUTDOWN) throw pool_closed{};
    if (error != 0) throw std::system_error(error, std::generic_category(), no_thread);
}

bool thread_pool::join(deadline by) { return workers_->join(by); }
bool thread_pool::wait_available(deadline by) { return workers_->wait_for_room(by); }

void thread_pool::close() noexcept { workers_->close(); }

void thread_pool::terminate() noexcept {
    workers_->close();
    workers_->drop_queued();
}

bool thread_pool::closed() const noexcept { return workers_->closed(); }

int thread_pool::max_size() const noexcept { return workers_->limit(); }
void thread_pool::set_max_size(int threads) { workers_->set_limit(at_least_one(threads)); }
int thread_pool::size() const noexcept { return workers_->threads(); }
int thread_pool::unfinished() const noexcept { return workers_->unfinished(); }

}  // namespace weft
