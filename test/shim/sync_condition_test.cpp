#include "shim/lockers.hpp"
