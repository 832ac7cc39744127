// Canny's detector in three dimensions: Gaussian, Sobel, suppression along the gradient, marks; hysteresis follows.
//
// A unit of work is a bar of some rows that walks along the first axis: slices of the bar go through a ring as long as
// the Gaussian, four smoothed ones and three of magnitudes stay at hand. All arithmetic is in double: rounding is then
// far below TIE, which makes the marks the same when axes are swapped or reversed.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "../border.hpp"
#include "../parallel.hpp"
#include "../weighted_rows.hpp"
#include "hysteresis.hpp"
#include "scaled.hpp"
#include "volume_maxima.hpp"

namespace fastmed {

struct VolumeSmoothing {  // one pass per axis; radius 0: none
    int64_t radius[3] = {0, 0, 0};
    Doubles weights[3] = {{1.0}, {1.0}, {1.0}};
    Mode mode[3] = {Mode::nearest, Mode::nearest, Mode::nearest};
    double cval = 0;
};

struct Bar {  // rows [first, end) of all slices
    int64_t first, end;
    int64_t rows() const { return end - first; }
};

// Smooths slice after slice of a bar. `load(z, y, to)` gives a row of the volume.
template <class Load> class BarSmoother {
public:
    BarSmoother(const VolumeSmoothing& s, const int64_t* shape, int64_t most_rows, Load load)
        : s_(s), shape_(shape), load_(std::move(load)), width_(whole<double>(shape[2]) + STRIDE<double>),
          slots_(2 * s.radius[0] + 1), most_(most_rows + 2 * s.radius[1]), ring_(slots_ * most_ * width_),
          along_z_(s.radius[0] ? most_ * width_ : 0), line_(width_ + 2 * s.radius[2]), held_(slots_) {}

    void start(const Bar& bar) {
        bar_ = bar;
        std::fill(held_.begin(), held_.end(), std::numeric_limits<int64_t>::min());
    }
    // Slice z into rows of `out`, `stride` apart.
    void slice(int64_t z, double* out, int64_t stride) {
        const int64_t r = s_.radius[0];
        for (int64_t v = z - r; v <= z + r; ++v) fetch(v);
        for (int64_t j = 0; r && j < rows(); ++j) {
            double* to = along_z_.data() + j * width_;
            if (source_row(j) < 0) std::fill_n(to, shape_[2], s_.cval);
            else sum_taps<double, false>([&](int64_t k) { return slot(z - r + k) + j * width_; }, s_.weights[0].data(), r, shape_[2], to);
        }
        const double* from = r ? along_z_.data() : slot(z);
        for (int64_t t = 0; t < bar_.rows(); ++t) row(from + t * width_, out + t * stride);
    }

private:
    const VolumeSmoothing& s_;
    const int64_t* shape_;
    Load load_;
    Bar bar_{0, 0};
    const int64_t width_, slots_, most_;
    std::vector<double> ring_, along_z_, line_;
    std::vector<int64_t> held_;  // the slice in each slot of the ring

    int64_t rows() const { return bar_.rows() + 2 * s_.radius[1]; }
    int64_t source_row(int64_t j) const { return border_index(bar_.first - s_.radius[1] + j, shape_[1], s_.mode[1]); }
    int64_t slot_of(int64_t v) const { return ((v % slots_) + slots_) % slots_; }
    double* slot(int64_t v) { return ring_.data() + slot_of(v) * most_ * width_; }

    void fetch(int64_t v) {
        int64_t& held = held_[slot_of(v)];
        if (held == v) return;
        held = v;
        const int64_t z = border_index(v, shape_[0], s_.mode[0]);
        for (int64_t j = 0; j < rows(); ++j) {
            double* to = slot(v) + j * width_;
            const int64_t y = source_row(j);
            if (z < 0 || y < 0) std::fill_n(to, shape_[2], s_.cval);
            else load_(z, y, to);
        }
    }
    // One row along the second axis, then along the third.
    void row(const double* from, double* out) {
        const int64_t ry = s_.radius[1], rx = s_.radius[2], n = shape_[2];
        double* line = rx ? line_.data() + rx : out;
        if (ry) sum_taps<double, false>([&](int64_t k) { return from + k * width_; }, s_.weights[1].data(), ry, n, line);
        else std::copy_n(from, n, line);
        if (!rx) return;
        for (int64_t i = 1; i <= rx; ++i)
            for (const int64_t x : {-i, n - 1 + i}) {
                const int64_t k = border_index(x, n, s_.mode[2]);
                line[x] = k < 0 ? s_.cval : line[k];
            }
        sum_taps<double, false>([&](int64_t k) { return line - rx + k; }, s_.weights[2].data(), rx, n, out);
    }
};

// Of the nine rows around a row, at x in [-1, n]: `a` the difference along the first axis, smoothed along the second, `b`
// the other way round, `c` smoothed along both. Parameters, because of pointers kept elsewhere the compiler does not
// believe __restrict: the rows then ran at a sixth of the speed.
inline void volume_sums(const double* const (&s)[3][3], int64_t n, double* __restrict a, double* __restrict b, double* __restrict c) {
    const double *s00 = s[0][0], *s01 = s[0][1], *s02 = s[0][2], *s10 = s[1][0], *s11 = s[1][1], *s12 = s[1][2];
    const double *s20 = s[2][0], *s21 = s[2][1], *s22 = s[2][2];
    for (int64_t x = -1; x <= n; ++x) {
        const double before = (s00[x] + s02[x]) + 2 * s01[x], at = (s10[x] + s12[x]) + 2 * s11[x], after = (s20[x] + s22[x]) + 2 * s21[x];
        a[x] = after - before;
        b[x] = ((s02[x] - s00[x]) + (s22[x] - s20[x])) + 2 * (s12[x] - s10[x]);
        c[x] = (before + after) + 2 * at;
    }
}

// Sobel's three components of a row from those sums, per mm by `factor`, and their length; the components go out in
// voxels, once more times `per_mm`. A smoothing [1 2 1] counts 4 in it once, as in two dimensions.
template <class G>
inline void volume_gradient(const double* a, const double* b, const double* c, int64_t n, const double* factor, const double* per_mm,
                            G* __restrict gz, G* __restrict gy, G* __restrict gx, double* __restrict m) {
    const double fz = factor[0], fy = factor[1], fx = factor[2], vz = per_mm[0], vy = per_mm[1], vx = per_mm[2];
    for (int64_t x = 0; x < n; ++x) {
        const double z = ((a[x - 1] + a[x + 1]) + 2 * a[x]) * fz;
        const double y = ((b[x - 1] + b[x + 1]) + 2 * b[x]) * fy;
        const double w = (c[x + 1] - c[x - 1]) * fx;
        gz[x] = G(z * vz), gy[x] = G(y * vy), gx[x] = G(w * vx);
        m[x] = std::sqrt(z * z + y * y + w * w);
    }
}

class CannyVolume {
public:
    enum Stage : int { SMOOTHED = 0, MAGNITUDE = 1, MARKS = 2, EDGES = 3 };

