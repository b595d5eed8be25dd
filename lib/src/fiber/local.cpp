#include <weft/local.hpp>

#include <mutex>
#include <vector>

#include <weft/detail/small_lock.hpp>

#include "fiber/context_values.hpp"
#include "fiber/thread.hpp"

namespace weft::detail {
namespace {

struct key_store {
    small_lock lock;
    std::vector<std::uint32_t> free;  // has room for all that were given out
    std::uint32_t indices = 0;
    std::uint64_t last_id = 0;
};

// Never destroyed: locals of static duration may go later.
key_store& keys() {
    static key_store& only = *new key_store;
    return only;
}

}  // namespace

struct fiber_locals {
    struct slot {
        std::uint64_t id = 0;
        void* at = nullptr;
    };
    std::vector<slot> slots;
    std::unique_ptr<local_value> newest;
};

local_key take_local_key() {
    key_store& store = keys();
    const std::lock_guard guard{store.lock};
    if (store.free.empty()) {
        store.free.reserve(store.indices + 1);
        return {++store.last_id, store.indices++};
    }
    const std::uint32_t index = store.free.back();
    store.free.pop_back();
    return {++store.last_id, index};
}

void give_local_key(const local_key& key) noexcept {
    key_store& store = keys();
    const std::lock_guard guard{store.lock};
    store.free.push_back(key.index);
}

void* find_local(const local_key& key) noexcept {
    const thread* const t = this_thread_if_any();
    const fiber_locals* const mine = t ? t->current->locals : nullptr;
    if (!mine || key.index >= mine->slots.size()) return nullptr;
    const fiber_locals::slot& slot = mine->slots[key.index];
    return slot.id == key.id ? slot.at : nullptr;
}

void* keep_local(const local_key& key, std::unique_ptr<local_value> made) {
    record& me = *this_thread().current;
    if (!me.locals) me.locals = new fiber_locals;
    fiber_locals& mine = *me.locals;
    if (key.index >= mine.slots.size()) mine.slots.resize(key.index + 1);
    void* const at = made->at;
    mine.slots[key.index] = {key.id, at};
    made->key = key;
    made->older = std::exchange(mine.newest, nullptr);
    mine.newest = std::move(made);
    return at;
}

void end_locals(record& rec) noexcept {
    rec.ending = true;
    // Destructors may use locals and the context, and so bring both back.
    while (rec.locals || rec.variables) {
        while (fiber_locals* const all = rec.locals) {
            std::unique_ptr<local_value> last = std::move(all->newest);
            if (!last) {
                rec.locals = nullptr;
                delete all;
                break;
            }
            all->newest = std::move(last->older);
            fiber_locals::slot& slot = all->slots[last->key.index];
            if (slot.id == last->key.id) slot = {};
        }
        if (context_values* const values = std::exchange(rec.variables, nullptr)) release(*values);
    }
}

}  // namespace weft::detail
