// Hysteresis: weak marks that hang on strong ones, over any number of marks between, become strong.
//
// Slabs along the first axis side by side, each with a stack of its own, then over the seams between slabs. The order
// does not change the set.
#pragma once

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
        for (int64_t n : shape_) size_ *= n;
        plane_ = size_ / shape_[0];
        std::vector<int64_t> step(shape_.size(), -1);
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
        auto stack = [] { return std::vector<int64_t>(); };
        auto begin = [&](int64_t slab) { return std::min(slab * thick, n) * plane_; };
        parallel_for(slabs, threads, stack, [&](auto& s, int64_t i) { follow(s, begin(i), begin(i + 1), begin(i), begin(i + 1)); });
        parallel_for(slabs - 1, 1, stack, [&](auto& s, int64_t i) { follow(s, begin(i + 1) - plane_, begin(i + 1) + plane_, 0, size_); });
        parallel_for(slabs, threads, [&](int64_t i) {
            for (int64_t p = begin(i), end = begin(i + 1); p < end; ++p) marks_[p] = marks_[p] == STRONG;
        });
    }

private:
    struct Step {
        int64_t offset;
        std::vector<int8_t> along;  // per axis
    };
    uint8_t* marks_;
    std::vector<int64_t> shape_;
    std::vector<Step> steps_;
    bool checked_;
    int64_t size_ = 1, plane_ = 1;

    void add(const std::vector<int64_t>& step, int connectivity) {
        int64_t offset = 0;
        int count = 0;
        for (size_t d = 0; d < step.size(); ++d) {
            offset = offset * shape_[d] + step[d];
            count += step[d] != 0;
        }
        if (count > 0 && count <= connectivity) steps_.push_back({offset, {step.begin(), step.end()}});
    }
    // From the strong marks in [first, last), inside [begin, end).
    void follow(std::vector<int64_t>& stack, int64_t first, int64_t last, int64_t begin, int64_t end) const {
        for (int64_t p = first; p < last; ++p) {
            const void* found = std::memchr(marks_ + p, STRONG, last - p);
            if (!found) return;
            p = static_cast<const uint8_t*>(found) - marks_;
            stack.push_back(p);
            while (!stack.empty()) {
                const int64_t at = stack.back();
                stack.pop_back();
                if (checked_) spread<true>(stack, at, begin, end);
                else spread<false>(stack, at, begin, end);
            }
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
