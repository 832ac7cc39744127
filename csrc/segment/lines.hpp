// An array as lines along its last axis, and which earlier lines a structure lets a line touch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "../view.hpp"

namespace fastmed {

enum Offsets : int { BEFORE = 1, SAME = 2, AFTER = 4 };  // along the last axis, to the line of a neighbour

// What is joined already where lines are set in the same place: the line so far back, and another where it is not 0.
struct Cover {
    int64_t lines, corner;
    uint64_t edges;
};

struct Neighbour {
    std::vector<int8_t> step;  // per axis but the last
    int64_t lines = 0;         // that far back
    int offsets = 0;
    uint64_t edges = 0;        // of the array, on which it lies outside
    std::vector<Cover> covers;
};

// The array without its axes of length 1.
class LineGrid {
  public:
    std::vector<int64_t> shape, strides;  // of the axes but the last
    int64_t count = 1, length = 1, stride = 0, words = 1, plane = 1;
    std::vector<Neighbour> neighbours;
    bool joined = true;  // whether neighbours within a line are connected
    bool full = true;    // whether all neighbours are

    LineGrid(const View& input, const View& structure) {
        std::vector<int> kept;
        for (int d = 0; d < input.ndim; ++d)
            if (input.shape[d] > 1) kept.push_back(d);
        if (kept.empty()) kept.push_back(input.ndim - 1);
        const int last = kept.back();
        kept.pop_back();
        length = input.shape[last], stride = input.strides[last], words = (length + 63) / 64;
        for (int d : kept) {
            shape.push_back(input.shape[d]), strides.push_back(input.strides[d]), steps_.push_back(structure.strides[d]);
            count *= input.shape[d];
        }
        plane = kept.empty() ? 1 : count / shape[0];
        centre_ = structure.data, along_ = structure.strides[last];
        for (int d = 0; d < structure.ndim; ++d) centre_ += structure.strides[d];
        joined = centre_[-along_] != 0;
        find_neighbours();
        if (joined) find_covers();
    }

    // A line's place; bit 2 d of `edges` says that it is the first along axis d, bit 2 d + 1 that it is the last.
    struct Place {
        std::vector<int64_t> at;
        uint64_t edges = 0;
    };
    Place place(int64_t line) const {
        Place p{std::vector<int64_t>(shape.size())};
        for (size_t d = shape.size(); d-- > 0; line /= shape[d]) p.at[d] = line % shape[d];
        for (size_t d = 0; d < shape.size(); ++d) mark(p, d);
        return p;
    }
    void advance(Place& p) const {
        for (size_t d = shape.size(); d-- > 0;) {
            const bool carry = ++p.at[d] == shape[d];
            if (carry) p.at[d] = 0;
            mark(p, d);
            if (!carry) return;
        }
    }
    int64_t offset(const Place& p) const {  // in bytes
        int64_t sum = 0;
        for (size_t d = 0; d < shape.size(); ++d) sum += p.at[d] * strides[d];
        return sum;
    }

  private:
    static constexpr size_t MOST_COVERS = 4;
    using Step = std::vector<int8_t>;

    const char* centre_;  // of the structure
    std::vector<int64_t> steps_;
    int64_t along_;

    void mark(Place& p, size_t d) const {
        if (d >= 32) return;  // no array has that many axes longer than 1
        p.edges = (p.edges & ~(uint64_t(3) << 2 * d)) | uint64_t(p.at[d] == 0) << 2 * d | uint64_t(p.at[d] == shape[d] - 1) << (2 * d + 1);
    }
    int offsets(const Step& step) const {
        const char* at = centre_;
        for (size_t d = 0; d < step.size(); ++d) at += step[d] * steps_[d];
        int found = 0;
        for (int i = 0; i < 3; ++i) found |= (at[(i - 1) * along_] != 0) << i;
        return found;
    }
    int64_t back(const Step& step) const {
        int64_t lines = 0;
        for (size_t d = 0; d < step.size(); ++d) lines = lines * shape[d] - step[d];
        return lines;
    }
    static size_t axes(const Step& step) { return step.size() - std::count(step.begin(), step.end(), 0); }

    // The nearest first: they join for the others.
    void find_neighbours() {
        Step step(shape.size(), -1);
        const Step here(shape.size(), 0);
        for (; step < here; next(step)) {
            Neighbour n;
            n.step = step, n.lines = back(step), n.offsets = offsets(step);
            for (size_t d = 0; d < std::min<size_t>(step.size(), 32); ++d)
                if (step[d]) n.edges |= uint64_t(1) << (2 * d + (step[d] > 0));
            full = full && n.offsets == 7;
            if (n.offsets) neighbours.push_back(n);
        }
        full = full && joined;
        std::stable_sort(neighbours.begin(), neighbours.end(), [](const Neighbour& a, const Neighbour& b) {
            return axes(a.step) != axes(b.step) ? axes(a.step) < axes(b.step) : a.lines < b.lines;
        });
    }
    static void next(Step& step) {
        for (size_t d = step.size(); d-- > 0;) {
            if (++step[d] <= 1) return;
            step[d] = -1;
        }
    }
    // Two neighbours of an element that touch each other are joined already, and two that are corners of a square, where
    // the fourth corner is set, too: one of them does for both.
    void find_covers() {
        for (size_t i = 0; i < neighbours.size(); ++i)
            for (size_t k = 0; k < i && neighbours[i].covers.size() < MOST_COVERS; ++k) {
                const Neighbour &n = neighbours[i], &other = neighbours[k];
                if (!(n.offsets & other.offsets & SAME)) continue;
                Step between(n.step), corner(n.step);
                for (size_t d = 0; d < n.step.size(); ++d) between[d] -= other.step[d], corner[d] += other.step[d];
                if (near(between) && offsets(between) & SAME) neighbours[i].covers.push_back({other.lines, 0, other.edges});
                else if (near(corner)) neighbours[i].covers.push_back({other.lines, back(corner), other.edges});
            }
    }
    static bool near(const Step& step) {
        return std::all_of(step.begin(), step.end(), [](int8_t s) { return std::abs(s) <= 1; });
    }
};

}  // namespace fastmed
