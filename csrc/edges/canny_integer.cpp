// Canny's edge detector (IEEE PAMI 8:679, 1986) in whole numbers with OpenCV's rules: Sobel's derivatives as int16, the
// gradient's direction rounded to four by the tangent of 22.5 degrees in 15 binary places, hysteresis over 8 neighbours.
//
// Blocks of rows go through all steps while they are in cache. Marks are written into the output itself: 0 nothing,
// 1 weak, 2 strong. Hysteresis makes weak marks strong inside each block, then over the seams between blocks: the order
// does not change the set. Magnitudes of bytes that are sums of absolutes fit into int16 (at most 24,480), so that a
// vector holds twice as many as of int32.
#include <cstring>

#include "hysteresis.hpp"
#include "kernels.hpp"
#include "parallel.hpp"

namespace fastmed {
namespace {

constexpr int64_t MARGIN = 32;  // elements beside each row: at most three are needed on either side
constexpr int TANGENT = 13573;  // of 22.5 degrees, times 2^15

// --- one row of each step -------------------------------------------------------------------------------------------
// Sums over the rows of a window: smoothed, and the difference of what is below and above.
template <int aperture> void vertical(const uint8_t* const* r, int64_t n, int16_t* __restrict sum, int16_t* __restrict difference) {
    const uint8_t *__restrict a = r[0], *__restrict b = r[1], *__restrict c = r[2];
    const uint8_t *__restrict d = r[aperture > 3 ? 3 : 0], *__restrict e = r[aperture > 3 ? 4 : 0];
    const uint8_t *__restrict f = r[aperture > 5 ? 5 : 0], *__restrict g = r[aperture > 5 ? 6 : 0];
    for (int64_t x = 0; x < n; ++x) {
        if constexpr (aperture == 3) {
            sum[x] = static_cast<int16_t>(a[x] + 2 * b[x] + c[x]);
            difference[x] = static_cast<int16_t>(c[x] - a[x]);
        } else if constexpr (aperture == 5) {
            sum[x] = static_cast<int16_t>(a[x] + e[x] + 4 * (b[x] + d[x]) + 6 * c[x]);
            difference[x] = static_cast<int16_t>(e[x] - a[x] + 2 * (d[x] - b[x]));
        } else {
            sum[x] = static_cast<int16_t>(a[x] + g[x] + 6 * (b[x] + f[x]) + 15 * (c[x] + e[x]) + 20 * d[x]);
            difference[x] = static_cast<int16_t>(g[x] - a[x] + 4 * (f[x] - b[x]) + 5 * (e[x] - c[x]));
        }
    }
}
inline int16_t sixteenth(int32_t v) { return static_cast<int16_t>((v + 7 + ((v >> 4) & 1)) >> 4); }  // halves to even

template <int aperture> void horizontal(const int16_t* __restrict s, const int16_t* __restrict d, int64_t n, int16_t* __restrict dx,
                                        int16_t* __restrict dy) {
    for (int64_t x = 0; x < n; ++x) {
        if constexpr (aperture == 3) {
            dx[x] = static_cast<int16_t>(s[x + 1] - s[x - 1]);
            dy[x] = static_cast<int16_t>(d[x - 1] + 2 * d[x] + d[x + 1]);
        } else if constexpr (aperture == 5) {
            dx[x] = static_cast<int16_t>(s[x + 2] - s[x - 2] + 2 * (s[x + 1] - s[x - 1]));
            dy[x] = static_cast<int16_t>(d[x - 2] + d[x + 2] + 4 * (d[x - 1] + d[x + 1]) + 6 * d[x]);
        } else {
            dx[x] = sixteenth(s[x + 3] - s[x - 3] + 4 * (s[x + 2] - s[x - 2]) + 5 * (s[x + 1] - s[x - 1]));
            dy[x] = sixteenth(d[x - 3] + d[x + 3] + 6 * (d[x - 2] + d[x + 2]) + 15 * (d[x - 1] + d[x + 1]) + 20 * d[x]);
        }
    }
}

template <class M> M absolute(M v) { return static_cast<M>(v < 0 ? -v : v); }

template <class M, bool squared> void magnitude_row(const int16_t* __restrict dx, const int16_t* __restrict dy, int64_t n, M* __restrict to) {
    for (int64_t x = 0; x < n; ++x) {
        if constexpr (squared) to[x] = static_cast<M>(uint32_t(dx[x] * dx[x]) + uint32_t(dy[x] * dy[x]));
        else to[x] = static_cast<M>(absolute<M>(dx[x]) + absolute<M>(dy[x]));
    }
}

// The longer gradient stays, the first of equal ones.
template <class M> void keep_longer(const int16_t* __restrict dx, const int16_t* __restrict dy, const M* __restrict m, int64_t n,
                                    int16_t* __restrict best_dx, int16_t* __restrict best_dy, M* __restrict best) {
    for (int64_t x = 0; x < n; ++x) {
        const bool longer = m[x] > best[x];
        best_dx[x] = longer ? dx[x] : best_dx[x];
        best_dy[x] = longer ? dy[x] : best_dy[x];
        best[x] = longer ? m[x] : best[x];
    }
}

// Whether a gradient of sides a, b >= 0 is flatter than 22.5 degrees, steeper than 67.5. With int16, which the sides of
// bytes fit, b * 2^15 < a * TANGENT is b <= q with the quotient q rounded down, because the product is a multiple of
// 2^15 only for a = 0. In int32 the sum of the other bound can overflow, and it does so in OpenCV.
inline void direction(int16_t a, int16_t b, bool& flat, bool& steep) {
    const int16_t q = static_cast<int16_t>((int32_t(static_cast<int16_t>(2 * a)) * TANGENT) >> 16);
    flat = (b <= q) & (a > 0);
    steep = b > static_cast<int16_t>(q + 2 * a);
}
inline void direction(int32_t a, int32_t b, bool& flat, bool& steep) {
    const int32_t q = a * TANGENT, scaled = b << 15;
    flat = scaled < q;
    steep = scaled > static_cast<int32_t>(uint32_t(q) + (uint32_t(a) << 16));
}

// All nine magnitudes are loaded before anything is chosen, so that there is no branch and the compiler vectorises.
template <class M> void mark_row(const M* __restrict up, const M* __restrict at, const M* __restrict down, const int16_t* __restrict dx,
                                 const int16_t* __restrict dy, int64_t n, M low, M high, uint8_t* __restrict marks) {
    for (int64_t x = 0; x < n; ++x) {
        const M u0 = up[x - 1], u1 = up[x], u2 = up[x + 1], m0 = at[x - 1], m = at[x], m2 = at[x + 1];
        const M d0 = down[x - 1], d1 = down[x], d2 = down[x + 1];
        const M i = dx[x], j = dy[x];  // all in one width: mixed ones are not vectorised (38 ms, so 6)
        bool flat, steep;
        direction(absolute(i), absolute(j), flat, steep);
        const bool other = static_cast<M>(i ^ j) < 0;  // it points up-right or down-left
        const M across1 = other ? u2 : u0, across2 = other ? d0 : d2;
        const M upright1 = steep ? u1 : across1, upright2 = steep ? d1 : across2;
        const M before = flat ? m0 : upright1, after = flat ? m2 : upright2;
        const bool equal = (flat | steep) & (m == after);  // on a diagonal a maximum exceeds both neighbours
        const bool keep = (m > low) & (m > before) & ((m > after) | equal);
        marks[x] = static_cast<uint8_t>(keep + (keep & (m > high)));  // WEAK is 1, STRONG 2
    }
}

// --- blocks of rows -------------------------------------------------------------------------------------------------
struct Source {
    View image, dx, dy;  // the image, or where `aperture` is 0 its derivatives; the last axis holds channels
    int aperture;
    int64_t ny, nx, channels;
};

template <class M, bool squared> class Local {
  public:
    Local(const Source& source, M low, M high, bool link, uint8_t* marks, int threads)
        : s(source), low(low), high(high), link(link), all(marks), width(source.nx + 2 * MARGIN), reach(source.aperture / 2) {
        // Marks of a block stay in the second cache until they are followed; each block computes two rows of its neighbours.
        block = std::clamp<int64_t>((int64_t(1) << 18) / s.nx, 32, 512);
        if (threads > 1) block = std::min(block, std::max<int64_t>((s.ny + 4 * threads - 1) / (4 * threads), 16));
        blocks = (s.ny + block - 1) / block;
    }

    void run(int threads) const {
        parallel_for(blocks, threads, [&] { return Scratch(*this); }, [&](Scratch& t, int64_t i) { mark_block(t, i); });
        if (!link) return;
        parallel_for(blocks - 1, 1, [&] { return Trail(s.nx); }, [&](Trail& t, int64_t i) {
            for (int64_t y : {(i + 1) * block - 1, (i + 1) * block}) follow(t, y, 0, s.ny);
        });
        parallel_for(blocks, threads, [&](int64_t i) {
            uint8_t *p = marks(i * block), *end = marks(std::min((i + 1) * block, s.ny));
            for (; p < end; ++p) *p = *p == STRONG ? 255 : 0;
        });
    }

  private:
    struct Pixel {
        int32_t y, x;
    };
    struct Trail {
        std::vector<Pixel> stack;
        std::vector<uint8_t> column, seeds;
        explicit Trail(int64_t nx) : column(nx + 2), seeds(nx + 8) {}
    };
    struct Scratch {
        std::vector<uint8_t> rows;         // of every channel, as many as the aperture needs
        std::vector<int16_t> sums, slopes; // two of a window; two pairs of derivatives, one more for channels
        std::vector<M> magnitudes;         // of three rows, one for what lies outside, one for channels
        Trail trail;
        int64_t next = 0;                  // the row to load next
        explicit Scratch(const Local& l)
            : rows(l.s.aperture * l.s.channels * l.width), sums(2 * l.width), slopes(6 * l.width), magnitudes(5 * l.width), trail(l.s.nx) {}
    };
    const Source& s;
    const M low, high;
    const bool link;
    uint8_t* const all;
    const int64_t width, reach;
    int64_t block, blocks;

    uint8_t* marks(int64_t y) const { return all + y * s.nx; }

    void mark_block(Scratch& t, int64_t index) const {
        const int64_t y0 = index * block, y1 = std::min(y0 + block, s.ny);
        const int64_t first = std::max<int64_t>(0, y0 - 1), end = std::min(s.ny, y1 + 1);
        t.next = std::max<int64_t>(0, first - reach);
        for (int64_t y = first; y <= end; ++y) {
            if (y < end) gradient(t, y);
            const int64_t z = y - 1;  // the row whose neighbours are known now
            if (z < y0 || z >= y1) continue;
            mark_row(magnitude(t, z - 1), magnitude(t, z), magnitude(t, y), slope(t, z, 0), slope(t, z, 1), s.nx, low, high, marks(z));
        }
        if (link)
            for (int64_t y = y0; y < y1; ++y) follow(t.trail, y, y0, y1);
    }
    M* magnitude(Scratch& t, int64_t y) const {  // outside there is none
        return t.magnitudes.data() + MARGIN + (y < 0 || y >= s.ny ? 3 : y % 3) * width;
    }
    int16_t* slope(Scratch& t, int64_t y, int along) const { return t.slopes.data() + MARGIN + (2 * (y % 2) + along) * width; }

    // Derivatives and magnitude of a row; of several channels those of the one where it is largest.
    void gradient(Scratch& t, int64_t y) const {
        for (; t.next <= std::min(y + reach, s.ny - 1) && s.aperture; ++t.next) load(t, t.next);
        int16_t *dx = slope(t, y, 0), *dy = slope(t, y, 1), *more_dx = t.slopes.data() + MARGIN + 4 * width, *more_dy = more_dx + width;
        M *m = magnitude(t, y), *more = t.magnitudes.data() + MARGIN + 4 * width;
        for (int64_t c = 0; c < s.channels; ++c) {
            derive(t, y, c, c ? more_dx : dx, c ? more_dy : dy);
            magnitude_row<M, squared>(c ? more_dx : dx, c ? more_dy : dy, s.nx, c ? more : m);
            if (c) keep_longer(more_dx, more_dy, more, s.nx, dx, dy, m);
        }
    }
    void derive(Scratch& t, int64_t y, int64_t c, int16_t* dx, int16_t* dy) const {
        switch (s.aperture) {
            case 3: return sobel<3>(t, y, c, dx, dy);
            case 5: return sobel<5>(t, y, c, dx, dy);
            case 7: return sobel<7>(t, y, c, dx, dy);
        }
        gather<int16_t>(s.dx.data + y * s.dx.strides[0] + c * s.dx.strides[2], s.dx.strides[1], s.nx, dx);
        gather<int16_t>(s.dy.data + y * s.dy.strides[0] + c * s.dy.strides[2], s.dy.strides[1], s.nx, dy);
    }
    template <int aperture> void sobel(Scratch& t, int64_t y, int64_t c, int16_t* dx, int16_t* dy) const {
        const uint8_t* rows[aperture];
        for (int64_t k = 0; k < aperture; ++k) rows[k] = row(t, std::clamp<int64_t>(y + k - reach, 0, s.ny - 1), c) - reach;
        int16_t *sum = t.sums.data() + MARGIN, *difference = sum + width;
        vertical<aperture>(rows, s.nx + 2 * reach, sum - reach, difference - reach);
        horizontal<aperture>(sum, difference, s.nx, dx, dy);
    }

    uint8_t* row(Scratch& t, int64_t y, int64_t c) const {
        return t.rows.data() + MARGIN + (y % s.aperture * s.channels + c) * width;
    }
    void load(Scratch& t, int64_t y) const {
        const char* from = s.image.data + y * s.image.strides[0];
        for (int64_t c = 0; c < s.channels; ++c) {
            uint8_t* to = row(t, y, c);
            if (s.image.strides[1] == 3) every_third(from + c * s.image.strides[2], s.nx, to);
            else gather<uint8_t>(from + c * s.image.strides[2], s.image.strides[1], s.nx, to);
            std::memset(to - reach, to[0], reach);
            std::memset(to + s.nx, to[s.nx - 1], reach);
        }
    }
    static void every_third(const char* __restrict from, int64_t n, uint8_t* __restrict to) {
        for (int64_t x = 0; x < n; ++x) to[x] = static_cast<uint8_t>(from[3 * x]);
    }

    // --- hysteresis ---
    // Makes the weak marks strong that touch a strong one in row y, and all that hang on them, inside rows [begin, end).
    void follow(Trail& t, int64_t y, int64_t begin, int64_t end) const {
        const int64_t nx = s.nx;
        const uint8_t* at = marks(y);
        const uint8_t *up = y > begin ? at - nx : at, *down = y + 1 < end ? at + nx : at;
        uint8_t *column = t.column.data() + 1, *seeds = t.seeds.data();
        for (int64_t x = 0; x < nx; ++x) column[x] = std::max(std::max(up[x], down[x]), at[x]);
        uint8_t any = 0;
        for (int64_t x = 0; x < nx; ++x) {
            const uint8_t most = std::max(std::max(column[x - 1], column[x + 1]), column[x]);
            any |= seeds[x] = (at[x] == WEAK) & (most == STRONG);
        }
        if (!any) return;
        for (int64_t x8 = 0; x8 < nx; x8 += 8) {
            uint64_t eight;
            std::memcpy(&eight, seeds + x8, 8);
            if (!eight) continue;
            for (int64_t x = x8; x < x8 + 8; ++x) {
                if (!seeds[x] || at[x] != WEAK) continue;
                marks(y)[x] = STRONG;
                t.stack.push_back({int32_t(y), int32_t(x)});
                grow(t.stack, begin, end);
            }
        }
    }
    void grow(std::vector<Pixel>& stack, int64_t begin, int64_t end) const {
        while (!stack.empty()) {
            const Pixel p = stack.back();
            stack.pop_back();
            const int64_t left = p.x > 0 ? p.x - 1 : 0, right = p.x + 1 < s.nx ? p.x + 1 : p.x;
            for (int64_t y = std::max<int64_t>(p.y - 1, begin); y < std::min<int64_t>(p.y + 2, end); ++y) {
                uint8_t* row = marks(y);
                for (int64_t x = left; x <= right; ++x) {
                    if (row[x] != WEAK) continue;
                    row[x] = STRONG;
                    stack.push_back({int32_t(y), int32_t(x)});
                }
            }
        }
    }
};

}  // namespace

void canny_integer(View image, View dx, View dy, int aperture, bool squared, int64_t low, int64_t high, bool link, View output, int threads) {
    const Source source{image, dx, dy, aperture, output.shape[0], output.shape[1], (aperture ? image : dx).shape[2]};
    auto* marks = reinterpret_cast<uint8_t*>(output.data);
    auto of = [](auto limit, int64_t value) { return static_cast<decltype(limit)>(std::min<int64_t>(value, limit)); };
    const int16_t top16 = INT16_MAX;
    const int32_t top32 = INT32_MAX;
    if (squared) Local<int32_t, true>(source, of(top32, low), of(top32, high), link, marks, threads).run(threads);
    else if (aperture) Local<int16_t, false>(source, of(top16, low), of(top16, high), link, marks, threads).run(threads);
    else Local<int32_t, false>(source, of(top32, low), of(top32, high), link, marks, threads).run(threads);
}

}  // namespace fastmed
