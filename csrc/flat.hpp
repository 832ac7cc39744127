// A flat result that grows: what a kernel of unknown output size writes into, handed to NumPy without a copy.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fastmed {

// Uninitialised memory for free() and realloc(). Much of it comes in huge pages: its zeroing by the system in pages of
// 4 KB is a quarter of find_contours' time.
inline void* fresh_memory(size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    constexpr size_t PAGE = size_t(1) << 21;
    if (bytes >= 2 * PAGE && bytes <= SIZE_MAX - PAGE) {
        void* p = nullptr;
        if (posix_memalign(&p, PAGE, bytes)) return nullptr;
        madvise(p, bytes, MADV_HUGEPAGE);  // where it is refused, small pages do
        return p;
    }
#endif
    return std::malloc(bytes);
}

// Like std::vector, but new elements are not zeroed and growth lets realloc move whole pages instead of copying.
template <class T> class Flat {
    static_assert(std::is_trivially_copyable<T>::value, "realloc moves the bytes");

  public:
    Flat() = default;
    explicit Flat(size_t size) : size_(size) { reallocate(size); }
    Flat(Flat&& other) noexcept { swap(other); }
    Flat& operator=(Flat&& other) noexcept { return swap(other), *this; }
    ~Flat() { std::free(data_); }

    T* data() { return data_; }
    const T* data() const { return data_; }
    size_t size() const { return size_; }
    T& operator[](size_t i) { return data_[i]; }
    const T& operator[](size_t i) const { return data_[i]; }

    // For so many elements in all, where that is known before.
    void reserve(size_t size) {
        if (size > capacity_) reallocate(size);
    }
    // Room for `more` elements behind the last one; gives the place of the first of them.
    T* room(size_t more) {
        if (capacity_ - size_ < more) reallocate(size_ + more > 2 * capacity_ ? size_ + more : 2 * capacity_);
        return data_ + size_;
    }
    void end_at(const T* end) { size_ = static_cast<size_t>(end - data_); }
    void clear() { size_ = 0; }
    void push_back(T value) {
        *room(1) = value;
        ++size_;
    }

  private:
    void reallocate(size_t capacity) {
        if (capacity == 0) return;
        if (capacity > SIZE_MAX / sizeof(T)) throw std::bad_alloc();
        void* p = data_ ? std::realloc(data_, capacity * sizeof(T)) : fresh_memory(capacity * sizeof(T));
        if (!p) throw std::bad_alloc();
        data_ = static_cast<T*>(p);
        capacity_ = capacity;
    }
    void swap(Flat& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
    }
    T* data_ = nullptr;
    size_t size_ = 0, capacity_ = 0;
};

// Polylines: points (x, y, x, y...), where each polyline starts and the last ends, four links for each, and the group
// that each belongs to (a slice, a label; empty where there is one group).
using Polylines = std::tuple<Flat<int32_t>, Flat<int64_t>, Flat<int32_t>, Flat<int32_t>>;

// The same without links, in real numbers.
using Lines = std::tuple<Flat<double>, Flat<int64_t>>;

// Points picked from polylines: their numbers, and where each polyline starts and the last ends.
using Picked = std::tuple<Flat<int64_t>, Flat<int64_t>>;

// A surface of triangles: vertices, the three vertices of each face, normals, values.
using Surface = std::tuple<Flat<float>, Flat<int32_t>, Flat<float>, Flat<float>>;

}  // namespace fastmed
