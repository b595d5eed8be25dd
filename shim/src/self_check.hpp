// Do calls arrive here at all?  Floor: shim.
#pragma once

namespace weft::shim {

/// Looks at how every loaded module has bound the calls of calls.def. Where the shim stands before libc they are
/// bound to it; slots that are not (a module linked in the wrong order, loaded with RTLD_DEEPBIND, or before a
/// late dlopen() of the shim) are rewritten.
/// @returns false if some could not be
bool calls_arrive() noexcept;

/// At the last such look: a module that is bound as usual finds every call here.
bool stands_before_libc() noexcept;

}  // namespace weft::shim