    CannyVolume(const View& image, const View& mask, const VolumeSmoothing& smoothing, const View& bleed, const Doubles& spacing,
                Stage stage, double low, double high, const View& output)
        : image_(image), mask_(mask), bleed_(bleed), output_(output), smoothing_(smoothing), stage_(stage), low_(low), high_(high),
          shape_{image.shape[0], image.shape[1], image.shape[2]}, width_(whole<double>(shape_[2]) + 2 * MARGIN),
          bounds_(low, high, *std::max_element(spacing.begin(), spacing.end())) {
        for (int d = 0; d < 3; ++d) per_mm_[d] = 1 / spacing[d], factor_[d] = 0.25 * per_mm_[d];
    }

    void run(int threads) const {
        const int64_t nz = shape_[0], ny = shape_[1], rz = smoothing_.radius[0], ry = smoothing_.radius[1];
        // The slices at hand stay in the second level cache, but the rows computed twice stay few; the same holds of
        // slices, where an interrupt must be answered between two units.
        const int64_t rows = (int64_t(1) << 20) / ((2 * rz + 14) * width_ * int64_t(sizeof(double)));
        int64_t height = std::min(std::max({rows, 4 * ry, int64_t(32)}), ny);
        if (ny / height < threads) height = std::min(height, std::max<int64_t>((ny + threads - 1) / threads, 16));
        const int64_t length = std::min(nz, std::max((int64_t(1) << 21) / (height * width_), 8 * rz + 32));
        const int64_t bars = (ny + height - 1) / height, parts = (nz + length - 1) / length;
        parallel_for(bars * parts, threads, [&] { return Scratch(*this, std::min(height + 4, ny)); }, [&](Scratch& s, int64_t i) {
            const int64_t y = i / parts * height, z = i % parts * length;
            unit(s, {y, std::min(y + height, ny)}, z, std::min(z + length, nz));
        });
        if (stage_ == EDGES)
            Hysteresis(reinterpret_cast<uint8_t*>(output_.data), {shape_, shape_ + 3}, 3, true).run(threads);
    }

private:
    static constexpr int64_t MARGIN = 16;
    static constexpr int64_t RING = 4;  // smoothed slices at hand: those around a gradient, and around the one before it
    const View &image_, &mask_, &bleed_, &output_;
    const VolumeSmoothing& smoothing_;
    const Stage stage_;
    const double low_, high_;
    const int64_t shape_[3], width_;
    const FloatBounds bounds_;
    double per_mm_[3], factor_[3];

