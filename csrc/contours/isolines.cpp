// Iso-lines: marching squares (Lorensen & Cline 1987 in two dimensions), the segments joined in raster order.
//
// Whether pixels lie above the level is packed to a bit each, so squares that the line does not cross cost a few
// operations per 64. Where segments meet is looked up in two rows of ends, not in a dictionary: a segment can only
// meet others of its own row of squares and of the next. Several lines may end at one pixel whose value is the level;
// the last one noted there is then the one that goes on, as in scikit-image, whose order is kept exactly.
#include "above.hpp"
#include "kernels.hpp"

namespace fastmed {
namespace {

enum Side : int { TOP, BOTTOM, LEFT, RIGHT, NONE };

// Of each square, by which corners lie above the level (1 upper left, 2 upper right, 4 lower left, 8 lower right):
// the sides that its one or two segments run between, higher values on their left (y points down). Squares of two
// opposite corners are read as joining the lower ones; JOINED has those that join the higher ones.
struct Crossing {
    Side from, to, from2, to2;
};
constexpr Crossing CROSSINGS[16] = {
    {NONE, NONE, NONE, NONE}, {TOP, LEFT, NONE, NONE},  {RIGHT, TOP, NONE, NONE},   {RIGHT, LEFT, NONE, NONE},
    {LEFT, BOTTOM, NONE, NONE}, {TOP, BOTTOM, NONE, NONE}, {RIGHT, TOP, LEFT, BOTTOM}, {RIGHT, BOTTOM, NONE, NONE},
    {BOTTOM, RIGHT, NONE, NONE}, {TOP, LEFT, BOTTOM, RIGHT}, {BOTTOM, TOP, NONE, NONE}, {BOTTOM, LEFT, NONE, NONE},
    {LEFT, RIGHT, NONE, NONE}, {TOP, RIGHT, NONE, NONE}, {LEFT, TOP, NONE, NONE},   {NONE, NONE, NONE, NONE},
};
constexpr Crossing JOINED_6 = {LEFT, TOP, RIGHT, BOTTOM}, JOINED_9 = {TOP, RIGHT, BOTTOM, LEFT};

struct Point {
    double row, column;
    int64_t key;   // the same for the same place on the grid; -1: nowhere (a coordinate is NaN)
    int64_t next;  // of its line
};

struct Line {
    int64_t first, last, count;  // count 0: it became part of another
};

// Which line begins (or ends) at a place, for the places of two rows of the grid.
class Ends {
  public:
    explicit Ends(int64_t columns) : pitch_(3 * columns), entries_(2 * pitch_, Entry{-1, -1}) {}
    void go_to_row(int64_t r) { from_ = r * pitch_, turned_ = r % 2 * pitch_; }

    int64_t take(int64_t key) {  // and forget it; -1: none
        if (key < from_) return -1;
        Entry& e = entry(key);
        if (e.key != key) return -1;
        e.key = -1;
        return e.line;
    }
    void set(int64_t key, int64_t line) {
        if (key >= from_) entry(key) = {key, line};
    }

  private:
    struct Entry {
        int64_t key, line;
    };
    const int64_t pitch_;
    int64_t from_ = 0, turned_ = 0;
    std::vector<Entry> entries_;

