// Any rank in a large box, at a cost that hardly grows with it.
#pragma once

#include "border.hpp"
#include "view.hpp"

namespace fastmed {

// Where the values of a tile span fewer, they are the bins themselves, and nothing is sorted.
constexpr uint64_t HISTOGRAM_BINS = 1024;

// Whether histogram_box takes a box of this shape: at most three axes longer than 1, and counts that fit.
bool histogram_box_fits(const Ints& window);

// As rank_rows, for the box of shape `window`, `before[d]` elements of which stand before its centre.
void histogram_box(const View& input, const Ints& window, const Ints& before, int64_t rank, Mode mode, double cval, const View& output, int threads);

}  // namespace fastmed
