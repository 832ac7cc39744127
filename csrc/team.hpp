// The threads that work beside a caller.
#pragma once

namespace fastmed {

// work(data, true) here, and work(data, false) on up to `others` threads that come in time. Returns when all who came
// have left; inside a piece of such work nobody else comes. `work` throws nothing.
void run_in_team(int others, void (*work)(void* data, bool caller), void* data);

}  // namespace fastmed
