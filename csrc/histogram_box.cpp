// Ranks in large boxes by column histograms (Perreault and Hebert, IEEE Trans. Image Processing 16, 2007), for any dtype
// and in three dimensions.
//
// The elements of a tile are sorted once and cut into up to 1,024 bins of neighbouring ranks. For every x there is a
// histogram of the window's column at that x, all its y and z; as the window moves along y a column takes one row of z
// in and one out. As it moves along x, the window takes one column in and one out: 32 coarse bins at once, and the 32
// fine bins of a coarse one only when the wanted rank is found in it. Inside a fine bin are at most a few dozen
// elements of the tile, in order and with their coordinates: the k-th of those that lie in the window is the result.
// Where the tile has few enough distinct values, they are the bins themselves and nothing is sorted.
#include "histogram_box.hpp"

#include "parallel.hpp"
#include "ranked_tile.hpp"
#include "simd.hpp"

namespace fastmed {
namespace {

constexpr int BINS = 32;  // of either level; 32 counts of 16 bits are one register of AVX-512
static_assert(BINS * BINS == HISTOGRAM_BINS);
constexpr int64_t LONGEST = 256;          // extent of a tile that is sorted: coordinates are bytes
constexpr int64_t LONGEST_OF_BYTES = 1024;  // of one of bytes, which never is

// BINS counts, in registers. A plain loop over bytes widens them by halves, with twice the instructions.
struct Counts {
#if defined(__GNUC__)
    typedef uint16_t V __attribute__((vector_size(2 * BINS)));
    V v = {};
    FASTMED_INLINE static V wide(const uint16_t* p) {
        V w;
        std::memcpy(&w, p, sizeof w);
        return w;
    }
    FASTMED_INLINE static V wide(const uint8_t* p) {
#if defined(__AVX512BW__)  // GCC 12 makes two halves of it (masked, because it warns of its own header else)
        return V(_mm512_maskz_cvtepu8_epi16(~__mmask32(0), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
#endif
        typedef uint8_t B __attribute__((vector_size(BINS)));
        B b;
        std::memcpy(&b, p, sizeof b);
        return __builtin_convertvector(b, V);
    }
    template <class C> FASTMED_INLINE void add(const C* p) { v += wide(p); }
    template <class C> FASTMED_INLINE void subtract(const C* p) { v -= wide(p); }
    FASTMED_INLINE void store(uint16_t* p) const { std::memcpy(p, &v, sizeof v); }
#else
    uint16_t v[BINS] = {};
    template <class C> FASTMED_INLINE void add(const C* p) {
        for (int i = 0; i < BINS; ++i) v[i] += p[i];
    }
    template <class C> FASTMED_INLINE void subtract(const C* p) {
        for (int i = 0; i < BINS; ++i) v[i] -= p[i];
    }
    FASTMED_INLINE void store(uint16_t* p) const { std::memcpy(p, v, sizeof v); }
#endif
};

// Row c: what one element of coarse bin c adds to the counts "in this bin or below".
struct Steps {
    alignas(64) uint16_t of[BINS][BINS];
    Steps() {
        for (int c = 0; c < BINS; ++c)
            for (int i = 0; i < BINS; ++i) of[c][i] = i >= c;
    }
};
const Steps STEPS;

#if defined(__AVX512BW__)
// How many of the 32 ascending counts are not above k: the index of the bin of rank k.
FASTMED_INLINE int bin_of(const uint16_t* ascending, int64_t k) {
    const __mmask32 below = _mm512_cmple_epu16_mask(_mm512_loadu_si512(ascending), _mm512_set1_epi16(short(k)));
    return __builtin_popcount(below);
}
// Counts summed up from the first.
FASTMED_INLINE void running_sum(const uint16_t* counts, uint16_t* sums) {
    __m512i v = _mm512_loadu_si512(counts);
    v = _mm512_add_epi16(v, _mm512_bslli_epi128(v, 2));
    v = _mm512_add_epi16(v, _mm512_bslli_epi128(v, 4));
    v = _mm512_add_epi16(v, _mm512_bslli_epi128(v, 8));
    const __m512i last = _mm512_shuffle_epi8(v, _mm512_set1_epi16(0x0f0e));  // of each quarter, all over it
    v = _mm512_add_epi16(v, _mm512_maskz_shuffle_i64x2(0xfc, last, last, 0x90));      // 0 0 1 2
    const __m512i one = _mm512_maskz_shuffle_i64x2(0xf0, last, last, 0x40);           // - - 0 1
    const __m512i two = _mm512_maskz_shuffle_i64x2(0xc0, last, last, 0x00);           // - - - 0
    _mm512_storeu_si512(sums, _mm512_add_epi16(v, _mm512_add_epi16(one, two)));
}
#else
FASTMED_INLINE int bin_of(const uint16_t* ascending, int64_t k) {
    uint16_t below = 0;
    for (int i = 0; i < BINS; ++i) below += ascending[i] <= uint16_t(k);
    return below;
}
FASTMED_INLINE void running_sum(const uint16_t* counts, uint16_t* sums) {
    uint16_t sum = 0;
    for (int i = 0; i < BINS; ++i) sums[i] = sum += counts[i];
}
#endif

// Bit i: byte i of `coordinates`, 64 of them, is one of the `length` from `first`.
FASTMED_INLINE uint64_t inside(const uint8_t* coordinates, uint8_t first, uint8_t length) {
#if defined(__AVX512BW__)
    return _mm512_cmplt_epu8_mask(_mm512_sub_epi8(_mm512_loadu_si512(coordinates), _mm512_set1_epi8(char(first))), _mm512_set1_epi8(char(length)));
#else
    uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) {  // a byte of 0 or 1 each; the product puts eight of them side by side
        uint8_t in[8];
        uint64_t eight;
        for (int j = 0; j < 8; ++j) in[j] = uint8_t(coordinates[8 * i + j] - first) < length;
        std::memcpy(&eight, in, 8);
        bits |= (eight * 0x0102040810204080ull >> 56) << (8 * i);
    }
    return bits;
#endif
}
// The place of the k-th bit that is set.
FASTMED_INLINE int select_bit(uint64_t bits, int64_t k) {
#if defined(__BMI2__)
    return __builtin_ctzll(_pdep_u64(uint64_t(1) << k, bits));
#else
    for (; k; --k) bits &= bits - 1;
    return __builtin_ctzll(bits);
#endif
}

// What does not change between tiles. Axes: one for all that the window does not look along, then z, y, x.
struct Plan {
    std::vector<Axis> axes, outer;
    int64_t rank, count = 1;
    Mode mode;
};

template <class K> class Worker {
    const Plan& plan;
    const View &in, &out;
    const KeyLines<K>& lines;
    const int64_t wz, wy, wx;
    RankedTile<K> tile;
    std::vector<uint16_t> bins;      // of every element of the tile
    std::vector<uint8_t> places[3];  // coordinates z, y, x of the sorted elements
    std::vector<uint16_t> coarse;    // per column: counts in the bin or below
    std::vector<uint8_t> fine8;      // per column: counts, where a column has at most 255 elements
    std::vector<uint16_t> fine16;
    std::vector<int32_t> nans;  // per column
    std::vector<K> ready;
    struct Run {
        int64_t bin, first, last;
    };
    std::vector<Run> runs;                          // of x where the fine counts of a coarse bin are needed
    std::vector<uint16_t> counts;                   // those fine counts per x; the last is for those nobody needs
    alignas(64) uint16_t found[LONGEST_OF_BYTES], left[LONGEST_OF_BYTES];  // per x: bin of the result, its rank in there
    int64_t ez, ey, ex, used = 0;                   // extents; fine bins in use, whole coarse ones
    int shift = 0;                                  // ranks to bins
    bool direct = false, any_nan = false;
    K lowest = 0;

public:
    Worker(const Plan& p, const View& input, const View& output, const KeyLines<K>& l)
        : plan(p), in(input), out(output), lines(l), wz(p.axes[0].window), wy(p.axes[1].window), wx(p.axes[2].window), counts((LONGEST_OF_BYTES + 1) * BINS) {}

    void run(int64_t unit) {
        std::vector<int64_t> first(3), length(3);
        for (int d = 2; d >= 0; --d) {
            const Axis& a = plan.axes[d];
            first[d] = unit % a.tiles * a.tile;
            length[d] = std::min(a.tile, a.n - first[d]);
            unit /= a.tiles;
        }
        const char* from = in.data;
        char* to = out.data;
        for (auto a = plan.outer.rbegin(); a != plan.outer.rend(); ++a) {
            from += unit % a->n * a->in_stride;
            to += unit % a->n * a->out_stride;
            unit /= a->n;
        }
        for (int d = 0; d < 3; ++d) to += first[d] * plan.axes[d].out_stride;
        tile.fetch(from, plan.axes, first, length, plan.mode, lines);
        ez = length[0] + wz - 1, ey = length[1] + wy - 1, ex = length[2] + wx - 1;
        make_bins();
        if (wz * wy <= 255) filter(fine8, length, to);
        else filter(fine16, length, to);
    }

private:
    void make_bins() {
        K low = ~K(0), high = 0;
        for (K key : tile.keys) low = std::min(low, key), high = std::max(high, key);
        lowest = low;
        any_nan = lines.nan && high == K(~K(0));
        direct = K(high - low) < BINS * BINS;
        bins.resize(tile.count);
        if (direct) {
            for (int64_t i = 0; i < tile.count; ++i) bins[i] = uint16_t(tile.keys[i] - lowest);
            used = (int64_t(high - low) / BINS + 1) * BINS;
            return;
        }
        sort();
        for (shift = 0; (tile.count - 1) >> shift >= BINS * BINS;) ++shift;
        used = (((tile.count - 1) >> shift) / BINS + 1) * BINS;
        for (auto& p : places) p.resize(tile.count + 64);
        for (int64_t r = 0; r < tile.count; ++r) {
            const uint32_t place = tile.items[r].place, z = place >> 16, y = place >> 8 & 255, x = place & 255;
            bins[(z * ey + y) * ex + x] = uint16_t(r >> shift);
            places[0][r] = uint8_t(z), places[1][r] = uint8_t(y), places[2][r] = uint8_t(x);
        }
    }

    void sort() {
        tile.items.resize(tile.count);
        tile.other.resize(tile.count);
        int64_t i = 0;
        for (int64_t z = 0; z < ez; ++z)
            for (int64_t y = 0; y < ey; ++y)
                for (int64_t x = 0; x < ex; ++x, ++i) tile.items[i] = {tile.keys[i], uint32_t(z << 16 | y << 8 | x)};
        sort_items(tile.items, tile.other, tile.count);
    }

    template <class C> void filter(std::vector<C>& fine, const std::vector<int64_t>& length, char* to) {
        ready.resize(length[2]);
        for (int64_t z = 0; z < length[0]; ++z) {
            coarse.assign(ex * BINS, 0);
            fine.assign(ex * used, 0);
            nans.assign(ex, 0);
            for (int64_t y = 0; y < wy - 1; ++y) move<C, 1>(fine, z, y, y);
            for (int64_t y = 0; y < length[1]; ++y) {
                if (y == 0) move<C, 1>(fine, z, wy - 1, 0);
                else move<C, 2>(fine, z, y + wy - 1, y - 1);
                row(fine, z, y, length[2]);
                lines.store(ready.data(), length[2], to + z * plan.axes[0].out_stride + y * plan.axes[1].out_stride, plan.axes[2].out_stride);
            }
        }
    }

    // All columns take in row y_in of the window's planes; SIDES == 2: and give out row y_out.
    template <class C, int SIDES> void move(std::vector<C>& fine, int64_t z, int64_t y_in, int64_t y_out) {
        const int64_t plane = ex * ey, depth = wz, bins_used = used;
        const uint16_t *in_row = bins.data() + z * plane + y_in * ex, *out_row = bins.data() + z * plane + y_out * ex;
        for (int64_t x = 0; x < ex; ++x) {
            uint16_t* c = coarse.data() + x * BINS;
            C* f = fine.data() + x * bins_used;
            Counts sum;
            sum.add(c);
            for (int64_t at = x; at < x + depth * plane; at += plane) {
                const uint16_t in = in_row[at], out = out_row[at];
                ++f[in];
                sum.add(STEPS.of[in / BINS]);
                if (SIDES == 1) continue;
                --f[out];
                sum.subtract(STEPS.of[out / BINS]);
            }
            sum.store(c);
        }
        if (!any_nan) return;
        for (int64_t dz = 0; dz < wz; ++dz) {
            const K* keys = tile.keys.data() + (z + dz) * plane;
            for (int64_t x = 0; x < ex; ++x) nans[x] += (keys[y_in * ex + x] == K(~K(0))) - (SIDES == 2 && keys[y_out * ex + x] == K(~K(0)));
        }
    }

    // One row of results, in steps that do not wait for each other's branches and cache misses: a loop over x for the
    // coarse bins, one for the fine counts of each coarse bin that was found, one for the rest.
    template <class C> void row(const std::vector<C>& fine, int64_t z, int64_t y, int64_t nx) {
        find_coarse(nx);
        for (const Run& run : runs) count_fine(fine.data(), run);
        for (int64_t x = 0; x < nx; ++x) {
            alignas(64) uint16_t sums[BINS];
            running_sum(&counts[x * BINS], sums);
            const int f = bin_of(sums, left[x]);
            found[x] = uint16_t(found[x] * BINS + f);
            if (!direct) left[x] = uint16_t(left[x] - (f ? sums[f - 1] : 0));
        }
        if (direct)
            for (int64_t x = 0; x < nx; ++x) ready[x] = K(lowest + found[x]);
        else
            for (int64_t x = 0; x < nx; ++x) ready[x] = in_window(found[x], left[x], z, y, x);
        if (any_nan) put_nans(nx);
    }

    void put_nans(int64_t nx) {
        int64_t nan = 0;
        for (int64_t x = 0; x < wx - 1; ++x) nan += nans[x];
        for (int64_t x = 0; x < nx; ++x) {
            nan += nans[x + wx - 1];
            if (nan) ready[x] = K(~K(0));
            nan -= nans[x];
        }
    }

    // The coarse bin of every x, and what is left of the rank in it. As long as a bin comes back soon enough, its fine
    // counts are carried on over the x between.
    void find_coarse(int64_t nx) {
        int32_t latest[BINS];  // index of each bin's last run
        std::fill_n(latest, BINS, -1);
        runs.clear();
        Counts window;
        for (int64_t x = 0; x < wx - 1; ++x) window.add(&coarse[x * BINS]);
        alignas(64) uint16_t ascending[BINS];
        const uint16_t rank = uint16_t(plan.rank);
        for (int64_t x = 0; x < nx; ++x) {
            window.add(&coarse[(x + wx - 1) * BINS]);
            window.store(ascending);
            window.subtract(&coarse[x * BINS]);
            const int c = bin_of(ascending, rank);
            left[x] = c ? uint16_t(rank - ascending[c - 1]) : rank;
            found[x] = uint16_t(c);
            if (latest[c] < 0 || 2 * (x - runs[latest[c]].last) > wx) {
                latest[c] = int32_t(runs.size());
                runs.push_back({c, x, x});
            }
            runs[latest[c]].last = x;
        }
    }

    // The window's counts in the fine bins of run.bin, at every x where that is the coarse bin.
    template <class C> void count_fine(const C* fine, const Run& run) {
        const C* column = fine + run.bin * BINS;
        Counts sum;
        for (int64_t x = run.first; x < run.first + wx; ++x) sum.add(column + x * used);
        for (int64_t x = run.first;; ++x) {
            sum.store(&counts[(found[x] == run.bin ? x : LONGEST_OF_BYTES) * BINS]);
            if (x == run.last) break;
            sum.add(column + (x + wx) * used);
            sum.subtract(column + x * used);
        }
    }

    // The k-th among the elements of a bin that lie in the window at z, y, x.
    K in_window(int64_t bin, int64_t k, int64_t z, int64_t y, int64_t x) const {
        for (int64_t r = bin << shift;; r += 64) {
            uint64_t bits = inside(&places[0][r], uint8_t(z), uint8_t(wz)) & inside(&places[1][r], uint8_t(y), uint8_t(wy)) & inside(&places[2][r], uint8_t(x), uint8_t(wx));
            const int64_t count = __builtin_popcountll(bits);
            if (k < count) return tile.items[r + select_bit(bits, k)].key;
            k -= count;
        }
    }
};

// The axes that the window looks along, the shortest window first: a column takes in a row of z.
Plan make_plan(const View& input, const Ints& window, const Ints& before, int64_t rank, Mode mode, const View& output, int threads) {
    Plan p;
    p.rank = rank;
    p.mode = mode;
    for (int d = 0; d < input.ndim; ++d) {
        const Axis a{input.shape[d], input.strides[d], output.strides[d], window[d], before[d]};
        (window[d] > 1 ? p.axes : p.outer).push_back(a);
        p.count *= window[d];
    }
    if (p.axes.size() == 3)
        for (int d = 2; d > 0; --d)
            if (p.axes[d].window < p.axes[d - 1].window) std::swap(p.axes[d], p.axes[d - 1]);
    while (p.axes.size() < 3) p.axes.insert(p.axes.begin(), Axis{});
    int64_t others = 1;
    for (const Axis& a : p.outer) others *= a.n;
    // 65,536 elements and what is kept of them fit a second level cache; large windows have more around each result.
    // Of bytes little is kept, so that fewer elements need be worked through twice.
    const bool bytes = input.dtype == DType::u8 || input.dtype == DType::i8 || input.dtype == DType::boolean;
    int64_t elements = bytes ? int64_t(1) << 18 : p.count > 4096 ? 1 << 18 : 1 << 16;
    do {
        cut_tiles(p.axes, elements, bytes ? LONGEST_OF_BYTES : LONGEST);
        elements /= 2;
    } while (others * p.axes[0].tiles * p.axes[1].tiles * p.axes[2].tiles < 2 * threads && elements > 8 * p.count && elements > 4096);
    return p;
}

}  // namespace

bool histogram_box_fits(const Ints& window) {
    int64_t count = 1;
    int longer = 0;
    for (int64_t w : window) {
        if (w > LONGEST - 16) return false;
        count *= w;
        longer += w > 1;
        if (count > 65535) return false;
    }
    return longer <= 3;
}

void histogram_box(const View& input, const Ints& window, const Ints& before, int64_t rank, Mode mode, double cval, const View& output, int threads) {
    const Plan plan = make_plan(input, window, before, rank, mode, output, threads);
    int64_t units = 1;
    for (const Axis& a : plan.outer) units *= a.n;
    for (const Axis& a : plan.axes) units *= a.tiles;
    with_keys(input.dtype, cval, [&](auto tag, const auto& lines) {
        using K = typename decltype(tag)::t;
        parallel_for(units, threads, [&] { return Worker<K>(plan, input, output, lines); }, [](Worker<K>& w, int64_t unit) { w.run(unit); });
    });
}

}  // namespace fastmed
