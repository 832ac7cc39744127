// Hysteresis: weak marks that hang on strong ones, over any number of marks between, become strong.
//
// Row after row, weak marks beside a strong one become strong at vector speed, going forth and back; what is left then,
// little, is walked with a stack. Slabs along the first axis side by side, then the seams between them. The order does
// not change the set.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "../parallel.hpp"
#include "../view.hpp"

namespace fastmed {

enum Mark : uint8_t { NOTHING = 0, WEAK = 1, STRONG = 2 };

class Hysteresis {
public:
    // `marks`: C order. Neighbours differ by one along at most `connectivity` axes. `free_rim`: the outermost elements
    // along every axis hold no marks, so that no neighbour lies outside.
    Hysteresis(uint8_t* marks, std::vector<int64_t> shape, int connectivity, bool free_rim)
        : marks_(marks), shape_(std::move(shape)), checked_(!free_rim) {
        if (shape_.size() == 1) shape_.insert(shape_.begin(), 1);
        for (int64_t n : shape_) size_ *= n;
        plane_ = size_ / shape_[0], width_ = shape_.back();
        std::vector<int8_t> step(shape_.size(), -1);
        for (;;) {
            add(step, connectivity);
            size_t axis = 0;
            while (axis < step.size() && step[axis] == 1) step[axis++] = -1;
            if (axis == step.size()) break;
            ++step[axis];
        }
    }

    // Turns marks into 1 (strong, or hanging on such) and 0.
    void run(int threads) const {
        const int64_t n = shape_[0];
        const int64_t thick = std::max<int64_t>(1, std::min((n + threads - 1) / threads, (int64_t(1) << 23) / plane_));
        const int64_t slabs = (n + thick - 1) / thick;
        auto scratch = [&] { return Scratch(*this); };
        auto begin = [&](int64_t slab) { return std::min(slab * thick, n) * plane_; };
        parallel_for(slabs, threads, scratch, [&](Scratch& s, int64_t i) {
            const int64_t first = begin(i), last = begin(i + 1);
            for (int64_t row = first; row < last; row += width_) strengthen(s, row, first, last);
            for (int64_t row = last - width_; row >= first; row -= width_) strengthen(s, row, first, last);
            follow(s, first, last, first, last);
        });
        parallel_for(slabs - 1, 1, scratch, [&](Scratch& s, int64_t i) { follow(s, begin(i + 1) - plane_, begin(i + 1) + plane_, 0, size_); });
        parallel_for(slabs, threads, [&](int64_t i) {
            for (int64_t p = begin(i), end = begin(i + 1); p < end; ++p) marks_[p] = marks_[p] == STRONG;
        });
    }

private:
    struct Step {
        int64_t offset;
        std::vector<int8_t> along;  // per axis
    };
    struct Scratch {
        std::vector<int64_t> stack;
        std::vector<uint8_t> straight, wide, seeds;  // of a row, with one element more on either side
        explicit Scratch(const Hysteresis& h) : straight(h.width_ + 2), wide(h.width_ + 2), seeds(h.width_ + 2) {}
    };
    uint8_t* marks_;
    std::vector<int64_t> shape_;
    std::vector<Step> steps_;
    std::vector<Step> straight_, wide_;  // rows beside a row: neighbours are those at the same place; those beside it too
    bool checked_;
    int64_t size_ = 1, plane_ = 1, width_ = 1;

    void add(const std::vector<int8_t>& along, int connectivity) {
        int64_t offset = 0;
        int count = 0;
        for (size_t d = 0; d < along.size(); ++d) {
            offset = offset * shape_[d] + along[d];
            count += along[d] != 0;
        }
        if (count > 0 && count <= connectivity) steps_.push_back({offset, along});
        if (along.back() == 0 && count <= connectivity) (count < connectivity ? wide_ : straight_).push_back({offset, along});
    }
    // From the weak marks in [first, last) that touch a strong one, inside [begin, end): all of them whole rows.
    void follow(Scratch& s, int64_t first, int64_t last, int64_t begin, int64_t end) const {
        for (int64_t row = first; row < last; row += width_) {
            if (!seed(s, row, begin, end)) continue;
            for (int64_t x = 0; x < width_; ++x) {
                if (!s.seeds[x] || marks_[row + x] != WEAK) continue;
                marks_[row + x] = STRONG;
                s.stack.push_back(row + x);
                grow(s.stack, begin, end);
            }
        }
    }
    void strengthen(Scratch& s, int64_t row, int64_t begin, int64_t end) const {
        if (!seed(s, row, begin, end)) return;
        uint8_t* at = marks_ + row;
        const uint8_t* seeds = s.seeds.data();
        for (int64_t x = 0; x < width_; ++x) at[x] = uint8_t(at[x] + seeds[x]);
    }
    // Notes the weak marks of a row beside strong ones; whether there are any.
    bool seed(Scratch& s, int64_t row, int64_t begin, int64_t end) const {
        if (!std::memchr(marks_ + row, WEAK, width_)) return false;
        uint8_t *straight = s.straight.data() + 1, *wide = s.wide.data() + 1;
        highest(straight_, row, begin, end, straight);
        highest(wide_, row, begin, end, wide);
        return seed_row(marks_ + row, straight, wide, width_, s.seeds.data());
    }
    static bool seed_row(const uint8_t* at, const uint8_t* straight, const uint8_t* wide, int64_t n, uint8_t* __restrict seeds) {
        uint8_t any = 0;
        for (int64_t x = 0; x < n; ++x) {
            const uint8_t most = std::max(std::max(wide[x - 1], wide[x + 1]), std::max(wide[x], straight[x]));
            const uint8_t seed = (at[x] == WEAK) & (most == STRONG);
            any |= seed;
            seeds[x] = seed;
        }
        return any;
    }
    void highest(const std::vector<Step>& rows, int64_t row, int64_t begin, int64_t end, uint8_t* __restrict most) const {
        std::fill_n(most, width_, uint8_t(NOTHING));
        for (const Step& step : rows) {
            const int64_t other = row + step.offset;
            if (other < begin || other >= end || (checked_ && leaves(row, step))) continue;
            const uint8_t* __restrict from = marks_ + other;
            for (int64_t x = 0; x < width_; ++x) most[x] = std::max(most[x], from[x]);
        }
    }
    void grow(std::vector<int64_t>& stack, int64_t begin, int64_t end) const {
        while (!stack.empty()) {
            const int64_t at = stack.back();
            stack.pop_back();
            if (checked_) spread<true>(stack, at, begin, end);
            else spread<false>(stack, at, begin, end);
        }
    }
    template <bool check> void spread(std::vector<int64_t>& stack, int64_t at, int64_t begin, int64_t end) const {
        for (const Step& step : steps_) {
            const int64_t next = at + step.offset;
            if (next < begin || next >= end || marks_[next] != WEAK || (check && leaves(at, step))) continue;
            marks_[next] = STRONG;
            stack.push_back(next);
        }
    }
    bool leaves(int64_t at, const Step& step) const {
        for (size_t d = shape_.size(); d-- > 0;) {
            const int64_t i = at % shape_[d] + step.along[d];
            if (i < 0 || i >= shape_[d]) return true;
            at /= shape_[d];
        }
        return false;
    }
};

}  // namespace fastmed
