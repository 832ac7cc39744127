// Any rank in a large window of any shape.
#pragma once

#include "border.hpp"
#include "view.hpp"

namespace fastmed {

// How many elements a window takes in, and gives out, when it moves by one along the axis where these are fewest.
int64_t sliding_edges(const View& footprint);

// As rank_rows.
void sliding_ranks(const View& input, const View& footprint, const Ints& origins, int64_t rank, Mode mode, double cval, const View& output, int threads);

}  // namespace fastmed