    bool masked() const { return mask_.ndim == 3; }
    uint8_t inside(int64_t z, int64_t y, int64_t x) const {
        return *reinterpret_cast<const uint8_t*>(mask_.data + z * mask_.strides[0] + y * mask_.strides[1] + x * mask_.strides[2]);
    }

    struct LoadImage {
        const CannyVolume& c;
        void operator()(int64_t z, int64_t y, double* to) const {
            load_scaled(c.image_.at(0, z), y, to);
            if (!c.masked()) return;
            for (int64_t x = 0; x < c.shape_[2]; ++x) to[x] = c.inside(z, y, x) ? to[x] : 0.0;
        }
    };
    struct LoadMask {
        const CannyVolume& c;
        void operator()(int64_t z, int64_t y, double* to) const {
            for (int64_t x = 0; x < c.shape_[2]; ++x) to[x] = c.inside(z, y, x);
        }
    };
    struct Scratch {
        BarSmoother<LoadImage> image;
        BarSmoother<LoadMask> mask;
        int64_t slice;  // elements of a slice of the bar
        std::vector<double> smooth, share, magnitude, rows, table;
        std::vector<float> magnitude_f, gradient_f;
        std::vector<int32_t> marks;
        Scratch(const CannyVolume& c, int64_t most)
            : image(c.smoothing_, c.shape_, most, {c}), mask(c.smoothing_, c.shape_, c.masked() ? most : 0, {c}), slice(most * c.width_),
              smooth(RING * slice), share(c.masked() ? slice : 0), magnitude(3 * slice), rows(6 * c.width_), table(c.width_),
              magnitude_f(c.stage_ >= MARKS ? 3 * slice : 0), gradient_f(6 * slice), marks(c.width_) {}
    };

