// Any rank over a footprint, of all elements or of those that count.
#include "kernels.hpp"
#include "masked_rank.hpp"
#include "rank_rows.hpp"

namespace fastmed {

void rank_filter(View input, View footprint, Ints origins, int64_t rank, int mode, double cval, View output, int threads) {
    rank_rows(input, footprint, origins, rank, Mode(mode), cval, output, threads);
}

void masked_rank(View input, View valid, View footprint, Ints origins, Ints ranks, int mode, double cval, View output, int threads) {
    masked_rank_rows(input, valid, footprint, origins, ranks, Mode(mode), cval, output, threads);
}

}  // namespace fastmed
