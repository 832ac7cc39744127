// The only file that knows pybind11: arrays to views, the GIL, interrupts, and the table of kernels.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "kernels.hpp"
#include "parallel.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace py = pybind11;

namespace fastmed {
bool (*interrupt_pending)() = nullptr;

static bool ask_interpreter() {
    py::gil_scoped_acquire gil;
    return PyErr_CheckSignals() != 0;
}

static bool dtype_of(const py::dtype& d, DType& out) {
    const char kind = d.kind();
    const auto size = d.itemsize();
    if (kind == 'b') return out = DType::boolean, true;
    if (kind == 'f' && size == 4) return out = DType::f32, true;
    if (kind == 'f' && size == 8) return out = DType::f64, true;
    if (kind != 'u' && kind != 'i') return false;
    const bool u = kind == 'u';
    switch (size) {
        case 1: return out = u ? DType::u8 : DType::i8, true;
        case 2: return out = u ? DType::u16 : DType::i16, true;
        case 4: return out = u ? DType::u32 : DType::i32, true;
        case 8: return out = u ? DType::u64 : DType::i64, true;
    }
    return false;
}
}  // namespace fastmed

namespace pybind11::detail {
// A NumPy array of a native dtype becomes a View; anything else does not match (TypeError). Nothing is copied.
template <> struct type_caster<fastmed::View> {
    PYBIND11_TYPE_CASTER(fastmed::View, const_name("numpy.ndarray"));
    bool load(handle src, bool) {
        if (!isinstance<array>(src)) return false;
        auto a = reinterpret_borrow<array>(src);
        auto d = a.dtype();
        if (d.byteorder() == '>' || !fastmed::dtype_of(d, value.dtype)) return false;
        value.data = static_cast<char*>(const_cast<void*>(a.data()));
        value.ndim = static_cast<int>(a.ndim());
        for (int i = 0; i < value.ndim; ++i) {
            value.shape[i] = a.shape(i);
            value.strides[i] = a.strides(i);
        }
        return true;
    }
};
// A flat result vector becomes a NumPy array that owns it: no copy.
template <class T> struct vector_as_array {
    PYBIND11_TYPE_CASTER(std::vector<T>, const_name("numpy.ndarray"));
    static handle cast(std::vector<T>&& v, return_value_policy, handle) {
        auto* kept = new std::vector<T>(std::move(v));
        capsule owner(kept, [](void* p) { delete static_cast<std::vector<T>*>(p); });
        return array_t<T>(static_cast<ssize_t>(kept->size()), kept->data(), owner).release();
    }
    bool load(handle, bool) { return false; }
};
template <> struct type_caster<std::vector<int32_t>> : vector_as_array<int32_t> {};
template <class T> struct type_caster<fastmed::Flat<T>> {
    PYBIND11_TYPE_CASTER(fastmed::Flat<T>, const_name("numpy.ndarray"));
    static handle cast(fastmed::Flat<T>&& flat, return_value_policy, handle) {
        auto* kept = new fastmed::Flat<T>(std::move(flat));
        capsule owner(kept, [](void* p) { delete static_cast<fastmed::Flat<T>*>(p); });
        return array_t<T>(static_cast<ssize_t>(kept->size()), kept->data(), owner).release();
    }
    bool load(handle, bool) { return false; }
};
}  // namespace pybind11::detail

namespace fastmed {
template <class R, class... A> static auto bound(R (*kernel)(A...)) {
    return [kernel](A... args) -> R {
        try {
            py::gil_scoped_release unlocked;
            return kernel(std::move(args)...);
        } catch (const Interrupted&) {
            throw py::error_already_set();
        }
    };
}
}  // namespace fastmed

PYBIND11_MODULE(FASTMED_MODULE, m) {
    using namespace fastmed;
    interrupt_pending = ask_interpreter;
    m.attr("isa") = FASTMED_ISA;
#ifdef _OPENMP
    m.attr("openmp") = true;
    m.def("max_threads", [] { return omp_get_max_threads(); });
#else
    m.attr("openmp") = false;
    m.def("max_threads", [] { return 1; });
#endif
#define KERNEL(result, name, parameters) m.def(#name, bound(&name));
#include "kernels.def"
#undef KERNEL
}
