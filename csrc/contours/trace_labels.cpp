// Border following (Suzuki & Abe 1985) of every label of an image at once: of each label, as if all others were
// background.
//
// Rows fall into runs of one value. Each end of a run lies on exactly one border of its label, and a border's first end
// in raster order is where the scan of that label alone would begin it. So one scan over the runs finds the borders of
// all labels; what the paper asks of the last border met in a row is asked of the last run of the same label.
#include <algorithm>
#include <unordered_map>

#include "bits.hpp"
#include "follow.hpp"
#include "kernels.hpp"
#include "parallel.hpp"

namespace fastmed {
namespace {

// Where runs begin, a bit per pixel, and their numbers in raster order.
class Runs {
  public:
    const int64_t rows, columns, words;

    Runs(const int32_t* labels, int64_t rows, int64_t columns, int threads)
        : rows(rows), columns(columns), words((columns + 63) / 64), starts_(rows * words), before_(rows * words),
          first_(rows + 1) {
        auto buffer = [&] { return std::vector<uint8_t>(words * 64); };
        parallel_for(rows, threads, buffer, [&](std::vector<uint8_t>& flags, int64_t y) {
            const int32_t* __restrict row = labels + y * columns;
            uint8_t* __restrict flag = flags.data();
            flag[0] = 1;
            for (int64_t x = 1; x < columns; ++x) flag[x] = row[x] != row[x - 1];
            int64_t n = 0;
            for (int64_t w = 0; w < words; ++w) {
                starts_[y * words + w] = nonzero_bits(flag + 64 * w);
                before_[y * words + w] = n;
                n += count_bits(starts_[y * words + w]);
            }
            first_[y + 1] = n;
        });
        for (int64_t y = 0; y < rows; ++y) first_[y + 1] += first_[y];
    }
    int64_t count() const { return first_[rows]; }
    int64_t first(int64_t y) const { return first_[y]; }
    uint64_t word(int64_t y, int64_t w) const { return starts_[y * words + w]; }
    int64_t at(int64_t x, int64_t y) const {
        const int64_t w = y * words + (x >> 6);
        return first_[y] + before_[w] + count_bits(starts_[w] << (63 - (x & 63))) - 1;
    }

  private:
    std::vector<uint64_t> starts_;
    std::vector<int64_t> before_, first_;  // runs before each word of its row; before each row
};

// Values of the image as numbers from 0, ascending.
class Names {
  public:
    int32_t number(int32_t label) {
        if (label == last_) return last_number_;
        const auto [place, fresh] = numbers_.try_emplace(label, static_cast<int32_t>(labels.size()));
        if (fresh) labels.push_back(label);
        last_ = label;
        return last_number_ = place->second;
    }
    std::vector<int32_t> labels;  // by number

  private:
    std::unordered_map<int32_t, int32_t> numbers_;
    int32_t last_ = 0, last_number_ = -1;
};

class LabelTracer {
  public:
    Flat<int32_t> points;
    Flat<Border> borders;
    Flat<int32_t> owners;  // of each border, the number of its label
    Names names;

    LabelTracer(const int32_t* labels, const Runs& runs, Retrieve mode, bool simple)
        : labels_(labels), runs_(runs), mode_(mode), simple_(simple), left_(runs.count()), right_(runs.count()) {
        detail::Pulse pulse;
        for (int64_t y = 0; y < runs.rows; ++y) {
            scan(y);
            if (y % 16 == 0 && pulse.stop()) throw Interrupted{};
        }
    }

  private:
    struct Last {  // run of a label, and its row
        int64_t run = -1, y = -1;
    };
    const int32_t* labels_;
    const Runs& runs_;
    const Retrieve mode_;
    const bool simple_;
    std::vector<int32_t> left_, right_;  // of each run, the borders on its ends, counted from 1
    std::vector<Last> last_;             // by number of label

    void scan(int64_t y) {
        int64_t run = runs_.first(y), x = -1;
        for (int64_t w = 0; w < runs_.words; ++w)
            for (uint64_t starts = runs_.word(y, w); starts; starts &= starts - 1) {
                const int64_t begin = 64 * w + lowest_bit(starts);
                if (x >= 0) visit(y, x, begin, run++);
                x = begin;
            }
        if (x >= 0) visit(y, x, runs_.columns, run);
    }

    // One run: the borders that begin at its ends.
    void visit(int64_t y, int64_t begin, int64_t end, int64_t run) {
        const int32_t label = labels_[y * runs_.columns + begin];
        if (!label) return;
        const int32_t owner = names.number(label);
        if (owner >= static_cast<int32_t>(last_.size())) last_.resize(owner + 1);
        const int32_t met = last_[owner].y == y ? right_[last_[owner].run] : -1;  // -1: none in this row
        if (!left_[run] && (mode_ != Retrieve::external || met)) start(begin, y, false, parent(met, false), owner);
        if (!right_[run] && mode_ != Retrieve::external) start(end - 1, y, true, parent(left_[run], true), owner);
        last_[owner] = {run, y};
    }

    // The border around a new one (table 1 of the paper).
    int32_t parent(int32_t met, bool hole) const {
        if (mode_ == Retrieve::external || mode_ == Retrieve::list || met <= 0 || (mode_ == Retrieve::ccomp && !hole))
            return -1;
        return borders[met - 1].hole != hole ? met - 1 : borders[met - 1].parent;
    }

