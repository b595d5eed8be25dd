/// @file weft/detail/export.hpp
/// Symbol visibility.  Floor: base.
#pragma once

/// What the shared library offers; everything else in it is hidden.
#define WEFT_API __attribute__((visibility("default")))

/// Called through its slot in the address table, without the stub that lazy binding needs.
#if __has_cpp_attribute(gnu::noplt)
#define WEFT_NO_STUB [[gnu::noplt]]
#else
#define WEFT_NO_STUB
#endif
