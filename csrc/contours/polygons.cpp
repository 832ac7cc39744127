// Polygons over flat arrays, each on its own: convex hulls (Andrew 1979), simplification (Douglas & Peucker 1973, with
// OpenCV's choice of ends and its clean-up), distances of points.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels.hpp"
#include "parallel.hpp"

namespace fastmed {
namespace {

struct Point {
    double x, y;
};

inline double cross(const Point& a, const Point& b, const Point& c) {
    return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

// From a segment.
double squared_distance(const Point& t, const Point& a, const Point& b) {
    const double dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy;
    const double along = (t.x - a.x) * dx + (t.y - a.y) * dy, side = (t.y - a.y) * dx - (t.x - a.x) * dy;
    if (along <= 0 || length == 0) return (t.x - a.x) * (t.x - a.x) + (t.y - a.y) * (t.y - a.y);
    if (along >= length) return (t.x - b.x) * (t.x - b.x) + (t.y - b.y) * (t.y - b.y);
    return side * side / length;
}

struct Polygons {
    const Point* points;
    const int64_t* offsets;
    int64_t count;
    Polygons(const View& points, const View& offsets)
        : points(reinterpret_cast<const Point*>(points.data)), offsets(reinterpret_cast<const int64_t*>(offsets.data)),
          count(offsets.shape[0] - 1) {}
    const Point* begin(int64_t i) const { return points + offsets[i]; }
    int64_t size(int64_t i) const { return offsets[i + 1] - offsets[i]; }
};

// Runs pick(i, list) for every polygon, and puts the lists one after the other.
template <class Pick> Picked gathered(const Polygons& polygons, int threads, Pick&& pick) {
    std::vector<std::vector<int64_t>> found(polygons.count);
    parallel_for(polygons.count, threads, [&](int64_t i) { pick(i, found[i]); });
    Flat<int64_t> offsets(polygons.count + 1);
    offsets[0] = 0;
    for (int64_t i = 0; i < polygons.count; ++i) offsets[i + 1] = offsets[i] + static_cast<int64_t>(found[i].size());
    Flat<int64_t> picked(offsets[polygons.count]);
    for (int64_t i = 0; i < polygons.count; ++i)
        for (size_t k = 0; k < found[i].size(); ++k) picked[offsets[i] + k] = polygons.offsets[i] + found[i][k];
    return {std::move(picked), std::move(offsets)};
}

// Corners of the hull, from the leftmost (then topmost) point on, with y down clockwise as seen.
void hull(const Point* p, int64_t n, std::vector<int64_t>& corners) {
    std::vector<int64_t> order(n);
    for (int64_t i = 0; i < n; ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return p[a].x != p[b].x ? p[a].x < p[b].x : p[a].y != p[b].y ? p[a].y < p[b].y : a < b;
    });
    order.erase(std::unique(order.begin(), order.end(),
                            [&](int64_t a, int64_t b) { return p[a].x == p[b].x && p[a].y == p[b].y; }),
                order.end());
    if (order.size() < 3) return corners.swap(order);
    for (int side = 0; side < 2; ++side) {
        const size_t least = corners.size() + 2;
        for (int64_t i : order) {
            while (corners.size() >= least && cross(p[corners[corners.size() - 2]], p[corners.back()], p[i]) <= 0)
                corners.pop_back();
            corners.push_back(i);
        }
        corners.pop_back();  // the next side begins with it
        std::reverse(order.begin(), order.end());
    }
}

// One polygon being simplified: numbers of the points that stay.
class Simplifier {
  public:
    Simplifier(const Point* p, int64_t n, double tolerance, bool closed, std::vector<int64_t>& kept)
        : p_(p), n_(n), limit_(tolerance * tolerance), kept_(kept) {
        if (n == 0) return;
        if (!closed && (p[0].x != p[n - 1].x || p[0].y != p[n - 1].y)) {
            parts_.push_back({0, n - 1});
            split();
            kept.push_back(n - 1);
        } else {
            begin_closed(closed ? 3 : 1);
            split();
        }
        clean(closed);
    }

  private:
    struct Part {
        int64_t from, to;
    };
    const Point* p_;
    const int64_t n_;
    const double limit_;
    std::vector<int64_t>& kept_;
    std::vector<Part> parts_;

