#include <weft/fiber.hpp>

#include "fiber/thread.hpp"

namespace weft {
namespace {

using detail::run_state;

const char* state_here(const detail::thread& t, const detail::end_block& block) noexcept {
    const detail::record* rec = block.rec;
    if (!rec) return "dead";
    if (rec == t.current) return "running";
    switch (rec->state) {
        case run_state::pending: return "pending";
        case run_state::free: return "suspended";
        case run_state::ready: return "ready";
        case run_state::parked: return "waiting";
        case run_state::hub: return "waiting";
        case run_state::dead: break;
    }
    return "dead";
}

}  // namespace

std::string to_string(const fiber& f) {
    const detail::end_block* block = detail::block_of(f);
    if (!block) return "<weft::fiber none>";
    const detail::thread* t = detail::this_thread_if_any();
    const bool here = t && t->box == block->home;
    std::string text = "<weft::fiber " + std::to_string(block->id);
    if (block->name) text += " '" + *block->name + "'";
    text += ' ';
    text += here ? state_here(*t, *block) : f.dead() ? "dead" : "alive";
    if (block->is_main) text += " main";
    if (!here) text += " of another thread";
    return text + '>';
}

}  // namespace weft
