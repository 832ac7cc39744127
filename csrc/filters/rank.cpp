// Any rank over a footprint.
#include "kernels.hpp"
#include "rank_rows.hpp"

namespace fastmed {

void rank_filter(View input, View footprint, Ints origins, int64_t rank, int mode, double cval, View output, int threads) {
    rank_rows(input, footprint, origins, rank, Mode(mode), cval, output, threads);
}

}  // namespace fastmed
