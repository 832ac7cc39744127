// The median of 3 x 3 or 5 x 5 elements of planes, straight from the image's rows.
#pragma once

#include "border.hpp"
#include "view.hpp"

namespace fastmed {

// Whether median_square takes the rank `rank` of a full box of shape `window`.
bool median_square_fits(const View& input, const Ints& window, int64_t rank, const View& output);

// As rank_rows, for the box of shape `window`, `before[d]` elements of which stand before its centre.
void median_square(const View& input, const Ints& window, const Ints& before, Mode mode, double cval, const View& output, int threads);

}  // namespace fastmed
