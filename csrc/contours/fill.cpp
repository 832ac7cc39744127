// Contours to masks: every border flips the pixels behind the places where it crosses rows; a sum along the rows ends it.
//
// Borders as they are traced: the turn from one step to the next shows whether background lies left or right of a pixel,
// which is where a run of the mask begins or ends; each such end lies on exactly one border. Other polygons: a pixel is
// in if its centre is, by the even-odd rule; of centres on an edge those on its left and upper side are in.
#include <cmath>

#include "follow.hpp"
#include "kernels.hpp"
#include "parallel.hpp"

namespace fastmed {
namespace {

template <class T> class Canvas {
  public:
    Canvas(const View& output)
        : data_(reinterpret_cast<T*>(output.data)), rows_(output.shape[1]), columns_(output.shape[2]) {}

    void flip(int64_t z, int64_t y, int64_t x, T value) {
        if (x < columns_) data_[(z * rows_ + y) * columns_ + x] ^= value;
    }
    void sum_row(int64_t row) {
        T* p = data_ + row * columns_;
        for (int64_t x = 1; x < columns_; ++x) p[x] ^= p[x - 1];
    }
    int64_t rows() const { return rows_; }
    int64_t columns() const { return columns_; }

  private:
    T* data_;
    int64_t rows_, columns_;
};

int sign(double v) { return (v > 0) - (v < 0); }

// The direction of an edge along a row, a column or a diagonal.
int direction(double dx, double dy) {
    for (int d = 0; d < 8; ++d)
        if (DX[d] == sign(dx) && DY[d] == sign(dy)) return d;
    return 0;
}

template <class T> void fill_pixels(Canvas<T>& canvas, const double* p, int64_t n, int64_t z, T value) {
    auto end_runs = [&](int64_t x, int64_t y, int from, int to) {
        for (int turn = 1; turn < 8 && ((from + turn) & 7) != to; ++turn) {
            const int d = (from + turn) & 7;
            if (d == 4) canvas.flip(z, y, x, value);
            if (d == 0) canvas.flip(z, y, x + 1, value);
        }
    };
    if (n == 1) {
        const int64_t x = static_cast<int64_t>(p[0]), y = static_cast<int64_t>(p[1]);
        canvas.flip(z, y, x, value);
        canvas.flip(z, y, x + 1, value);
        return;
    }
    int before = direction(p[0] - p[2 * n - 2], p[1] - p[2 * n - 1]);
    for (int64_t i = 0; i < n; ++i) {
        const double* next = p + 2 * (i + 1 < n ? i + 1 : 0);
        const double dx = next[0] - p[2 * i], dy = next[1] - p[2 * i + 1];
        const int64_t steps = static_cast<int64_t>(std::max(std::abs(dx), std::abs(dy)));
        if (!steps) continue;
        const int d = direction(dx, dy);
        int64_t x = static_cast<int64_t>(p[2 * i]), y = static_cast<int64_t>(p[2 * i + 1]);
        for (int64_t k = 0; k < steps; ++k, x += DX[d], y += DY[d], before = d) end_runs(x, y, before ^ 4, d);
    }
}

template <class T> void fill_centres(Canvas<T>& canvas, const double* p, int64_t n, int64_t z, T value) {
    for (int64_t i = 0; i < n; ++i) {
        const double *a = p + 2 * i, *b = p + 2 * (i + 1 < n ? i + 1 : 0);
        if (a[1] > b[1]) std::swap(a, b);
        const double last = std::min(std::ceil(b[1]), static_cast<double>(canvas.rows()));
        for (double y = std::max(std::ceil(a[1]), 0.0); y < last; ++y) {
            const double x = std::ceil(a[0] + (b[0] - a[0]) * ((y - a[1]) / (b[1] - a[1])));
            if (x < canvas.columns()) canvas.flip(z, static_cast<int64_t>(y), static_cast<int64_t>(std::max(x, 0.0)), value);
        }
    }
}

}  // namespace

void fill_contours(View points, View offsets, View planes, View values, bool pixels, View output, int threads) {
    const auto* p = reinterpret_cast<const double*>(points.data);
    const auto* begin = reinterpret_cast<const int64_t*>(offsets.data);
    const auto* plane = reinterpret_cast<const int32_t*>(planes.data);
    const auto* value = reinterpret_cast<const int32_t*>(values.data);
    const int64_t count = offsets.shape[0] - 1;
    auto fill = [&](auto t) {
        using T = decltype(t);
        Canvas<T> canvas(output);
        for (int64_t i = 0; i < count; ++i) {
            const int64_t n = begin[i + 1] - begin[i];
            if (pixels)
                fill_pixels(canvas, p + 2 * begin[i], n, plane[i], static_cast<T>(value[i]));
            else
                fill_centres(canvas, p + 2 * begin[i], n, plane[i], static_cast<T>(value[i]));
        }
        parallel_for(output.shape[0] * output.shape[1], threads, [&](int64_t row) { canvas.sum_row(row); });
    };
    if (output.dtype == DType::i32)
        fill(int32_t{});
    else
        fill(uint8_t{});
}

}  // namespace fastmed
