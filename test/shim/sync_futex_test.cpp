#include "shim/differential.hpp"
