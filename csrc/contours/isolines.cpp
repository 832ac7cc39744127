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

// A side of a square: the corners between which it runs, where it begins, and whether it lies along the row.
struct Edge {
    int from, to, row, column;
    bool along_row;
};
constexpr Edge EDGES[4] = {{0, 1, 0, 0, true}, {2, 3, 1, 0, true}, {0, 2, 0, 0, false}, {1, 3, 0, 1, false}};

// Where segments may meet: the row of the grid in the upper half, 3 * column (+ 1 and 2 on the sides that begin at that
// pixel, along the row and down) in the lower one. -1: nowhere (a coordinate is NaN).
using Key = int64_t;

struct Point {
    double row, column;
    Key key;
};

struct Line {
    int64_t first, last, count;  // count 0: it became part of another
    Key from, to;
};

// Which line begins (or ends) at a place, for the places of two rows of the grid.
class Ends {
  public:
    explicit Ends(int64_t columns) : pitch_(3 * columns), entries_(2 * pitch_, Entry{-1, -1}) {}
    void go_to_row(int64_t r) { row_ = r; }

    int64_t take(Key key) {  // and forget it; -1: none
        if (key >> 32 < row_) return -1;
        Entry& e = entry(key);
        if (e.key != key) return -1;
        e.key = -1;
        return e.line;
    }
    void set(Key key, int64_t line) {
        if (key >> 32 >= row_) entry(key) = {key, line};
    }

  private:
    struct Entry {
        Key key;
        int64_t line;
    };
    const int64_t pitch_;
    int64_t row_ = 0;
    std::vector<Entry> entries_;

    Entry& entry(Key key) { return entries_[(key >> 32 & 1) * pitch_ + (key & 0xffffffff)]; }
};

// Segments, joined as they come. What follows which point is kept apart from where they lie: walking along a line then
// waits for 8 bytes per point only.
class Joined {
  public:
    struct Place {
        double row, column;
    };
    Flat<Place> points;
    Flat<int64_t> next;  // the point of its line that follows
    Flat<Line> lines;

    // `squares` are crossed: of the lines that are not tiny, about as many points come.
    Joined(int64_t columns, int64_t squares) : starts_(columns), ends_(columns) {
        points.reserve(squares);
        next.reserve(squares);
    }
    void go_to_row(int64_t r) {
        starts_.go_to_row(r);
        ends_.go_to_row(r);
    }

    // One segment: it begins a line, goes on with one, closes one, or makes one of two.
    void join(const Point& from, const Point& to) {
        if (from.row == to.row && from.column == to.column) return;  // a corner at the level itself
        const int64_t after = starts_.take(to.key), before = ends_.take(from.key);
        if (after < 0 && before < 0) {
            const int64_t first = add(from);
            next[first] = add(to);
            const int64_t number = static_cast<int64_t>(lines.size());
            lines.push_back({first, first + 1, 2, from.key, to.key});
            starts_.set(from.key, number);
            ends_.set(to.key, number);
        } else if (before < 0) {
            Line& line = lines[after];
            const int64_t first = add(from);
            next[first] = line.first;
            line.first = first;
            line.from = from.key;
            ++line.count;
            starts_.set(from.key, after);
        } else if (after < 0 || after == before) {
            Line& line = lines[before];
            const int64_t last = add(to);
            next[line.last] = last;
            line.last = last;
            line.to = to.key;
            ++line.count;
            if (after < 0) ends_.set(to.key, before);
        } else {
            merge(before, after);
        }
    }

  private:
    Ends starts_, ends_;

    int64_t add(const Point& p) {
        points.push_back({p.row, p.column});
        next.push_back(-1);
        return static_cast<int64_t>(points.size()) - 1;
    }

    // The line begun first goes on, so that lines stay in the order of their first square.
    void merge(int64_t before, int64_t after) {
        Line &a = lines[before], &b = lines[after];
        next[a.last] = b.first;
        const Line both = {a.first, b.last, a.count + b.count, a.from, b.to};
        const int64_t kept = std::min(before, after);
        if (kept == after) starts_.take(a.from);
        a.count = b.count = 0;
        lines[kept] = both;
        starts_.set(both.from, kept);
        ends_.set(both.to, kept);
    }
};

// Goes through the squares that the level crosses.
template <class T> class Squares {
  public:
    Squares(const View& image, const View& mask, const Above& above, double level, bool high, Joined& joined)
        : image_(image), mask_(mask), above_(above), level_(level), high_(high), joined_(joined) {
        detail::Pulse pulse;
        for (int64_t r = 0; r + 1 < above.rows; ++r) {
            joined.go_to_row(r);
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
    Joined& joined_;

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
        joined_.join(point(r, c, corners, x.from), point(r, c, corners, x.to));
        if (x.from2 != NONE) joined_.join(point(r, c, corners, x.from2), point(r, c, corners, x.to2));
    }

    // Where the line crosses a side of a square: its ends lie on both sides of the level, so they differ. At a pixel
    // the place is that pixel's.
    Point point(int64_t r, int64_t c, const double* v, Side side) const {
        const Edge& e = EDGES[side];
        const int64_t y = r + e.row, x = c + e.column, begin = e.along_row ? x : y;
        const double place = begin + (level_ - v[e.from]) / (v[e.to] - v[e.from]), along = place - begin;
        const Key pixel = y << 32 | 3 * x, beside = e.along_row ? 1 : 2;
        Key key = pixel + (along == 0 ? 0 : along == 1 ? (e.along_row ? 3 : Key(1) << 32) : beside);
        if (along != along) key = -1;
        return {e.along_row ? static_cast<double>(y) : place, e.along_row ? place : static_cast<double>(x), key};
    }
};

Lines flat_lines(const Joined& found, bool reverse, int threads) {
    std::vector<int64_t> kept;
    Flat<int64_t> offsets;
    int64_t total = 0;
    offsets.push_back(0);
    for (size_t i = 0; i < found.lines.size(); ++i)
        if (found.lines[i].count) {
            kept.push_back(static_cast<int64_t>(i));
            offsets.push_back(total += found.lines[i].count);
        }
    Flat<double> points(2 * total);
    constexpr int64_t BATCH = 64;
    const int64_t count = static_cast<int64_t>(kept.size());
    parallel_for((count + BATCH - 1) / BATCH, threads, [&](int64_t batch) {
        for (int64_t k = batch * BATCH; k < std::min(count, (batch + 1) * BATCH); ++k) {
            double* to = points.data() + 2 * (reverse ? offsets[k + 1] - 1 : offsets[k]);
            int64_t p = found.lines[kept[k]].first;
            for (int64_t j = offsets[k]; j < offsets[k + 1]; ++j, to += reverse ? -2 : 2, p = found.next[p]) {
                to[0] = found.points[p].row;
                to[1] = found.points[p].column;
            }
        }
    });
    return {std::move(points), std::move(offsets)};
}

}  // namespace

Lines find_contours(View image, View mask, double level, bool high, bool reverse, int threads) {
    const Above above(image, level, false, threads);
    Joined joined(above.columns, above.count_crossed());
    dispatch(image.dtype,
             [&](auto t) { Squares<typename decltype(t)::t>(image, mask, above, level, high, joined); });
    return flat_lines(joined, reverse, threads);
}

}  // namespace fastmed
