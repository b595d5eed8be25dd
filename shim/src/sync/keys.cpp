// pthread's keys of listed modules belong to the task: with another task's errors in its queue, libcrypto turns "try again"
// into a failure. All other keys, an allocator's among them, stay the thread's.
#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <limits.h>

#include <weft/local.hpp>
#include <weft/monkey.hpp>

#include "early.hpp"
#include "task.hpp"

namespace weft::shim::sync {
namespace {

constexpr std::size_t most_keys = PTHREAD_KEYS_MAX, most_modules = 16;

// Names of modules begin so.
struct module_name {
    char text[64];
};
constinit module_name modules[most_modules] = {{"libcrypto.so"}, {"libkrb5support.so"}};
constinit std::atomic<std::size_t> module_count{2};
constinit detail::small_lock adding;

struct key_facts {
    std::atomic<bool> of_tasks{false};
    std::atomic<std::uint32_t> uses{0};  // counts creations: a value of an earlier one is void
    std::atomic<void (*)(void*)> destructor{nullptr};
};
constinit key_facts facts[most_keys]{};

/// What one task has under such keys.
class task_values {
public:
    task_values() = default;
    task_values(const task_values&) = delete;
    task_values& operator=(const task_values&) = delete;

    /// As a thread's end does it: a destructor may set values again.
    void end() {
        for (int round = 0; round < PTHREAD_DESTRUCTOR_ITERATIONS; ++round)
            if (!destroy_all()) return;
    }

    void* get(pthread_key_t key) const noexcept {
        for (const entry& e : entries_)
            if (e.key == key) return e.is_current() ? e.value : nullptr;
        return nullptr;
    }
    void set(pthread_key_t key, void* value) {
        const std::uint32_t use = facts[key].uses.load(std::memory_order_relaxed);
        for (entry& e : entries_)
            if (e.key == key) return static_cast<void>(e = {key, use, value});
        if (value) entries_.push_back({key, use, value});
    }

private:
    struct entry {
        pthread_key_t key;
        std::uint32_t use;
        void* value;

        bool is_current() const noexcept { return use == facts[key].uses.load(std::memory_order_relaxed); }
    };

    bool destroy_all() {
        bool any = false;
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            const entry e = entries_[i];
            if (!e.value) continue;
            entries_[i].value = nullptr;
            const auto destroy = facts[e.key].destructor.load(std::memory_order_relaxed);
            if (!e.is_current() || !destroy) continue;
            destroy(e.value);
            any = true;
        }
        return any;
    }

    std::vector<entry> entries_;
};

// Made with the first such key, never given back.
const detail::local_key& place_of_values() {
    static const detail::local_key key = detail::take_local_key();
    return key;
}

/// Among the task's locals. As that ends, it puts a second one there that owns nothing, so that the destructors find
/// what is still set, and what they set is in the rounds.
class values_at {
public:
    explicit values_at(std::shared_ptr<task_values> all, bool owns) noexcept : all_{std::move(all)}, owns_{owns} {}
    values_at(const values_at&) = delete;
    values_at& operator=(const values_at&) = delete;
    ~values_at() {
        if (!owns_) return;
        try {
            keep(all_, false);
        } catch (const std::bad_alloc&) {
        }
        all_->end();
    }

    static void keep(const std::shared_ptr<task_values>& all, bool owns) {
        const auto make = [&] { return values_at{all, owns}; };
        detail::keep_local(place_of_values(), std::make_unique<detail::local_holder<values_at>>(make));
    }
    static task_values* find() noexcept {
        const auto* const found = static_cast<const values_at*>(detail::find_local(place_of_values()));
        return found ? found->all_.get() : nullptr;
    }

private:
    std::shared_ptr<task_values> all_;
    bool owns_;
};

bool is_listed(const void* address) noexcept {
    Dl_info info;
    if (::dladdr(address, &info) == 0 || !info.dli_fname) return false;
    const char* const slash = std::strrchr(info.dli_fname, '/');
    const char* const name = slash ? slash + 1 : info.dli_fname;
    const std::size_t count = module_count.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < count; ++i)
        if (std::strncmp(name, modules[i].text, std::strlen(modules[i].text)) == 0) return true;
    return false;
}

/// The key is its task's here: not in main, whose values are the thread's.
bool is_of_task(pthread_key_t key) noexcept {
    if (key >= most_keys || !facts[key].of_tasks.load(std::memory_order_relaxed) || !on()) return false;
    const detail::thread* const t = tasks_here();
    return t && t->current != &t->main && !t->current->is_hub;
}

