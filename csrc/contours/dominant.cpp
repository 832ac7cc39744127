// Dominant points of digital curves (Teh & Chin 1989, IEEE PAMI 11: 859-872), with OpenCV's rules where the paper leaves
// a choice: curvature is the turn between two steps, or the largest cosine over the support; points next to each other
// that remain are thinned out (not with the cosine).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "follow.hpp"
#include "kernels.hpp"
#include "parallel.hpp"

namespace fastmed {
namespace {

struct Pixel {
    int32_t x, y;
};

class Curve {
  public:
    Curve(const Pixel* p, int64_t n, bool cosine, std::vector<int64_t>& kept)
        : p_(p), n_(n), curvature_(n), support_(n), kept_(kept) {
        if (n == 1) {
            kept.push_back(0);
            return;
        }
        turns();
        for (int64_t i : kept) support_[i] = support(i);
        if (cosine)
            for (int64_t i : kept) curvature_[i] = sharpest(i);
        drop([&](int64_t i) { return outdone(i); });
        drop([&](int64_t i) { return single(i); });
        if (!cosine) thin_out();
    }

  private:
    const Pixel* p_;
    const int64_t n_;
    std::vector<int32_t> curvature_;
    std::vector<int64_t> support_;
    std::vector<int64_t>& kept_;

    int64_t before(int64_t i, int64_t k) const { return i >= k ? i - k : i - k + n_; }
    int64_t after(int64_t i, int64_t k) const { return i + k < n_ ? i + k : i + k - n_; }

    int step(int64_t i) const {
        const Pixel &a = p_[i], &b = p_[after(i, 1)];
        for (int d = 0; d < 8; ++d)
            if (DX[d] == b.x - a.x && DY[d] == b.y - a.y) return d;
        return 0;
    }

    // By how many eighths of a circle the curve turns at each point; those where it does not are gone.
    void turns() {
        int last = step(n_ - 1);
        for (int64_t i = 0; i < n_; ++i) {
            const int here = step(i), turn = (here - last) & 7;
            curvature_[i] = turn > 4 ? 8 - turn : turn;
            if (turn) kept_.push_back(i);
            last = here;
        }
    }

    // How far the curve around a point is its own: while the chord grows and the point's distance from it, too.
    int64_t support(int64_t i) const {
        int64_t chord = 0, distance = 0;
        for (int64_t k = 1;; ++k) {
            const Pixel &a = p_[before(i, k)], &b = p_[after(i, k)];
            const int64_t dx = b.x - a.x, dy = b.y - a.y, longer = dx * dx + dy * dy;
            const int64_t farther = (p_[i].x - a.x) * dy - (p_[i].y - a.y) * dx;
            const double gain = static_cast<double>(distance) * longer - static_cast<double>(farther) * chord;
            if (k > 1 && (chord >= longer || (distance > 0 && gain <= 0) || (distance < 0 && gain >= 0))) return k - 1;
            chord = longer;
            distance = farther;
        }
    }

    // The largest cosine (and 1.1, so that it is positive) of the angle at a point, from the support inward while it grows.
    int32_t sharpest(int64_t i) const {
        int32_t best = 0;
        for (int64_t k = support_[i]; k > 0; --k) {
            const Pixel &a = p_[before(i, k)], &b = p_[after(i, k)];
            const double ax = a.x - p_[i].x, ay = a.y - p_[i].y, bx = b.x - p_[i].x, by = b.y - p_[i].y;
            if ((ax == 0 && ay == 0) || (bx == 0 && by == 0)) break;
            const double lengths = std::sqrt((ax * ax + ay * ay) * (bx * bx + by * by));
            const float positive = static_cast<float>(static_cast<float>((ax * bx + ay * by) / lengths) + 1.1);
            int32_t bits;  // ordered as the numbers are
            std::memcpy(&bits, &positive, sizeof bits);
            if (k < support_[i] && bits <= best) break;
            best = bits;
        }
        return best;
    }

