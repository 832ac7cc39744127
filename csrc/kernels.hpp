// Declarations of every kernel, from the one table.
#pragma once

#include <tuple>
#include <vector>

#include "flat.hpp"
#include "view.hpp"

namespace fastmed {

#define KERNEL(result, name, parameters) result name parameters;
#include "kernels.def"
#undef KERNEL

}  // namespace fastmed