    // Two points far from each other: from a point to the farthest, some times over.
    void begin_closed(int times) {
        int64_t from = 0, far = 0;
        double farthest = 0;
        for (int t = 0; t < times; ++t) {
            from = (from + far) % n_;
            farthest = 0;
            for (int64_t j = 1; j < n_; ++j) {
                const Point& q = p_[(from + j) % n_];
                const double dx = q.x - p_[from].x, dy = q.y - p_[from].y, distance = dx * dx + dy * dy;
                if (distance > farthest) farthest = distance, far = j;
            }
        }
        if (farthest <= limit_) return kept_.push_back(from);
        const int64_t other = (from + far) % n_;
        parts_.push_back({other, from});
        parts_.push_back({from, other});
    }

    void split() {
        while (!parts_.empty()) {
            const Part part = parts_.back();
            parts_.pop_back();
            const Point a = p_[part.from], b = p_[part.to];
            double farthest = 0;
            int64_t middle = -1;
            for (int64_t i = next(part.from); i != part.to; i = next(i)) {
                const double distance = squared_distance(p_[i], a, b);
                if (distance > farthest) farthest = distance, middle = i;
            }
            if (farthest <= limit_) {
                kept_.push_back(part.from);
            } else {
                parts_.push_back({middle, part.to});
                parts_.push_back({part.from, middle});
            }
        }
    }
    int64_t next(int64_t i) const { return i + 1 < n_ ? i + 1 : 0; }

    // Leaves out points on nearly straight, neither upright nor level, lines between their neighbours.
    void clean(bool closed) {
        const int64_t count = static_cast<int64_t>(kept_.size());
        int64_t left = count, read = closed ? count - 1 : 0;
        auto take = [&] {
            const int64_t i = kept_[read];
            if (++read >= count) read = 0;
            return i;
        };
        int64_t start = take(), write = read, here = take();
        auto put = [&](int64_t i) {
            kept_[write] = start = i;
            if (++write >= count) write = 0;
        };
        for (int64_t i = closed ? 0 : 1; i < count - (closed ? 0 : 1) && left > 2; ++i) {
            const int64_t end = take();
            const Point &a = p_[start], &b = p_[here], &c = p_[end];
            const double dx = c.x - a.x, dy = c.y - a.y;
            const double distance = std::abs((b.x - a.x) * dy - (b.y - a.y) * dx);
            const double ahead = (b.x - a.x) * (c.x - b.x) + (b.y - a.y) * (c.y - b.y);
            if (distance * distance <= 0.5 * limit_ * (dx * dx + dy * dy) && dx != 0 && dy != 0 && ahead >= 0) {
                --left;
                put(end);
                here = take();
                ++i;
            } else {
                put(here);
                here = end;
            }
        }
        if (!closed) kept_[write] = here;
        kept_.resize(left);
    }
};

// How far a point lies from a polygon: positive inside (by the even-odd rule), 0 on it, negative outside.
double distance(const Point* p, int64_t n, const Point& t, bool measure) {
    double nearest = std::numeric_limits<double>::infinity();
    bool inside = false;
    for (int64_t i = 0; i < n; ++i) {
        const Point &a = p[i ? i - 1 : n - 1], &b = p[i];
        nearest = std::min(nearest, squared_distance(t, a, b));
        const double dy = b.y - a.y, side = (t.y - a.y) * (b.x - a.x) - (t.x - a.x) * dy;
        if ((a.y <= t.y) != (b.y <= t.y) && (dy > 0 ? side < 0 : side > 0)) inside = !inside;
    }
    if (nearest == 0) return 0;
    const double size = measure ? std::sqrt(nearest) : 1.0;
    return inside ? size : -size;
}

}  // namespace

Picked convex_hulls(View points, View offsets, int threads) {
    const Polygons all(points, offsets);
    return gathered(all, threads, [&](int64_t i, std::vector<int64_t>& corners) { hull(all.begin(i), all.size(i), corners); });
}

Picked simplify_contours(View points, View offsets, double tolerance, bool closed, int threads) {
    const Polygons all(points, offsets);
    return gathered(all, threads, [&](int64_t i, std::vector<int64_t>& kept) {
        Simplifier(all.begin(i), all.size(i), tolerance, closed, kept);
    });
}

void contour_distances(View points, View offsets, View targets, bool measure, View output, int threads) {
    const Polygons all(points, offsets);
    const auto* target = reinterpret_cast<const Point*>(targets.data);
    const int64_t m = targets.shape[0];
    auto* out = reinterpret_cast<double*>(output.data);
    parallel_for(all.count, threads, [&](int64_t i) {
        for (int64_t j = 0; j < m; ++j) out[i * m + j] = distance(all.begin(i), all.size(i), target[j], measure);
    });
}

}  // namespace fastmed
