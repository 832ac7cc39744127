# cython: boundscheck=False, wraparound=False
"""Memory of large results, kept for the next one when a result is freed.

The system hands out new memory as zeroed pages: for a result of 128 MB that is 15 to 22 ms of a core, as long as many a
filter takes. Results of at least `SMALLEST` bytes come from NumPy's own constructor with an allocator of ours, which
keeps what is freed, up to `limit` bytes, and hands it out again for the same size. What is kept is marked as free to take
(MADV_FREE): the system takes it back, without writing it out, as soon as anybody needs it. The arrays are ordinary ones,
that own their data.
"""

import numpy as np

cdef extern from *:
    """
    #define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
    #define NPY_TARGET_VERSION NPY_1_22_API_VERSION
    #include <numpy/arrayobject.h>
    #include <stdint.h>
    #include <stdlib.h>
    #include <string.h>
    #if defined(__linux__) && !defined(Py_GIL_DISABLED)
    #include <sys/mman.h>
    #define FASTMED_KEEPS 1
    #ifndef MADV_FREE
    #define MADV_FREE 8
    #endif
    #ifndef MADV_HUGEPAGE
    #define MADV_HUGEPAGE 14
    #endif
    #else
    #define FASTMED_KEEPS 0
    #endif

    /* All of it runs with the GIL held, which is the lock. */
    enum { FASTMED_MOST = 8 };
    static const size_t fastmed_page = (size_t)1 << 21;

    /* Stands in the page before the data. */
    typedef struct { void* mapped; size_t all; size_t length; } fastmed_block;

    static struct { void* data[FASTMED_MOST]; int count; size_t bytes, limit; } fastmed_kept;

    static fastmed_block* fastmed_block_of(void* data) { return (fastmed_block*)((char*)data - 4096); }

    #if FASTMED_KEEPS
    static void fastmed_unmap(void* data) {
        fastmed_block block = *fastmed_block_of(data);
        munmap(block.mapped, block.all);
    }

    static void fastmed_forget(int i) {
        void* data = fastmed_kept.data[i];
        fastmed_kept.bytes -= fastmed_block_of(data)->length;
        --fastmed_kept.count;
        memmove(fastmed_kept.data + i, fastmed_kept.data + i + 1, (fastmed_kept.count - i) * sizeof(void*));
    }

    static void fastmed_release(void) {
        while (fastmed_kept.count) {
            void* data = fastmed_kept.data[0];
            fastmed_forget(0);
            fastmed_unmap(data);
        }
    }

    static void* fastmed_map(size_t length) {
        size_t all = length + fastmed_page + 4096;
        char* mapped = (char*)mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED) return NULL;
        char* data = (char*)(((uintptr_t)mapped + 4096 + fastmed_page - 1) & ~(uintptr_t)(fastmed_page - 1));
        madvise(data, length, MADV_HUGEPAGE);
        *fastmed_block_of(data) = (fastmed_block){mapped, all, length};
        return data;
    }

    static void* fastmed_malloc(void* ctx, size_t size) {
        if (size > SIZE_MAX - 4 * fastmed_page) return NULL;
        const size_t length = size ? (size + fastmed_page - 1) & ~(fastmed_page - 1) : fastmed_page;
        for (int i = fastmed_kept.count - 1; i >= 0; --i) {
            void* data = fastmed_kept.data[i];
            if (fastmed_block_of(data)->length == length) {
                fastmed_forget(i);
                return data;
            }
        }
        void* data = fastmed_map(length);
        if (!data && fastmed_kept.count) {  /* a limit of the process: what is kept counts too */
            fastmed_release();
            data = fastmed_map(length);
        }
        return data;
    }

    static void* fastmed_calloc(void* ctx, size_t count, size_t each) {
        if (each && count > SIZE_MAX / each) return NULL;
        void* data = fastmed_malloc(ctx, count * each);
        return data ? memset(data, 0, count * each) : NULL;
    }

    static void fastmed_free(void* ctx, void* data, size_t size) {
        if (!data) return;
        const size_t length = fastmed_block_of(data)->length;
        if (length > fastmed_kept.limit) {
            fastmed_unmap(data);
            return;
        }
        while (fastmed_kept.count == FASTMED_MOST || fastmed_kept.bytes + length > fastmed_kept.limit) {
            void* oldest = fastmed_kept.data[0];
            fastmed_forget(0);
            fastmed_unmap(oldest);
        }
        if (madvise(data, length, MADV_FREE)) {  /* an old system, which could not take it back */
            fastmed_unmap(data);
            return;
        }
        fastmed_kept.data[fastmed_kept.count++] = data;
        fastmed_kept.bytes += length;
    }

    static void* fastmed_realloc(void* ctx, void* data, size_t size) {
        void* moved = fastmed_malloc(ctx, size);
        if (!moved || !data) return moved;
        const size_t length = fastmed_block_of(data)->length;
        memcpy(moved, data, length < size ? length : size);
        fastmed_free(ctx, data, length);
        return moved;
    }

    static PyDataMem_Handler fastmed_handler = {
        "fastmed", 1, {NULL, fastmed_malloc, fastmed_calloc, fastmed_realloc, fastmed_free}
    };

    static PyObject* fastmed_capsule(void) { return PyCapsule_New(&fastmed_handler, "mem_handler", NULL); }
    #else
    static void fastmed_release(void) {}
    static PyObject* fastmed_capsule(void) { Py_RETURN_NONE; }
    #endif
    static int fastmed_import(void) { import_array1(-1); return 0; }
    static size_t fastmed_bytes(void) { return fastmed_kept.bytes; }
    static void fastmed_set_limit(size_t limit) { fastmed_kept.limit = limit; }
    """
    bint FASTMED_KEEPS
    object fastmed_capsule()
    int fastmed_import() except -1
    void fastmed_release()
    size_t fastmed_bytes()
    void fastmed_set_limit(size_t)
    object PyDataMem_SetHandler(object)

fastmed_import()
cdef object _handler = fastmed_capsule()
keeps = bool(FASTMED_KEEPS)


def empty(shape, dtype):
    """An array of memory that a freed result has left, or of new memory; as `numpy.empty`."""
    if not FASTMED_KEEPS:
        return np.empty(shape, dtype)
    before = PyDataMem_SetHandler(_handler)
    try:
        return np.empty(shape, dtype)
    finally:
        PyDataMem_SetHandler(before)


def release():
    """Give back what is kept."""
    fastmed_release()


def kept():
    """How many bytes are kept."""
    return fastmed_bytes()


def set_limit(size_t limit):
    """Keep at most so many bytes."""
    fastmed_set_limit(limit)
    fastmed_release()