    Entry& entry(int64_t key) {
        const int64_t i = key - from_ + turned_;
        return entries_[i < 2 * pitch_ ? i : i - 2 * pitch_];
    }
};

template <class T> class Squares {
  public:
    Flat<Point> points;
    Flat<Line> lines;

    Squares(const View& image, const View& mask, const Above& above, double level, bool high)
        : image_(image), mask_(mask), above_(above), level_(level), high_(high), starts_(above.columns),
          ends_(above.columns) {
        detail::Pulse pulse;
        for (int64_t r = 0; r + 1 < above.rows; ++r) {
            starts_.go_to_row(r);
            ends_.go_to_row(r);
            for (int64_t w = 0; w < above.words; ++w)
                for (uint64_t crossed = above.crossed(r, w); crossed; crossed &= crossed - 1)
                    square(r, 64 * w + lowest_bit(crossed));
            if (r % 16 == 0 && pulse.stop()) throw Interrupted{};
        }
    }

  private:
    const View &image_, &mask_;
    const Above& above_;
    const double level_;
    const bool high_;
    Ends starts_, ends_;

    double value(int64_t r, int64_t c) const {
        T v;
        std::memcpy(&v, image_.data + r * image_.strides[0] + c * image_.strides[1], sizeof v);
        return static_cast<double>(v);
    }
    bool shown(int64_t r, int64_t c) const { return mask_.data[r * mask_.strides[0] + c * mask_.strides[1]] != 0; }

    void square(int64_t r, int64_t c) {
        if (mask_.size() && !(shown(r, c) && shown(r, c + 1) && shown(r + 1, c) && shown(r + 1, c + 1))) return;
        const double corners[4] = {value(r, c), value(r, c + 1), value(r + 1, c), value(r + 1, c + 1)};
        for (double v : corners)
            if (v != v) return;
        const int which = above_.bit(r, c) | above_.bit(r, c + 1) << 1 | above_.bit(r + 1, c) << 2 |
                          above_.bit(r + 1, c + 1) << 3;
        const Crossing& x = high_ && which == 6 ? JOINED_6 : high_ && which == 9 ? JOINED_9 : CROSSINGS[which];
        join(point(r, c, corners, x.from), point(r, c, corners, x.to));
        if (x.from2 != NONE) join(point(r, c, corners, x.from2), point(r, c, corners, x.to2));
    }

    double part(double from, double to) const { return to == from ? 0.0 : (level_ - from) / (to - from); }

    // Where the line crosses a side of a square.
    Point point(int64_t r, int64_t c, const double* v, Side side) const {
        const int64_t n = above_.columns;
        if (side == TOP || side == BOTTOM) {
            const int64_t y = r + (side == BOTTOM);
            const double x = c + (side == TOP ? part(v[0], v[1]) : part(v[2], v[3]));
            return {static_cast<double>(y), x, key(3 * n * y, n + c, c, 1, x - c), -1};
        }
        const int64_t x = c + (side == RIGHT);
        const double y = r + (side == LEFT ? part(v[0], v[2]) : part(v[1], v[3]));
        return {y, static_cast<double>(x), key(3 * n * r, 2 * n + x, x, 3 * n, y - r), -1};
    }
    // A side has one place between its pixels; at them are the places of the pixels.
    static int64_t key(int64_t row, int64_t between, int64_t pixel, int64_t to_next_pixel, double along) {
        if (along != along) return -1;
        return row + (along == 0 ? pixel : along == 1 ? pixel + to_next_pixel : between);
    }

    int64_t add(const Point& p) {
        points.push_back(p);
        return static_cast<int64_t>(points.size()) - 1;
    }

    // One segment: it begins a line, goes on with one, closes one, or makes one of two.
    void join(const Point& from, const Point& to) {
        if (from.row == to.row && from.column == to.column) return;  // a corner at the level itself
        const int64_t after = starts_.take(to.key), before = ends_.take(from.key);
        if (after < 0 && before < 0) {
            const int64_t first = add(from);
            points[first].next = add(to);
            const int64_t number = static_cast<int64_t>(lines.size());
            lines.push_back({first, first + 1, 2});
            starts_.set(from.key, number);
            ends_.set(to.key, number);
        } else if (before < 0) {
            const int64_t first = add(from);
            points[first].next = lines[after].first;
            lines[after].first = first;
            ++lines[after].count;
            starts_.set(from.key, after);
        } else if (after < 0 || after == before) {
            const int64_t last = add(to);
            points[lines[before].last].next = last;
            lines[before].last = last;
            ++lines[before].count;
            if (after < 0) ends_.set(to.key, before);
        } else {
            merge(before, after);
        }
    }

    // The line begun first goes on, so that lines stay in the order of their first square.
    void merge(int64_t before, int64_t after) {
        Line &a = lines[before], &b = lines[after];
        points[a.last].next = b.first;
        const Line both = {a.first, b.last, a.count + b.count};
        const int64_t kept = std::min(before, after);
        if (kept == after) starts_.take(points[a.first].key);
        a.count = b.count = 0;
        lines[kept] = both;
        starts_.set(points[both.first].key, kept);
        ends_.set(points[both.last].key, kept);
    }
};

template <class T> Lines lines_of(const View& image, const View& mask, double level, bool high, bool reverse, int threads) {
    const Above above(image, level, false, threads);
    const Squares<T> found(image, mask, above, level, high);
    size_t count = 0, total = 0;
    for (size_t i = 0; i < found.lines.size(); ++i) {
        count += found.lines[i].count > 0;
        total += found.lines[i].count;
    }
    Flat<double> points(2 * total);
    Flat<int64_t> offsets(count + 1);
    int64_t at = 0, k = 0;
    for (size_t i = 0; i < found.lines.size(); ++i) {
        const Line& line = found.lines[i];
        if (!line.count) continue;
        offsets[k++] = at;
        double* to = points.data() + 2 * (reverse ? at + line.count - 1 : at);
        int64_t p = line.first;
        for (int64_t j = 0; j < line.count; ++j, to += reverse ? -2 : 2, p = found.points[p].next) {
            to[0] = found.points[p].row;
            to[1] = found.points[p].column;
        }
        at += line.count;
    }
    offsets[k] = at;
    return {std::move(points), std::move(offsets)};
}

}  // namespace

Lines find_contours(View image, View mask, double level, bool high, bool reverse, int threads) {
    Lines found;
    dispatch(image.dtype, [&](auto t) {
        found = lines_of<typename decltype(t)::t>(image, mask, level, high, reverse, threads);
    });
    return found;
}

}  // namespace fastmed
