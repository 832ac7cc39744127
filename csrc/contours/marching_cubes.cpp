// Iso-surfaces: Lewiner's marching cubes (Lewiner, Lopes, Vieira, Tavares 2003), and Lorensen and Cline's of 1987.
//
// Vertices, faces and their order are scikit-image's, and so is the sum of gradients that becomes a vertex's normal, in
// its order of summation. Cubes that the surface does not cross are skipped 64 at a time. Slabs of layers go to the
// threads. A slab meets vertices of the slab before it on its lowest plane only: what it adds to those is noted and
// added after, so the outcome does not depend on the slabs.
//
// Corners of a cube: 0 (x, y), 1 (x + 1, y), 2 (x + 1, y + 1), 3 (x, y + 1) of the lower plane, 4 to 7 of the upper. Edges:
// 0 to 3 from each corner of the lower plane to the next, 4 to 7 of the upper, 8 to 11 upright; 12 is the cube's centre.
#include <limits>
#include <stdexcept>

#include "above.hpp"
#include "kernels.hpp"

namespace fastmed {
namespace {

// In the order of SHAPES in _lewiner.py.
enum Table : int {
    CASES_CLASSIC, CASES, T1, T2, T3_1, T3_2, T4_1, T4_2, T5, T6_1_1, T6_1_2, T6_2, T7_1, T7_2, T7_3, T7_4_1, T7_4_2, T8,
    T9, T10_1_1, T10_1_1B, T10_1_2, T10_2, T10_2B, T11, T12_1_1, T12_1_1B, T12_1_2, T12_2, T12_2B, T13_1, T13_1B, T13_2,
    T13_2B, T13_3, T13_3B, T13_4, T13_5_1, T13_5_2, T14, TEST3, TEST4, TEST6, TEST7, TEST10, TEST12, TEST13, SUBCONFIG13
};

constexpr double TINY = std::numeric_limits<double>::epsilon();
constexpr int ENDS[12][2] = {{0, 1}, {1, 2}, {2, 3}, {3, 0}, {4, 5}, {5, 6}, {6, 7}, {7, 4}, {0, 4}, {1, 5}, {2, 6}, {3, 7}};
// Whose gradient scikit-image adds for a corner: on the far side in y it takes the neighbour's along x.
constexpr int TAKEN[8] = {0, 1, 3, 2, 4, 5, 7, 6};
constexpr int X[8] = {0, 1, 1, 0, 0, 1, 1, 0}, Y[8] = {0, 0, 1, 1, 0, 0, 1, 1}, Z[8] = {0, 0, 0, 0, 1, 1, 1, 1};

// The corners of a face around it, by its number from 1.
constexpr int FACES[7][4] = {{}, {0, 4, 5, 1}, {1, 5, 6, 2}, {2, 6, 7, 3}, {3, 7, 4, 0}, {0, 3, 2, 1}, {4, 7, 6, 5}};

// The edges parallel to one, each from the corner on its beginning's side; the edge itself first.
constexpr int PARALLEL[12][8] = {
    {0, 1, 3, 2, 7, 6, 4, 5}, {1, 2, 0, 3, 4, 7, 5, 6}, {2, 3, 1, 0, 5, 4, 6, 7}, {3, 0, 2, 1, 6, 5, 7, 4},
    {4, 5, 7, 6, 3, 2, 0, 1}, {5, 6, 4, 7, 0, 3, 1, 2}, {6, 7, 5, 4, 1, 0, 2, 3}, {7, 4, 6, 5, 2, 1, 3, 0},
    {0, 4, 3, 7, 2, 6, 1, 5}, {1, 5, 0, 4, 3, 7, 2, 6}, {2, 6, 1, 5, 0, 4, 3, 7}, {3, 7, 2, 6, 1, 5, 0, 4},
};

struct Tiling {  // triangles: three edges each
    const int8_t* edges;
    int count;
};

// Which triangles a cube gets.
class Tables {
  public:
    Tables(const View& tables, const Ints& begins) : data_(reinterpret_cast<const int8_t*>(tables.data)), begins_(begins) {}

