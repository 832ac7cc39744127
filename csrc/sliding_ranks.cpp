// Ranks in large windows of any shape, of any number of axes: Huang's moving window (IEEE Trans. Acoustics, Speech and
// Signal Processing 27, 1979) over sorted places instead of grey values. The elements of a tile are sorted once; the
// window is a set of bits, one for each of them in order. Moving by one element turns the bits of the window's two edges,
// and the wanted rank is found by counting bits onward from where it was before. No histogram, so every dtype is alike.
#include "sliding_ranks.hpp"

#include "parallel.hpp"
#include "ranked_tile.hpp"

namespace fastmed {
namespace {

using Index = std::vector<int64_t>;

FASTMED_INLINE int count_bits(uint64_t bits) {
#if defined(__GNUC__)
    return __builtin_popcountll(bits);
#else
    int n = 0;
    for (; bits; bits &= bits - 1) ++n;
    return n;
#endif
}

// Every element of the footprint, as its index along each axis.
std::vector<Index> elements_of(const View& footprint) {
    std::vector<Index> found;
    Index at(footprint.ndim);
    for (int64_t i = 0; i < footprint.size(); ++i) {
        int64_t rest = i, offset = 0;
        for (int d = footprint.ndim - 1; d >= 0; --d) {
            at[d] = rest % footprint.shape[d];
            offset += at[d] * footprint.strides[d];
            rest /= footprint.shape[d];
        }
        if (footprint.data[offset]) found.push_back(at);
    }
    return found;
}

// Whether the element `step` along `axis` from `at` is in the footprint.
bool neighbour(const View& footprint, const Index& at, int axis, int64_t step) {
    if (at[axis] + step < 0 || at[axis] + step >= footprint.shape[axis]) return false;
    int64_t offset = step * footprint.strides[axis];
    for (int d = 0; d < footprint.ndim; ++d) offset += at[d] * footprint.strides[d];
    return footprint.data[offset] != 0;
}

struct Plan {
    std::vector<Axis> axes;                       // the window moves along the last
    std::vector<Index> all, first_ones, last_ones;  // elements; those that begin and that end a run along the last axis
    int64_t rank, edges;
    Mode mode;
};

int64_t edges_along(const View& footprint, const std::vector<Index>& elements, int axis) {
    int64_t n = 0;
    for (const Index& at : elements) n += !neighbour(footprint, at, axis, -1);
    return n;
}
int best_axis(const View& footprint, const std::vector<Index>& elements, int64_t& edges) {
    int best = footprint.ndim - 1;
    edges = edges_along(footprint, elements, best);
    for (int d = footprint.ndim - 2; d >= 0; --d)
        if (const int64_t n = edges_along(footprint, elements, d); n < edges) edges = n, best = d;
    return best;
}

template <class K> class Worker {
    const Plan& plan;
    const View &in, &out;
    const KeyLines<K>& lines;
    RankedTile<K> tile;
    std::vector<uint32_t> ranks;  // of every element of the tile
    std::vector<uint64_t> bits;   // by rank: in the window
    Index all, entering, leaving;   // offsets in the tile from the window's first element
    std::vector<K> ready;
    int64_t word = 0, below = 0, nans = 0, first_nan = 0;  // `below`: bits in words before `word`

public:
    Worker(const Plan& p, const View& input, const View& output, const KeyLines<K>& l) : plan(p), in(input), out(output), lines(l) {}

    void run(int64_t unit) {
        const int n = int(plan.axes.size());
        Index first(n), length(n);
        char* to = out.data;
        for (int d = n - 1; d >= 0; --d) {
            const Axis& a = plan.axes[d];
            first[d] = unit % a.tiles * a.tile;
            length[d] = std::min(a.tile, a.n - first[d]);
            to += first[d] * a.out_stride;
            unit /= a.tiles;
        }
        tile.fetch(in.data, plan.axes, first, length, plan.mode, lines);
        rank_all();
        all = offsets(plan.all), entering = offsets(plan.last_ones), leaving = offsets(plan.first_ones);
        ready.resize(length[n - 1]);
        int64_t rows = 1;
        for (int d = 0; d < n - 1; ++d) rows *= length[d];
        for (int64_t row = 0; row < rows; ++row) {
            int64_t rest = row, base = 0, place = 0, stride = int64_t(tile.index[n - 1].size());
            for (int d = n - 2; d >= 0; --d) {
                base += rest % length[d] * stride;
                place += rest % length[d] * plan.axes[d].out_stride;
                rest /= length[d];
                stride *= int64_t(tile.index[d].size());
            }
            if (first_nan < tile.count) slide<true>(base, length[n - 1]);
            else slide<false>(base, length[n - 1]);
            lines.store(ready.data(), length[n - 1], to + place, plan.axes[n - 1].out_stride);
        }
    }

private:
    void rank_all() {
        tile.sort();
        ranks.resize(tile.count);
        for (int64_t r = 0; r < tile.count; ++r) ranks[tile.items[r].place] = uint32_t(r);
        first_nan = tile.count;
        while (lines.nan && first_nan > 0 && tile.items[first_nan - 1].key == K(~K(0))) --first_nan;
        word = 0;
    }

    Index offsets(const std::vector<Index>& elements) const {
        Index found;
        for (const Index& at : elements) {
            int64_t offset = 0;
            for (size_t d = 0; d < at.size(); ++d) offset = offset * int64_t(tile.index[d].size()) + at[d];
            found.push_back(offset);
        }
        return found;
    }

    template <bool NANS, int SIGN> FASTMED_INLINE void turn(int64_t place) {
        const int64_t r = ranks[place], w = r >> 6;
        bits[w] ^= uint64_t(1) << (r & 63);
        below += w < word ? SIGN : 0;
        if (NANS) nans += r >= first_nan ? SIGN : 0;
    }

    template <bool NANS> void slide(int64_t base, int64_t nx) {
        bits.assign((tile.count + 63) / 64, 0);
        below = nans = 0;
        for (int64_t offset : all) turn<NANS, 1>(base + offset);
        for (int64_t x = 0; x < nx; ++x) {
            if (x > 0) {
                for (int64_t offset : leaving) turn<NANS, -1>(base + x - 1 + offset);
                for (int64_t offset : entering) turn<NANS, 1>(base + x + offset);
            }
            ready[x] = NANS && nans ? K(~K(0)) : find();
        }
    }

    K find() {
        while (below > plan.rank) below -= count_bits(bits[--word]);
        for (int n; below + (n = count_bits(bits[word])) <= plan.rank; ++word) below += n;
        uint64_t left = bits[word];
        for (int64_t k = plan.rank - below; k > 0; --k) left &= left - 1;
        return tile.items[word * 64 + count_bits((left & (~left + 1)) - 1)].key;
    }
};

Plan make_plan(const View& input, const View& footprint, const Ints& origins, int64_t rank, Mode mode, const View& output, int threads) {
    Plan p;
    p.rank = rank;
    p.mode = mode;
    p.all = elements_of(footprint);
    const int last = best_axis(footprint, p.all, p.edges);
    for (const Index& at : p.all) {
        if (!neighbour(footprint, at, last, -1)) p.first_ones.push_back(at);
        if (!neighbour(footprint, at, last, 1)) p.last_ones.push_back(at);
    }
    for (int d = 0; d < input.ndim; ++d)
        p.axes.push_back({input.shape[d], input.strides[d], output.strides[d], footprint.shape[d], footprint.shape[d] / 2 + origins[d]});
    std::rotate(p.axes.begin() + last, p.axes.begin() + last + 1, p.axes.end());
    for (auto* some : {&p.all, &p.first_ones, &p.last_ones})
        for (Index& at : *some) std::rotate(at.begin() + last, at.begin() + last + 1, at.end());
    // A tile holds several windows beside each other, but no more results than are done in a tenth of a second.
    int64_t window = 1, units, results;
    for (const Axis& a : p.axes) window *= a.window;
    int64_t elements = std::max<int64_t>(1 << 16, std::min<int64_t>(4 * window, 1 << 24));
    do {
        cut_tiles(p.axes, elements, int64_t(1) << 31);
        units = results = 1;
        for (const Axis& a : p.axes) units *= a.tiles, results *= a.tile;
        elements /= 2;
    } while ((units < 2 * threads || results * p.edges > (1 << 25)) && elements > 2 * window && elements > 4096);
    return p;
}

}  // namespace

int64_t sliding_edges(const View& footprint) {
    int64_t edges;
    best_axis(footprint, elements_of(footprint), edges);
    return edges;
}

void sliding_ranks(const View& input, const View& footprint, const Ints& origins, int64_t rank, Mode mode, double cval, const View& output, int threads) {
    const Plan plan = make_plan(input, footprint, origins, rank, mode, output, threads);
    int64_t units = 1;
    for (const Axis& a : plan.axes) units *= a.tiles;
    with_keys(input.dtype, cval, [&](auto tag, const auto& lines) {
        using K = typename decltype(tag)::t;
        parallel_for(units, threads, [&] { return Worker<K>(plan, input, output, lines); }, [](Worker<K>& w, int64_t unit) { w.run(unit); });
    });
}

}  // namespace fastmed
