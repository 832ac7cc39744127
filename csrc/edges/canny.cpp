// Canny's edge detector (IEEE PAMI 8:679, 1986) with the arithmetic of scikit-image: Gaussian, division by the smoothed
// mask, Sobel, suppression of what is no maximum across the edge, hysteresis.
//
// Blocks of rows go through all local steps while they are in cache, so nothing of the image's size is held beside the
// marks, which are written into the output itself: 0 nothing, 1 weak, 2 strong. Hysteresis makes weak marks strong
// inside each block, then over the seams between blocks: the order does not change the set. Volumes: canny_volume.hpp.
#include <algorithm>
#include <cmath>
#include <limits>

#include "border.hpp"
#include "canny_volume.hpp"
#include "hysteresis.hpp"
#include "kernels.hpp"
#include "parallel.hpp"
#include "scaled.hpp"
#include "separable.hpp"

namespace fastmed {
namespace {

enum Stage : int { SMOOTHED = 0, MAGNITUDE = 1, MARKS = 2, EDGES = 3 };  // numbers of fastmed.edges._canny

constexpr int64_t MARGIN = 16;  // elements beside each row: one is needed on either side, 16 keep rows aligned

// --- one row of each step ------------------------------------------------------------------------------------------
// SciPy's Sobel at every x from the rows above, at and below. `c * 0` keeps what it makes of an infinity at the centre.
template <class A> inline A difference(A before, A centre, A after) { return centre * A(0) + (before - after) * A(-1); }
template <class A> inline A smoothed(A before, A centre, A after) {  // summed in double, then cast, as SciPy does
    return static_cast<A>(double(centre) * 2.0 + (double(before) + double(after)));
}
template <class A> void gradient_row(const A* __restrict up, const A* __restrict at, const A* __restrict down, int64_t n,
                                     A* __restrict gi, A* __restrict gj, A* __restrict magnitude) {
    for (int64_t x = 0; x < n; ++x) {
        const A i = smoothed(difference(up[x - 1], at[x - 1], down[x - 1]), difference(up[x], at[x], down[x]),
                             difference(up[x + 1], at[x + 1], down[x + 1]));
        const A j = smoothed(difference(up[x - 1], up[x], up[x + 1]), difference(at[x - 1], at[x], at[x + 1]),
                             difference(down[x - 1], down[x], down[x + 1]));
        gi[x] = i;
        gj[x] = j;
        magnitude[x] = std::sqrt(i * i + j * j);
    }
}

// Marks where the magnitude is at least `low` and no neighbour across the edge exceeds it. Those neighbours lie
// between a pixel beside (above, where the gradient is steeper along i) and a diagonal one; `w` says where between.
// All nine values are loaded before anything is chosen, so that the compiler sees no branch and
// vectorises: gradients and marks of 2048^2 float64 took 81 ms with branches, 16 without (one thread, v4).
template <class A> void mark_row(const A* __restrict up, const A* __restrict at, const A* __restrict down, const A* __restrict gi,
                                 const A* __restrict gj, int64_t n, A low, double high, uint8_t* __restrict marks) {
    for (int64_t x = 0; x < n; ++x) {
        const A i = gi[x], j = gj[x], a = std::abs(i), b = std::abs(j);
        const A u0 = up[x - 1], u1 = up[x], u2 = up[x + 1];
        const A c0 = at[x - 1], m = at[x], c2 = at[x + 1];
        const A d0 = down[x - 1], d1 = down[x], d2 = down[x + 1];
        const bool same = ((i >= 0) & (j >= 0)) | ((i <= 0) & (j <= 0));  // it points down-right or up-left, or along an axis
        const bool steep = (a > b) | (!same & (a == b));
        const A w = (steep ? b : a) / (steep ? a : b);
        const A far1 = same ? d2 : u2, far2 = same ? u0 : d0;
        const A near1 = steep ? (same ? d1 : u1) : c2, near2 = steep ? (same ? u1 : d1) : c0;
        const double rest = 1.0 - double(w), top = double(m);
        const bool keep = (m >= low) & (double(far1 * w) + double(near1) * rest <= top) & (double(far2 * w) + double(near2) * rest <= top);
        marks[x] = uint8_t(uint8_t(keep) + uint8_t(keep & (top >= high)));
    }
}

struct Trail {  // of the hysteresis
    std::vector<int64_t> stack;
    std::vector<uint8_t> column, seeds;
};

// --- local steps on blocks of rows -----------------------------------------------------------------------------------
template <class A> struct Local {
    const View &image, &mask, &bleed, &output;
    const Stage stage;
    const double low, high;
    int64_t ny, nx, width, ry = 0, rx = 0, block, blocks, reach;
    Mode mode_y = Mode::nearest;
    double cval;
    std::vector<Pass> passes;

    Local(const View& image, const View& mask, const Ints& axes, const Ints& radii, const Doubles& weights, const Ints& modes,
          double cval, const View& bleed, Stage stage, double low, double high, const View& output, int threads)
        : image(image), mask(mask), bleed(bleed), output(output), stage(stage), low(low), high(high), ny(image.shape[0]),
          nx(image.shape[1]), width((nx + 2 * MARGIN + 7) / 8 * 8), cval(cval) {
        auto w = weights.begin();
        for (size_t k = 0; k < axes.size(); ++k) {
            const int64_t length = 2 * radii[k] + 1;
            passes.push_back({int(axes[k]), length, radii[k], Mode(modes[k]), cval, Doubles(w, w + length)});
            w += length;
            (axes[k] ? rx : ry) = radii[k];
            if (axes[k] == 0) mode_y = Mode(modes[k]);
        }
        // Rows of a block: two buffers of 1 MB stay in the second level cache, but the rows smoothed twice at
        // the seams must stay few, and every thread wants some blocks.
        block = std::max<int64_t>((int64_t(1) << 20) / (width * int64_t(sizeof(A))), 16);
        block = std::max(block, 4 * ry);
        if (threads > 1) block = std::min(block, std::max<int64_t>((ny + 2 * threads - 1) / (2 * threads), 2 * ry + 16));
        block = std::min(block, ny);
        blocks = (ny + block - 1) / block;
        reach = blocks > 1 ? ry : 0;
        // Blocks bring their rows from outside with them; what the pass takes beyond those is not used.
        if (blocks > 1)
            for (Pass& p : passes)
                if (p.axis == 0) p.mode = Mode::nearest;
    }

    bool masked() const { return mask.ndim == 2; }

    struct Scratch {
        std::vector<A> raw, smooth, share, table, rows;
        std::vector<uint8_t> mask_rows;
        int64_t table_row = -1;
        Trail trail;
    };
    Scratch scratch() const {
        Scratch s;
        const size_t size = (block + 4 + 2 * reach) * width;
        s.smooth.resize(size);
        if (!passes.empty()) s.raw.resize(size);
        if (masked()) s.share.resize(size), s.mask_rows.resize(3 * nx);
        if (bleed.ndim == 2) s.table.resize(width);
        s.rows.resize(7 * width);
        if (stage == EDGES) s.trail = trail();
        return s;
    }

    // A buffer's rows hold rows y0 - 2 - reach ... y1 + 2 + reach of the image, those beyond it by the border's mode.
    template <class Load> void load_rows(A* to, int64_t first, int64_t end, Load&& load) const {
        for (int64_t y = first; y < end; ++y, to += width) {
            const int64_t source = border_index(y, ny, mode_y);
            if (source < 0) std::fill_n(to, nx, A(cval));
            else load(source, to);
        }
    }
    static View view_of(A* data, int64_t rows, int64_t nx, int64_t width) {
        View v;
        v.data = reinterpret_cast<char*>(data);
        v.dtype = sizeof(A) == 4 ? DType::f32 : DType::f64;
        v.ndim = 2;
        v.shape[0] = rows, v.shape[1] = nx;
        v.strides[0] = width * int64_t(sizeof(A)), v.strides[1] = sizeof(A);
        return v;
    }
    void smooth(A* from, A* to, int64_t rows, int threads) const {
        if (!passes.empty()) separable(view_of(from, rows, nx, width), passes, true, view_of(to, rows, nx, width), threads);
        else if (from != to) std::copy_n(from, (rows - 1) * width + nx, to);
    }
    // Rows first ... end of the image, smoothed and made up for what the Gaussian took from outside.
    // Gives the pointer to row `first`; its rows have one element more on either side.
    A* smoothed_rows(Scratch& s, int64_t first, int64_t end, int threads) const {
        const int64_t rows = end - first + 2 * reach;
        A* result = s.smooth.data() + MARGIN;
        A* raw = (passes.empty() ? s.smooth.data() : s.raw.data()) + MARGIN;
        const A eps = std::numeric_limits<A>::epsilon();
        if (masked()) {
            A* share = s.share.data() + MARGIN;
            load_rows(raw, first - reach, end + reach, [&](int64_t y, A* to) { mask_row(s, y, 0), share_row(s, to); });
            smooth(raw, share, rows, threads);
            load_rows(raw, first - reach, end + reach, [&](int64_t y, A* to) { load_scaled(image, y, to), cut_row(s, y, to); });
        } else {
            load_rows(raw, first - reach, end + reach, [&](int64_t y, A* to) { load_scaled(image, y, to); });
        }
        smooth(raw, result, rows, threads);
        result += reach * width;
        for (int64_t y = first; y < end; ++y) {
            A* row = result + (y - first) * width;
            if (masked()) {
                const A* share = s.share.data() + MARGIN + (y - first + reach) * width;
                for (int64_t x = 0; x < nx; ++x) row[x] /= share[x] + eps;
            } else if (bleed.ndim == 2) {
                bleed_row(s, y);
                const A* table = s.table.data();
                for (int64_t x = 0; x < nx; ++x) row[x] /= table[x];
            }
            row[-1] = row[0];  // Sobel reflects
            row[nx] = row[nx - 1];
        }
        return result;
    }

    // --- masks ---
    uint8_t* mask_row(Scratch& s, int64_t y, int slot) const {
        uint8_t* row = s.mask_rows.data() + slot * nx;
        gather<uint8_t>(mask.data + y * mask.strides[0], mask.strides[1], nx, row);
        return row;
    }
    void share_row(Scratch& s, A* to) const {
        for (int64_t x = 0; x < nx; ++x) to[x] = s.mask_rows[x];
    }
    void cut_row(Scratch& s, int64_t y, A* to) const {
        const uint8_t* inside = mask_row(s, y, 0);
        for (int64_t x = 0; x < nx; ++x) to[x] = inside[x] ? to[x] : A(0);
    }
    void keep_inside(Scratch& s, int64_t y, uint8_t* marks) const {  // all nine pixels around must be in the mask
        const uint8_t *a = mask_row(s, y - 1, 0), *b = mask_row(s, y, 1), *c = mask_row(s, y + 1, 2);
        for (int64_t x = 1; x + 1 < nx; ++x) {
            const uint8_t all = a[x - 1] & a[x] & a[x + 1] & b[x - 1] & b[x] & b[x + 1] & c[x - 1] & c[x] & c[x + 1];
            marks[x] = all ? marks[x] : uint8_t(NOTHING);
        }
    }
    // The smoothed mask where all is inside: its rows and columns differ only within a radius of the border, so a
    // table of at most 2 radius + 1 rows and columns holds it.
    static int64_t place(int64_t i, int64_t n, int64_t table, int64_t radius) {
        return n == table || i < radius ? i : i >= n - radius ? table - (n - i) : radius;
    }
    void bleed_row(Scratch& s, int64_t y) const {
        const int64_t row = place(y, ny, bleed.shape[0], ry);
        if (row == s.table_row) return;
        s.table_row = row;
        for (int64_t x = 0; x < nx; ++x)
            s.table[x] = *reinterpret_cast<const A*>(bleed.data + row * bleed.strides[0] + place(x, nx, bleed.shape[1], rx) * bleed.strides[1]);
    }

    // --- a block ---
    uint8_t* marks(int64_t y) const { return reinterpret_cast<uint8_t*>(output.data) + y * nx; }

    void run(Scratch& s, int64_t index, int threads) const {
        const int64_t y0 = index * block, y1 = std::min(y0 + block, ny);
        const int64_t first = std::max<int64_t>(0, y0 - 2), end = std::min(ny, y1 + 2);
        const A* rows = smoothed_rows(s, first, end, threads);
        if (stage == SMOOTHED) {
            for (int64_t y = y0; y < y1; ++y) std::copy_n(rows + (y - first) * width, nx, reinterpret_cast<A*>(output.data) + y * nx);
            return;
        }
        auto row = [&](int64_t y) { return rows + (std::clamp<int64_t>(y, 0, ny - 1) - first) * width; };
        auto ring = [&](int64_t y) { return s.rows.data() + MARGIN + (y % 3) * width; };
        auto gi = [&](int64_t y) { return s.rows.data() + MARGIN + (3 + y % 2) * width; };
        auto gj = [&](int64_t y) { return s.rows.data() + MARGIN + (5 + y % 2) * width; };
        for (int64_t y = std::max<int64_t>(0, y0 - 1); y < std::min(ny, y1 + 1); ++y) {
            gradient_row(row(y - 1), row(y), row(y + 1), nx, gi(y), gj(y), ring(y));
            if (stage == MAGNITUDE) {
                if (y >= y0 && y < y1) std::copy_n(ring(y), nx, reinterpret_cast<A*>(output.data) + y * nx);
            } else if (y - 1 >= y0) {
                finish_row(s, y - 1, ring(y + 1), ring(y - 1), ring(y), gi(y - 1), gj(y - 1));
            }
        }
        if (stage == MAGNITUDE) return;
        if (y1 == ny) std::fill_n(marks(ny - 1), nx, NOTHING);
        if (stage == EDGES)
            for (int64_t y = y0; y < y1; ++y) follow(s.trail, y, y0, y1);
    }
    void finish_row(Scratch& s, int64_t y, const A* up, const A* at, const A* down, const A* gi, const A* gj) const {
        uint8_t* out = marks(y);
        out[0] = out[nx - 1] = NOTHING;
        if (y == 0) std::fill_n(out, nx, NOTHING);
        if (y == 0 || nx < 3) return;
        mark_row(up + 1, at + 1, down + 1, gi + 1, gj + 1, nx - 2, A(low), high, out + 1);
        if (masked()) keep_inside(s, y, out);
    }

    // --- hysteresis: the outermost rows and columns hold no marks, so neighbours never wrap around ---
    // Makes the weak marks strong that touch a strong one in row y, and all that hang on them, inside [begin, end).
    void follow(Trail& trail, int64_t y, int64_t begin, int64_t end) const {
        const uint8_t* at = marks(y);
        const uint8_t *up = y > begin ? at - nx : at, *down = y + 1 < end ? at + nx : at;
        uint8_t *column = trail.column.data(), *seeds = trail.seeds.data();
        for (int64_t x = 0; x < nx; ++x) column[x] = std::max(std::max(up[x], down[x]), at[x]);
        uint8_t any = 0;
        for (int64_t x = 1; x + 1 < nx; ++x) {
            const uint8_t most = std::max(std::max(column[x - 1], column[x + 1]), column[x]);
            any |= seeds[x] = (at[x] == WEAK) & (most == STRONG);
        }
        if (!any) return;
        for (int64_t x = 1; x + 1 < nx; ++x) {
            if (!seeds[x] || at[x] != WEAK) continue;
            marks(y)[x] = STRONG;
            trail.stack.push_back(y * nx + x);
            grow(trail.stack, begin * nx, end * nx);
        }
    }
    void grow(std::vector<int64_t>& stack, int64_t begin, int64_t end) const {
        uint8_t* all = marks(0);
        const int64_t around[8] = {-nx - 1, -nx, -nx + 1, -1, 1, nx - 1, nx, nx + 1};
        while (!stack.empty()) {
            const int64_t at = stack.back();
            stack.pop_back();
            for (const int64_t step : around) {
                const int64_t next = at + step;
                if (next < begin || next >= end || all[next] != WEAK) continue;
                all[next] = STRONG;
                stack.push_back(next);
            }
        }
    }
    Trail trail() const { return {std::vector<int64_t>(), std::vector<uint8_t>(nx), std::vector<uint8_t>(nx)}; }
};

template <class A> void run(const Local<A>& local, int threads) {
    const bool alone = local.blocks == 1;  // then the threads share the smoothing inside it
    parallel_for(local.blocks, threads, [&] { return local.scratch(); },
                 [&](auto& s, int64_t i) { local.run(s, i, alone ? threads : 1); });
    if (local.stage != EDGES) return;
    parallel_for(local.blocks - 1, 1, [&] { return local.trail(); }, [&](Trail& trail, int64_t i) {
        const int64_t seam = (i + 1) * local.block;
        for (int64_t y : {seam - 1, seam}) local.follow(trail, y, 0, local.ny);
    });
    parallel_for(local.blocks, threads, [&](int64_t i) {
        uint8_t *p = local.marks(i * local.block), *end = local.marks(std::min((i + 1) * local.block, local.ny));
        for (; p < end; ++p) *p = *p == STRONG;
    });
}

}  // namespace

void canny(View image, View mask, Ints axes, Ints radii, Doubles weights, Ints modes, double cval, View bleed, int stage, double low,
           double high, Doubles spacing, View output, int threads) {
    if (image.size() == 0) return;
    if (image.ndim == 3) {
        VolumeSmoothing smoothing;
        smoothing.cval = cval;
        auto w = weights.begin();
        for (size_t k = 0; k < axes.size(); ++k) {
            const int64_t axis = axes[k], length = 2 * radii[k] + 1;
            smoothing.radius[axis] = radii[k];
            smoothing.weights[axis].assign(w, w + length);
            smoothing.mode[axis] = Mode(modes[k]);
            w += length;
        }
        return CannyVolume(image, mask, smoothing, bleed, spacing, CannyVolume::Stage(stage), low, high, output).run(threads);
    }
    auto with = [&](auto a) {
        using A = decltype(a);
        run(Local<A>(image, mask, axes, radii, weights, modes, cval, bleed, Stage(stage), low, high, output, threads), threads);
    };
    if (image.dtype == DType::f32) with(float());
    else with(double());
}

}  // namespace fastmed