    bool outdone(int64_t i) const {
        for (int64_t k = 1; k <= support_[i] / 2; ++k)
            if (curvature_[before(i, k)] > curvature_[i] || curvature_[after(i, k)] > curvature_[i]) return true;
        return false;
    }
    bool single(int64_t i) const {
        return support_[i] == 1 &&
               (curvature_[i] <= curvature_[before(i, 1)] || curvature_[i] <= curvature_[after(i, 1)]);
    }
    // One after the other: a point that goes no longer outdoes those after it.
    template <class Gone> void drop(Gone&& gone) {
        size_t left = 0;
        for (int64_t i : kept_) {
            if (gone(i))
                curvature_[i] = 0;
            else
                kept_[left++] = i;
        }
        kept_.resize(left);
    }

    // Of two neighbours the stronger stays, of more the first and the last. Around the curve's first point the list is
    // not as it should be in OpenCV, and so not here: of more that go over it the last begins the list, after all between
    // it and the first point, and the first ends it; a group of more that begins the list keeps its second point, too,
    // if it begins at the first point or two go over that.
    void thin_out() {
        if (kept_.empty()) return;
        std::vector<int64_t> points = kept_;
        const bool over_first = curvature_[0] && curvature_[n_ - 1];
        if (over_first && !turned(points)) return;
        const bool two_over = over_first && points.back() == n_ && (points.size() < 3 || points[points.size() - 3] != n_ - 2);
        kept_.clear();
        for (size_t first = 0, end; first < points.size(); first = end) {
            end = first + 1;
            while (end < points.size() && points[end] == points[end - 1] + 1) ++end;
            const int64_t a = points[first], b = points[end - 1];
            if (end - first == 2) {
                const int64_t ia = a % n_, ib = b % n_;
                const bool second_goes = curvature_[ia] > curvature_[ib] ||
                                         (curvature_[ia] == curvature_[ib] && support_[ia] <= support_[ib]);
                kept_.push_back(second_goes ? ia : ib);
                if (b >= n_) kept_.insert(kept_.begin(), ib);  // the curve's first point stays in its place, too
            } else {
                kept_.push_back(a % n_);
                if (end - first == 1) continue;
                if (over_first && end == points.size()) {
                    for (int64_t i = b % n_; i >= 0; --i) kept_.insert(kept_.begin(), i);
                } else {
                    if (first == 0 && (two_over || a == 0)) kept_.push_back(a + 1);
                    kept_.push_back(b % n_);
                }
            }
        }
    }

    // The list begun behind the group that goes over the curve's first point. False: all points are one group.
    bool turned(std::vector<int64_t>& points) {
        size_t head = 1;
        while (head < points.size() && points[head] == points[head - 1] + 1) ++head;
        if (static_cast<int64_t>(head) == n_) return false;
        std::vector<int64_t> order(points.begin() + head, points.end());
        for (size_t i = 0; i < head; ++i) order.push_back(points[i] + n_);
        points.swap(order);
        return true;
    }
};

}  // namespace

Picked dominant_points(View points, View offsets, bool cosine, int threads) {
    const auto* p = reinterpret_cast<const Pixel*>(points.data);
    const auto* begin = reinterpret_cast<const int64_t*>(offsets.data);
    const int64_t count = offsets.shape[0] - 1;
    std::vector<std::vector<int64_t>> found(count);
    parallel_for(count, threads, [&](int64_t i) { Curve(p + begin[i], begin[i + 1] - begin[i], cosine, found[i]); });
    Flat<int64_t> ends(count + 1);
    ends[0] = 0;
    for (int64_t i = 0; i < count; ++i) ends[i + 1] = ends[i] + static_cast<int64_t>(found[i].size());
    Flat<int64_t> picked(ends[count]);
    for (int64_t i = 0; i < count; ++i)
        for (size_t k = 0; k < found[i].size(); ++k) picked[ends[i] + k] = begin[i] + found[i][k];
    return {std::move(picked), std::move(ends)};
}

}  // namespace fastmed
