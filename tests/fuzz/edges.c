/* What `-fsanitize-coverage=trace-pc` calls at every basic block: counts the steps from one block to the next. */
#include <stdint.h>

enum { EDGES = 1 << 16 };
uint8_t fastmed_edges[EDGES];
static uint32_t before;

void __sanitizer_cov_trace_pc(void) {
    uint32_t here = (uint32_t)(uintptr_t)__builtin_return_address(0) * 2654435761u >> 16;
    fastmed_edges[(here ^ before) % EDGES]++;
    before = here >> 1;
}
