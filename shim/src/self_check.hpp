// Do calls arrive here at all?  Floor: shim.
#pragma once

namespace weft::shim {

/// Looks at how every loaded module has bound the calls of calls.def. Where the shim stands before libc they are
/// bound to it; slots that are not (a module linked in the wrong order, loaded with RTLD_DEEPBIND, or before a
/// late dlopen() of the shim) are rewritten.
/// @returns false, after one line on standard error, if some could not be
bool calls_arrive() noexcept;

}  // namespace weft::shim