    // Rows of `own`, slices [z0, z1).
    void unit(Scratch& s, Bar own, int64_t z0, int64_t z1) const {
        const int64_t nz = shape_[0], ny = shape_[1];
        const Bar wide{std::max<int64_t>(0, own.first - 2), std::min(ny, own.end + 2)};
        const int64_t begin = std::max<int64_t>(0, z0 - 2), end = std::min(nz, z1 + 2);
        s.image.start(wide);
        if (masked()) s.mask.start(wide);
        for (int64_t z = begin; z < end + 2; ++z) {
            if (z < end) smooth(s, wide, z);
            if (stage_ == SMOOTHED) {
                if (z >= z0 && z < z1) copy_out(slice(s, z), own, wide, z);
                continue;
            }
            const int64_t g = z - 1, m = z - 2;  // the slices whose neighbours are there now
            if (g >= std::max<int64_t>(0, z0 - 1) && g < std::min(nz, z1 + 1)) differentiate(s, wide, own, g);
            if (stage_ == MAGNITUDE && g >= z0 && g < z1) copy_out(s.magnitude.data() + g % 3 * s.slice, own, wide, g);
            if (stage_ >= MARKS && m >= z0 && m < z1) mark(s, wide, own, m);
        }
    }
    // Slices and rows of a bar, in their rings.
    double* slice(Scratch& s, int64_t z) const { return s.smooth.data() + z % RING * s.slice; }
    int64_t at(const Scratch& s, int64_t z, int64_t line) const { return z % 3 * s.slice + line * width_ + MARGIN; }
    float* component(Scratch& s, int64_t z, int axis, int64_t line) const {
        return s.gradient_f.data() + (z % 2 * 3 + axis) * s.slice + line * width_ + MARGIN;
    }
    void copy_out(const double* from, Bar own, Bar wide, int64_t z) const {
        double* to = reinterpret_cast<double*>(output_.data) + z * shape_[1] * shape_[2];
        for (int64_t y = own.first; y < own.end; ++y)
            std::copy_n(from + (y - wide.first) * width_ + MARGIN, shape_[2], to + y * shape_[2]);
    }

    void smooth(Scratch& s, Bar wide, int64_t z) const {
        const int64_t n = shape_[2];
        s.image.slice(z, slice(s, z) + MARGIN, width_);
        if (masked()) s.mask.slice(z, s.share.data() + MARGIN, width_);
        for (int64_t y = wide.first; y < wide.end; ++y) {
            double* at = slice(s, z) + MARGIN + (y - wide.first) * width_;
            if (masked()) {
                const double* share = s.share.data() + MARGIN + (y - wide.first) * width_;
                for (int64_t x = 0; x < n; ++x) at[x] /= share[x] + std::numeric_limits<double>::epsilon();
            } else if (bleed_.ndim == 3) {
                const char* line = bleed_.data + place(z, 0) * bleed_.strides[0] + place(y, 1) * bleed_.strides[1];
                const int64_t r = std::min(smoothing_.radius[2], n), last = std::max(r, n - r);
                auto weight = [&](int64_t x) { return *reinterpret_cast<const double*>(line + place(x, 2) * bleed_.strides[2]); };
                for (int64_t x = 0; x < r; ++x) s.table[x] = weight(x);
                if (last > r) std::fill(s.table.data() + r, s.table.data() + last, weight(r));
                for (int64_t x = last; x < n; ++x) s.table[x] = weight(x);
                divide(at, s.table.data(), n);
            }
            at[-1] = at[0];  // Sobel reflects
            at[n] = at[n - 1];
        }
    }
    static void divide(double* __restrict row, const double* by, int64_t n) {
        for (int64_t x = 0; x < n; ++x) row[x] /= by[x];
    }
    // The place in a table in which what lies further than a radius from the ends stands once.
    int64_t place(int64_t i, int axis) const {
        const int64_t n = shape_[axis], table = bleed_.shape[axis], r = smoothing_.radius[axis];
        return n == table || i < r ? i : i >= n - r ? table - (n - i) : r;
    }

    // Of n voxels of a row, from x on: the gradient in voxels, and its length per mm.
    template <class G> void gradient(Scratch& s, Bar wide, int64_t z, int64_t y, int64_t x, int64_t n, G* const (&g)[3], double* magnitude) const {
        const double* around[3][3];
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j)
                around[i][j] = slice(s, std::clamp<int64_t>(z + i - 1, 0, shape_[0] - 1)) + MARGIN + x +
                               (std::clamp<int64_t>(y + j - 1, 0, shape_[1] - 1) - wide.first) * width_;
        double *a = s.rows.data() + MARGIN, *b = a + width_, *c = b + width_;
        volume_sums(around, n, a, b, c);
        volume_gradient(a, b, c, n, factor_, per_mm_, g[0], g[1], g[2], magnitude);
    }
    void differentiate(Scratch& s, Bar wide, Bar own, int64_t z) const {
        for (int64_t y = std::max<int64_t>(0, own.first - 1); y < std::min(shape_[1], own.end + 1); ++y) {
            const int64_t line = y - wide.first;
            double* magnitude = s.magnitude.data() + at(s, z, line);
            gradient(s, wide, z, y, 0, shape_[2], {component(s, z, 0, line), component(s, z, 1, line), component(s, z, 2, line)}, magnitude);
            if (stage_ >= MARKS) rounded(magnitude, shape_[2], s.magnitude_f.data() + at(s, z, line));
        }
    }
    static void rounded(const double* from, int64_t n, float* __restrict to) {
        for (int64_t x = 0; x < n; ++x) to[x] = static_cast<float>(from[x]);
    }