    Tiling classic(int index) const {
        const int8_t* edges = at(CASES_CLASSIC, 16 * index);
        int count = 0;
        while (edges[3 * count] != -1) ++count;
        return {edges, count};
    }

    // By Lewiner's decisions; v are the corners' values, less the level.
    Tiling choose(int index, const double* v) const {
        const int which = *at(CASES, 2 * index), k = *at(CASES, 2 * index + 1);
        const int8_t* test;
        int joined = 0;
        switch (which) {
            case 1: return tiles(T1, k, 1);
            case 2: return tiles(T2, k, 2);
            case 3: return face(v, *at(TEST3, k)) ? tiles(T3_2, k, 4) : tiles(T3_1, k, 2);
            case 4: return across(v, *at(TEST4, k)) ? tiles(T4_1, k, 2) : tiles(T4_2, k, 6);
            case 5: return tiles(T5, k, 3);
            case 6:
                test = at(TEST6, 3 * k);
                if (face(v, test[0])) return tiles(T6_2, k, 5);
                return along(v, test[2], test[1]) ? tiles(T6_1_1, k, 3) : tiles(T6_1_2, k, 9);
            case 7: return seven(v, k);
            case 8: return tiles(T8, k, 2);
            case 9: return tiles(T9, k, 4);
            case 10:
                test = at(TEST10, 3 * k);
                joined = face(v, test[0]) + 2 * face(v, test[1]);
                if (joined == 3) return tiles(T10_1_1B, k, 4);
                if (joined) return tiles(joined == 1 ? T10_2 : T10_2B, k, 8);
                return across(v, test[2]) ? tiles(T10_1_1, k, 4) : tiles(T10_1_2, k, 8);
            case 11: return tiles(T11, k, 4);
            case 12:
                test = at(TEST12, 4 * k);
                joined = face(v, test[0]) + 2 * face(v, test[1]);
                if (joined == 3) return tiles(T12_1_1B, k, 4);
                if (joined) return tiles(joined == 1 ? T12_2 : T12_2B, k, 8);
                return along(v, test[3], test[2]) ? tiles(T12_1_1, k, 4) : tiles(T12_1_2, k, 8);
            case 13: return thirteen(v, k);
            case 14: return tiles(T14, k, 4);
        }
        return {nullptr, 0};
    }

  private:
    const int8_t* data_;
    const Ints& begins_;

    const int8_t* at(Table table, int64_t i) const { return data_ + begins_[table] + i; }
    Tiling tiles(Table table, int i, int count) const { return {at(table, 3 * count * i), count}; }

    Tiling seven(const double* v, int k) const {
        const int8_t* test = at(TEST7, 5 * k);
        switch (face(v, test[0]) + 2 * face(v, test[1]) + 4 * face(v, test[2])) {
            case 0: return tiles(T7_1, k, 3);
            case 1: return tiles(T7_2, 3 * k, 5);
            case 2: return tiles(T7_2, 3 * k + 1, 5);
            case 3: return tiles(T7_3, 3 * k, 9);
            case 4: return tiles(T7_2, 3 * k + 2, 5);
            case 5: return tiles(T7_3, 3 * k + 1, 9);
            case 6: return tiles(T7_3, 3 * k + 2, 9);
        }
        return along(v, test[4], test[3]) ? tiles(T7_4_2, k, 9) : tiles(T7_4_1, k, 5);
    }

    Tiling thirteen(const double* v, int k) const {
        const int8_t* test = at(TEST13, 7 * k);
        int joined = 0;
        for (int i = 0; i < 6; ++i) joined |= face(v, test[i]) << i;
        const int s = *at(SUBCONFIG13, joined);
        if (s < 0) return {nullptr, 0};  // no values do this
        if (s == 0) return tiles(T13_1, k, 4);
        if (s < 7) return tiles(T13_2, 6 * k + s - 1, 6);
        if (s < 19) return tiles(T13_3, 12 * k + s - 7, 10);
        if (s < 23) return tiles(T13_4, 4 * k + s - 19, 12);
        if (s < 27) {
            const int i = 4 * k + s - 23;
            return along(v, *at(T13_5_1, 18 * i), test[6]) ? tiles(T13_5_1, i, 6) : tiles(T13_5_2, i, 10);
        }
        if (s < 39) return tiles(T13_3B, 12 * k + s - 27, 10);
        if (s < 45) return tiles(T13_2B, 6 * k + s - 39, 6);
        return tiles(T13_1B, k, 4);
    }