int set_in_task(pthread_key_t key, const void* value) noexcept try {
    task_values* values = values_at::find();
    if (!values) {
        if (!value) return 0;
        auto made = std::make_shared<task_values>();
        values_at::keep(made, true);
        values = made.get();
    }
    values->set(key, const_cast<void*>(value));
    return 0;
} catch (const std::bad_alloc&) {
    return ENOMEM;
}

[[maybe_unused]] int create_key(pthread_key_t* key, void (*destructor)(void*), const void* from) {
    const int result = original().pthread_key_create(key, destructor);
    if (result != 0 || *key >= most_keys) return result;
    key_facts& its = facts[*key];
    its.uses.fetch_add(1, std::memory_order_relaxed);
    its.destructor.store(destructor, std::memory_order_relaxed);
    its.of_tasks.store(is_listed(from), std::memory_order_release);
    return 0;
}

[[maybe_unused]] void* get(pthread_key_t key) {
    if (!is_of_task(key)) [[likely]] return original().pthread_getspecific(key);
    const task_values* const values = values_at::find();
    return values ? values->get(key) : nullptr;
}

[[maybe_unused]] int set(pthread_key_t key, const void* value) {
    return is_of_task(key) ? set_in_task(key, value) : original().pthread_setspecific(key, value);
}

}  // namespace
}  // namespace weft::shim::sync

using namespace weft::shim;

#if defined(WEFT_TSAN)
// The sanitizer's runtime uses keys in threads, and at times, in which nothing that is instrumented may run: to it, all keys
// are the threads'.
extern "C" int weft_tsan_key_create(pthread_key_t* key, void (*destructor)(void*));
extern "C" void* weft_tsan_getspecific(pthread_key_t key);
extern "C" int weft_tsan_setspecific(pthread_key_t key, const void* value);
asm(".symver weft_tsan_key_create, __pthread_key_create@" WEFT_OLDEST);
asm(".symver weft_tsan_getspecific, __pthread_getspecific@" WEFT_OLDEST);
asm(".symver weft_tsan_setspecific, __pthread_setspecific@" WEFT_OLDEST);
#define WEFT_BY_KEY(tsan, ours) tsan
#define WEFT_NOT_SANITIZED __attribute__((no_sanitize("thread")))
#else
#define WEFT_BY_KEY(tsan, ours) ours
#define WEFT_NOT_SANITIZED
#endif
extern "C" WEFT_NOT_SANITIZED int weft_interposed_pthread_key_create(pthread_key_t*, void (*)(void*)) asm("pthread_key_create");
extern "C" WEFT_NOT_SANITIZED void* weft_interposed_pthread_getspecific(pthread_key_t) asm("pthread_getspecific");
extern "C" WEFT_NOT_SANITIZED int weft_interposed_pthread_setspecific(pthread_key_t, const void*) asm("pthread_setspecific");

WEFT_INTERPOSED(int, pthread_key_create, (pthread_key_t* key, void (*destructor)(void*))) {
    return WEFT_BY_KEY(weft_tsan_key_create(key, destructor),
                       sync::create_key(key, destructor, __builtin_return_address(0)));
}

WEFT_INTERPOSED(int, pthread_key_delete, (pthread_key_t key)) {
    if (key < sync::most_keys) {
        sync::facts[key].of_tasks.store(false, std::memory_order_relaxed);
        sync::facts[key].uses.fetch_add(1, std::memory_order_relaxed);
    }
    return original().pthread_key_delete(key);
}

WEFT_INTERPOSED(void*, pthread_getspecific, (pthread_key_t key)) {
    return WEFT_BY_KEY(weft_tsan_getspecific(key), sync::get(key));
}

WEFT_INTERPOSED(int, pthread_setspecific, (pthread_key_t key, const void* value)) {
    return WEFT_BY_KEY(weft_tsan_setspecific(key, value), sync::set(key, value));
}

namespace weft::monkey {

void keys_per_task(std::string_view module) {
    if (module.empty() || module.size() >= sizeof(sync::module_name::text))
        throw std::invalid_argument("weft: keys_per_task() wants the first 1 to 63 characters of a library's file name");
    sync::adding.lock();
    const std::size_t at = sync::module_count.load(std::memory_order_relaxed);
    const bool fits = at < sync::most_modules;
    if (fits) {
        module.copy(sync::modules[at].text, module.size());
        sync::module_count.store(at + 1, std::memory_order_release);
    }
    sync::adding.unlock();
    if (!fits) throw std::length_error("weft: keys_per_task() has no room for further libraries; name a common beginning");
}

}  // namespace weft::monkey