    void mark(Scratch& s, Bar wide, Bar own, int64_t z) const {
        const int64_t ny = shape_[1], nx = shape_[2];
        const bool rim = z == 0 || z == shape_[0] - 1 || nx < 3;
        for (int64_t y = own.first; y < own.end; ++y) {
            uint8_t* marks = reinterpret_cast<uint8_t*>(output_.data) + (z * ny + y) * nx;
            if (rim || y == 0 || y == ny - 1) std::fill_n(marks, nx, uint8_t(NOTHING));
            else mark_row(s, wide, z, y, marks);
        }
    }
    void mark_row(Scratch& s, Bar wide, int64_t z, int64_t y, uint8_t* marks) const {
        const int64_t nx = shape_[2], line = y - wide.first;
        const float* around[3][3];
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j) around[i][j] = s.magnitude_f.data() + at(s, z + i - 1, line + j - 1);
        const float* g[3];
        for (int axis = 0; axis < 3; ++axis) g[axis] = component(s, z, axis, line);
        if (!mark_row_of_floats(around, g, nx, bounds_, s.marks.data())) {
            std::fill_n(marks, nx, uint8_t(NOTHING));
            return;
        }
        if (narrowed(s.marks.data(), nx, marks) & UNDECIDED) decide(s, wide, z, y, marks);
        for (int64_t x = 1; masked() && x + 1 < nx; ++x)
            if (marks[x] && !all_inside(z, y, x)) marks[x] = NOTHING;
    }
    static int32_t narrowed(const int32_t* from, int64_t n, uint8_t* __restrict to) {
        int32_t any = 0;
        for (int64_t x = 0; x < n; ++x) any |= from[x], to[x] = uint8_t(from[x]);
        return any;
    }
    // The undecided marks of a row, in double.
    void decide(Scratch& s, Bar wide, int64_t z, int64_t y, uint8_t* marks) const {
        int64_t first = 1, last = shape_[2] - 2;
        while (marks[first] != UNDECIDED) ++first;
        while (marks[last] != UNDECIDED) --last;
        const int64_t line = y - wide.first, here = z % 3 * s.slice;  // slices lie anywhere in the ring
        const int64_t up = (z + 1) % 3 * s.slice - here, down = (z + 2) % 3 * s.slice - here;
        const double* m = s.magnitude.data() + at(s, z, line);
        double* const g[3] = {s.rows.data() + 3 * width_, s.rows.data() + 4 * width_, s.rows.data() + 5 * width_};
        gradient(s, wide, z, y, first, last - first + 1, g, s.table.data());
        for (int64_t x = first; x <= last; ++x) {
            if (marks[x] != UNDECIDED) continue;
            const int64_t i = x - first;
            const bool counts = (m[x] >= low_) & (m[x] <= std::numeric_limits<double>::max());
            const bool highest = counts && is_highest(m + x, up, down, width_, g[0][i], g[1][i], g[2][i]);
            marks[x] = uint8_t(highest) << uint8_t(m[x] >= high_);  // WEAK or STRONG
        }
    }
    bool all_inside(int64_t z, int64_t y, int64_t x) const {
        for (int64_t i = z - 1; i <= z + 1; ++i)
            for (int64_t j = y - 1; j <= y + 1; ++j)
                for (int64_t k = x - 1; k <= x + 1; ++k)
                    if (!inside(i, j, k)) return false;
        return true;
    }
};

}  // namespace fastmed