    // Whether the surface parts the corners of a face (negative: the other two).
    static bool face(const double* v, int face) {
        const int* c = FACES[face < 0 ? -face : face];
        const double product = v[c[0]] * v[c[2]] - v[c[1]] * v[c[3]];
        if (product > -TINY && product < TINY) return face >= 0;
        return face * v[c[0]] * product >= 0;
    }

    // Whether two opposite corners are joined inside the cube: seen in the plane where that is decided.
    static bool across(const double* v, int sign) {
        const double a = (v[4] - v[0]) * (v[6] - v[2]) - (v[7] - v[3]) * (v[5] - v[1]);
        const double b = v[2] * (v[4] - v[0]) + v[0] * (v[6] - v[2]) - v[1] * (v[7] - v[3]) - v[3] * (v[5] - v[1]);
        const double t = -b / (2 * a + TINY);
        if (t < 0 || t > 1) return sign > 0;
        return inside(v[0] + (v[4] - v[0]) * t, v[3] + (v[7] - v[3]) * t, v[2] + (v[6] - v[2]) * t,
                      v[1] + (v[5] - v[1]) * t, sign);
    }
    // The same in the plane through the surface's place on an edge.
    static bool along(const double* v, int edge, int sign) {
        const int* p = PARALLEL[edge];
        const double t = v[p[0]] / (v[p[0]] - v[p[1]] + TINY);
        return inside(0.0, v[p[2]] + (v[p[3]] - v[p[2]]) * t, v[p[4]] + (v[p[5]] - v[p[4]]) * t,
                      v[p[6]] + (v[p[7]] - v[p[6]]) * t, sign);
    }
    static bool inside(double a, double b, double c, double d, int sign) {
        switch ((a >= 0) | (b >= 0) << 1 | (c >= 0) << 2 | (d >= 0) << 3) {
            case 5: return a * c - b * d < TINY && sign > 0;
            case 10: return a * c - b * d >= TINY && sign > 0;
            case 7: case 11: case 13: case 14: case 15: return sign < 0;
        }
        return sign > 0;
    }
};

// Three numbers (x, y, z) and one more, so that they fill a vector register.
struct alignas(16) Four {
    float at[4];
};

// One cube: corners less the level, and what its triangles need.
struct Cube {
    double v[8], strength[8], range;
    Four part[8];  // what each corner adds to the gradient of a vertex on one of its edges
    double centre[3], weight;
    Four centre_part;
    bool centre_known;

    void prepare() {
        double low = 0, high = 0;
        for (int i = 0; i < 8; ++i) {
            strength[i] = 1.0 / (TINY + std::abs(v[i]));
            low = v[i] < low ? v[i] : low;
            high = v[i] > high ? v[i] : high;
        }
        range = high - low;
        centre_known = false;
        find_gradients();
        for (int i = 0; i < 8; ++i) {
            const double single = static_cast<float>(strength[i]);
            for (int d = 0; d < 4; ++d) part[i].at[d] = static_cast<float>(gradient[TAKEN[i]][d] * single);
        }
    }
    void find_centre() {
        if (centre_known) return;
        double sum[3] = {0, 0, 0};
        weight = 0;
        for (int i = 0; i < 8; ++i) {
            sum[0] += X[i] * strength[i];
            sum[1] += Y[i] * strength[i];
            sum[2] += Z[i] * strength[i];
            weight += strength[i];
        }
        for (int d = 0; d < 4; ++d) {
            double g = strength[0] * gradient[0][d];
            for (int i = 1; i < 8; ++i) g += strength[i] * gradient[i][d];
            centre_part.at[d] = static_cast<float>(g);
        }
        for (int d = 0; d < 3; ++d) centre[d] = sum[d];
        centre_known = true;
    }

  private:
    double gradient[8][4];