    void start(int64_t x, int64_t y, bool hole, int32_t parent, int32_t owner) {
        const int64_t begin = static_cast<int64_t>(points.size()) / 2;
        follow(x, y, hole, static_cast<int32_t>(borders.size()) + 1);
        borders.push_back({begin, static_cast<int64_t>(points.size()) / 2, parent, hole});
        owners.push_back(owner);
    }

    // Bit 3 * (dy + 1) + dx + 1: that neighbour has the label, too.
    uint32_t around(int64_t x, int64_t y, int32_t label) const {
        const int64_t n = runs_.columns;
        const int32_t* p = labels_ + y * n + x;
        uint32_t bits = 0;
        if (x > 0 && y > 0 && x + 1 < n && y + 1 < runs_.rows) {
            for (int dy = -1; dy <= 1; ++dy)
                for (int dx = -1; dx <= 1; ++dx) bits |= uint32_t(p[dy * n + dx] == label) << (3 * (dy + 1) + dx + 1);
            return bits;
        }
        for (int dy = y > 0 ? -1 : 0; dy <= (y + 1 < runs_.rows); ++dy)
            for (int dx = x > 0 ? -1 : 0; dx <= (x + 1 < n); ++dx)
                bits |= uint32_t(p[dy * n + dx] == label) << (3 * (dy + 1) + dx + 1);
        return bits;
    }

    void add(int64_t x, int64_t y) {
        int32_t* out = points.room(2);
        out[0] = static_cast<int32_t>(x);
        out[1] = static_cast<int32_t>(y);
        points.end_at(out + 2);
    }

    void follow(int64_t x, int64_t y, bool hole, int32_t number) {
        const int32_t label = labels_[y * runs_.columns + x];
        const uint32_t first = around(x, y, label);
        int last = -1;  // where the border's last pixel lies: clockwise from the background that began it
        for (int turn = 1; turn < 8 && last < 0; ++turn) {
            const int d = ((hole ? 0 : 4) - turn) & 7;
            if (first >> (3 * (DY[d] + 1) + DX[d] + 1) & 1) last = d;
        }
        if (last < 0) {
            const int64_t run = runs_.at(x, y);
            left_[run] = right_[run] = number;
            return add(x, y);
        }
        const int64_t home_x = x, home_y = y;
        const uint32_t home_back = static_cast<uint32_t>(last) << Steps::BACK;
        uint32_t back = home_back, before = static_cast<uint32_t>(last) ^ 4;
        do {
            const uint32_t entry = STEPS.entry[back | around(x, y, label)], direction = entry & 7;
            if (entry & (Steps::LEFT | Steps::RIGHT)) {
                const int64_t run = runs_.at(x, y);
                if (entry & Steps::LEFT) left_[run] = number;
                if (entry & Steps::RIGHT) right_[run] = number;
            }
            if (!simple_ || direction != before) add(x, y);
            before = direction;
            back = entry & (7u << Steps::BACK);
            x += DX[direction];
            y += DY[direction];
        } while (x != home_x || y != home_y || back != home_back);
    }
};

// Label after label, ascending; the borders of each in OpenCV's order.
Polylines by_label(const LabelTracer& traced) {
    const auto& labels = traced.names.labels;
    const size_t n = traced.borders.size();
    std::vector<int32_t> rank(labels.size());  // numbers of labels, ascending by label
    for (size_t i = 0; i < rank.size(); ++i) rank[i] = static_cast<int32_t>(i);
    std::sort(rank.begin(), rank.end(), [&](int32_t a, int32_t b) { return labels[a] < labels[b]; });
    std::vector<std::vector<int32_t>> own(labels.size());
    std::vector<int32_t> position(n);
    for (size_t i = 0; i < n; ++i) {
        position[i] = static_cast<int32_t>(own[traced.owners[i]].size());
        own[traced.owners[i]].push_back(static_cast<int32_t>(i));
    }
    Flat<int32_t> points(traced.points.size()), hierarchy(4 * n), groups(n);
    Flat<int64_t> offsets(n + 1);
    std::vector<Border> mine;
    int64_t at = 0;
    int32_t first = 0;
    for (int32_t owner : rank) {
        mine.clear();
        for (int32_t i : own[owner]) {
            mine.push_back(traced.borders[i]);
            if (mine.back().parent >= 0) mine.back().parent = position[mine.back().parent];
        }
        const int32_t count = static_cast<int32_t>(mine.size());
        const Order order(mine.data(), count);
        for (int32_t k = 0; k < count; ++k) {
            const Border& b = mine[order.found[k]];
            offsets[first + k] = at;
            groups[first + k] = labels[owner];
            std::memcpy(points.data() + 2 * at, traced.points.data() + 2 * b.begin, 2 * (b.end - b.begin) * sizeof(int32_t));
            at += b.end - b.begin;
            for (int32_t j = 4 * k; j < 4 * k + 4; ++j)
                hierarchy[4 * size_t(first) + j] = order.hierarchy[j] < 0 ? -1 : order.hierarchy[j] + first;
        }
        first += count;
    }
    offsets[n] = at;
    return {std::move(points), std::move(offsets), std::move(hierarchy), std::move(groups)};
}

}  // namespace

Polylines trace_labels(View labels, int mode, bool simple, int threads) {
    const auto* data = reinterpret_cast<const int32_t*>(labels.data);
    const int64_t rows = labels.shape[1] ? labels.shape[0] : 0;
    const Runs runs(data, rows, labels.shape[1], threads);
    return by_label(LabelTracer(data, runs, Retrieve(mode), simple));
}

}  // namespace fastmed
