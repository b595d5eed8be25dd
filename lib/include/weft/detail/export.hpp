/// @file weft/detail/export.hpp
/// Symbol visibility.  Floor: base.
#pragma once

/// What the shared library offers; everything else in it is hidden.
#define WEFT_API __attribute__((visibility("default")))