    void find_gradients() {
        const double x[4] = {v[0] - v[1], v[3] - v[2], v[4] - v[5], v[7] - v[6]};
        const double y[4] = {v[0] - v[3], v[1] - v[2], v[4] - v[7], v[5] - v[6]};
        const double z[4] = {v[0] - v[4], v[1] - v[5], v[2] - v[6], v[3] - v[7]};
        for (int i = 0; i < 8; ++i) {
            gradient[i][0] = x[2 * Z[i] + Y[i]];
            gradient[i][1] = y[2 * Z[i] + X[i]];
            gradient[i][2] = z[i & 3];
            gradient[i][3] = 0;
        }
    }
};

struct Vertex {
    Four gradient;
    float place[3], value;  // (x, y, z)

    // Each sum is rounded to float32 on its own, as in scikit-image.
    void add(const Four& part) {
        for (int d = 0; d < 4; ++d) gradient.at[d] += part.at[d];
    }
    void reach(double range) {
        if (range > value) value = static_cast<float>(range);
    }
};

// What a slab adds to a vertex of the slab before it.
struct Addition {
    Four a, b;
    double range;
    int32_t vertex;
};

struct Slab {
    Flat<Vertex> vertices;
    Flat<int32_t> faces;
    std::vector<int32_t> upper;  // of each edge of the highest plane, its vertex; -1: none
    Flat<int32_t> shared;        // vertices on the lowest plane, ascending: those that the slab before may have
    Flat<int64_t> shared_edge;   // and their edges
    Flat<Addition> additions;
    std::vector<int32_t> number;  // of each vertex in the end
    int64_t first = 0, first_face = 0;

