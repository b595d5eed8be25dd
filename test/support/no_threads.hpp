// A process that the system refuses new threads.
#pragma once

#include <cstddef>
#include <stdexcept>

#include <pthread.h>

namespace test {

/// While one lives, a thread with default attributes is to have a stack for which there is no room.
class no_threads {
public:
    no_threads() {
        pthread_attr_init(&before_);
        if (pthread_getattr_default_np(&before_) != 0) throw std::runtime_error("pthread_getattr_default_np");
        pthread_attr_t vast;
        pthread_attr_init(&vast);
        if (pthread_attr_setstacksize(&vast, std::size_t{1} << 60) != 0 || pthread_setattr_default_np(&vast) != 0)
            throw std::runtime_error("pthread_setattr_default_np");
        pthread_attr_destroy(&vast);
    }
    ~no_threads() {
        pthread_setattr_default_np(&before_);
        pthread_attr_destroy(&before_);
    }
    no_threads(const no_threads&) = delete;
    no_threads& operator=(const no_threads&) = delete;

private:
    pthread_attr_t before_;
};

}  // namespace test
