// Ranks among the elements of a window that count.
#pragma once

#include "border.hpp"
#include "view.hpp"

namespace fastmed {

// Where k elements of a window count, but not all n, the result is the one of rank ranks[k] among them, a NaN if one of
// them is; what is outside counts in mode constant. All other elements of `output` stay. `valid` has one byte for each
// element of `input`, 0 or 1. `output` has the dtype of `input` and does not overlap it.
void masked_rank_rows(const View& input, const View& valid, const View& footprint, const Ints& origins, const Ints& ranks, Mode mode, double cval, const View& output, int threads);

}  // namespace fastmed