    void clear() {
        vertices.clear();
        faces.clear();
        shared.clear();
        shared_edge.clear();
        additions.clear();
    }
};

// Goes through the layers of one slab.
template <class T> class March {
  public:
    March(const View& volume, const View& mask, const Tables& tables, const Above& above, double level, int step, bool classic)
        : volume_(volume), mask_(mask), tables_(tables), above_(above), level_(level), step_(step), classic_(classic),
          nx_(volume.shape[2]), ny_(volume.shape[1]) {}

    void run(int64_t begin, int64_t end, Slab& slab) {
        slab_ = &slab;
        slab.clear();
        lower_.assign(2 * nx_ * ny_, -1);
        slab.upper.assign(2 * nx_ * ny_, -1);
        for (int64_t z = begin; z < end; ++z) {
            if (z > begin) {
                lower_.swap(slab.upper);
                std::fill(slab.upper.begin(), slab.upper.end(), -1);
            }
            upright_.assign(nx_ * ny_, -1);
            shared_ = z == begin && begin > 0;
            for (int64_t y = 0; y + 1 < ny_; ++y) row(z, y);
        }
    }

  private:
    const View &volume_, &mask_;
    const Tables& tables_;
    const Above& above_;
    const double level_;
    const int step_;
    const bool classic_;
    const int64_t nx_, ny_;
    std::vector<int32_t> lower_, upright_;  // vertices on the edges of a plane (two each), and between planes
    Slab* slab_ = nullptr;
    bool shared_ = false;  // the lower plane is the slab's lowest

    double value(int64_t z, int64_t y, int64_t x) const {
        T v;
        std::memcpy(&v, volume_.data + z * volume_.strides[0] + y * volume_.strides[1] + x * volume_.strides[2], sizeof v);
        return static_cast<double>(static_cast<float>(v)) - level_;
    }

    void row(int64_t z, int64_t y) {
        const int64_t a = z * ny_ + y, b = a + ny_;
        for (int64_t w = 0; w < above_.words; ++w) {
            const uint64_t one = above_.row(a)[w];
            uint64_t crossed = above_.crossed(a, w) | above_.crossed(b, w) |
                               ((one ^ above_.row(b)[w]) & above_.squares(w));
            for (; crossed; crossed &= crossed - 1) {
                const int64_t x = 64 * w + lowest_bit(crossed);
                if (!mask_.size() || mask_.data[(z + 1) * mask_.strides[0] + (y + 1) * mask_.strides[1] +
                                                (x + 1) * mask_.strides[2]])
                    cube(z, y, x);
            }
        }
    }

    void cube(int64_t z, int64_t y, int64_t x) {
        Cube c;
        int index = 0;
        for (int i = 0; i < 8; ++i) {
            c.v[i] = value(z + Z[i], y + Y[i], x + X[i]);
            index |= (c.v[i] > 0) << i;
        }
        const Tiling tiling = classic_ ? tables_.classic(index) : tables_.choose(index, c.v);
        if (!tiling.count) return;
        c.prepare();
        int32_t* to = slab_->faces.room(3 * tiling.count);
        int32_t centre = -1;
        for (int i = 0; i < 3 * tiling.count; ++i) {
            const int edge = tiling.edges[i];
            to[i] = edge == 12 ? at_centre(c, centre, z, y, x) : on_edge(c, edge, z, y, x);
        }
        slab_->faces.end_at(to + 3 * tiling.count);
    }

    int32_t new_vertex(const double* offset, double weight, int64_t z, int64_t y, int64_t x) {
        const double step = step_, at[3] = {step * x, step * y, step * z};
        Vertex v{};
        for (int d = 0; d < 3; ++d) v.place[d] = static_cast<float>(at[d] + step * offset[d] / weight);
        slab_->vertices.push_back(v);
        return static_cast<int32_t>(slab_->vertices.size()) - 1;
    }

    int32_t at_centre(Cube& c, int32_t& vertex, int64_t z, int64_t y, int64_t x) {
        c.find_centre();
        if (vertex < 0) vertex = new_vertex(c.centre, c.weight, z, y, x);
        Vertex& v = slab_->vertices[vertex];
        v.reach(c.range);
        v.add(c.centre_part);
        return vertex;
    }

    int32_t on_edge(const Cube& c, int edge, int64_t z, int64_t y, int64_t x) {
        const int a = ENDS[edge][0], b = ENDS[edge][1];
        const int64_t place = place_of(edge, y, x);
        int32_t& vertex = edge >= 8 ? upright_[place] : edge >= 4 ? slab_->upper[place] : lower_[place];
        const bool shared = shared_ && edge < 4;
        if (vertex < 0) {
            const double p = c.strength[a], q = c.strength[b];
            const double offset[3] = {X[a] * p + X[b] * q, Y[a] * p + Y[b] * q, Z[a] * p + Z[b] * q};
            vertex = new_vertex(offset, p + q, z, y, x);
            if (shared) {
                slab_->shared.push_back(vertex);
                slab_->shared_edge.push_back(place);
            }
        }
        if (shared) {
            slab_->additions.push_back({c.part[a], c.part[b], c.range, vertex});
        } else {
            Vertex& v = slab_->vertices[vertex];
            v.reach(c.range);
            v.add(c.part[a]);
            v.add(c.part[b]);
        }
        return vertex;
    }

    int64_t place_of(int edge, int64_t y, int64_t x) const {
        if (edge >= 8) return nx_ * (y + Y[edge - 8]) + x + X[edge - 8];
        const int e = edge & 3;
        return 2 * (nx_ * (y + (e == 2)) + x + (e == 1)) + (e & 1);
    }
};

// The surface as it grows, slab by slab. Normals are sums of gradients until the end.
class Whole {
  public:
    Flat<float> places, normals, values;
    Flat<int32_t> faces;

    // Vertices in the order in which one pass would have made them; room for them. `below`: of each edge of the plane
    // below the first slab, its vertex.
    void number(std::vector<Slab>& slabs, size_t count, std::vector<int32_t>& below) {
        int64_t total = static_cast<int64_t>(values.size()), corners = static_cast<int64_t>(faces.size());
        for (size_t i = 0; i < count; ++i) {
            Slab& s = slabs[i];
            s.first = total;
            s.first_face = corners;
            corners += static_cast<int64_t>(s.faces.size());
            s.number.resize(s.vertices.size());
            size_t j = 0;
            for (size_t v = 0; v < s.vertices.size(); ++v) {
                const bool shared = j < s.shared.size() && s.shared[j] == static_cast<int32_t>(v);
                const int32_t there = shared ? below[s.shared_edge[j++]] : -1;
                s.number[v] = there >= 0 ? there : static_cast<int32_t>(total++);
            }
            if (total > std::numeric_limits<int32_t>::max())
                throw std::overflow_error("the surface has more than 2**31 vertices");
            below.resize(s.upper.size());
            for (size_t e = 0; e < below.size(); ++e) below[e] = s.upper[e] < 0 ? -1 : s.number[s.upper[e]];
        }
        grow(places, 3 * total);
        grow(normals, 3 * total);
        grow(values, total);
        grow(faces, corners);
    }

    void take(const Slab& s, bool descent) {
        for (size_t i = 0, j = 0; i < s.vertices.size(); ++i) {
            const bool shared = j < s.shared.size() && s.shared[j] == static_cast<int32_t>(i);
            j += shared;
            const int64_t to = s.number[i];
            if (shared && to < s.first) continue;  // the slab before has it
            const Vertex& v = s.vertices[i];
            for (int d = 0; d < 3; ++d) {  // (z, y, x)
                places[3 * to + d] = v.place[2 - d];
                normals[3 * to + d] = v.gradient.at[2 - d];
            }
            values[to] = v.value;
        }
        int32_t* to = faces.data() + s.first_face;
        for (size_t i = 0; i < s.faces.size(); i += 3)
            for (int k = 0; k < 3; ++k) to[i + k] = s.number[s.faces[i + (descent ? 2 - k : k)]];
    }

    void add(const Slab& s) {
        for (size_t i = 0; i < s.additions.size(); ++i) {
            const Addition& a = s.additions[i];
            const int64_t to = s.number[a.vertex];
            if (a.range > values[to]) values[to] = static_cast<float>(a.range);
            float* normal = normals.data() + 3 * to;
            for (int d = 0; d < 3; ++d) {
                normal[d] += a.a.at[2 - d];
                normal[d] += a.b.at[2 - d];
            }
        }
    }

    void normalise(int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            float* n = normals.data() + 3 * i;
            const double x = n[2], y = n[1], z = n[0];
            double length = x * x + y * y + z * z;
            if (length > 0) length = 1.0 / std::sqrt(length);
            for (int d = 0; d < 3; ++d) n[d] = static_cast<float>(n[d] * length);
        }
    }

  private:
    template <class T> static void grow(Flat<T>& flat, int64_t size) {
        flat.room(size - flat.size());
        flat.end_at(flat.data() + size);
    }
};

}  // namespace

Surface marching_cubes(View volume, View mask, View tables, Ints begins, double level, int step, bool classic,
                       bool descent, int threads) {
    constexpr int64_t LAYERS = 8;  // of a slab
    const Above above(volume, level, true, threads);
    const Tables choices(tables, begins);
    const int64_t layers = std::max<int64_t>(volume.shape[0] - 1, 0), all = (layers + LAYERS - 1) / LAYERS;
    // A few slabs at a time, in the same memory: fresh pages are a quarter of the time otherwise.
    std::vector<Slab> slabs(std::min<int64_t>(all, 2 * std::max(threads, 1)));
    std::vector<int32_t> below;
    Whole whole;
    for (int64_t first = 0; first < all; first += static_cast<int64_t>(slabs.size())) {
        const int64_t count = std::min<int64_t>(all - first, slabs.size());
        dispatch(volume.dtype, [&](auto t) {
            using M = March<typename decltype(t)::t>;
            auto make = [&] { return M(volume, mask, choices, above, level, step, classic); };
            parallel_for(count, threads, make, [&](M& march, int64_t i) {
                march.run((first + i) * LAYERS, std::min(layers, (first + i + 1) * LAYERS), slabs[i]);
            });
        });
        whole.number(slabs, count, below);
        parallel_for(count, threads, [&](int64_t i) { whole.take(slabs[i], descent); });
        parallel_for(count, threads, [&](int64_t i) { whole.add(slabs[i]); });
    }
    constexpr int64_t PART = 1 << 16;
    const int64_t vertices = static_cast<int64_t>(whole.values.size());
    parallel_for((vertices + PART - 1) / PART, threads, [&](int64_t i) {
        whole.normalise(i * PART, std::min(vertices, (i + 1) * PART));
    });
    return {std::move(whole.places), std::move(whole.faces), std::move(whole.normals), std::move(whole.values)};
}

}  // namespace fastmed
