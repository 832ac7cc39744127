// A pool of threads. A caller never waits for one that has not begun: what is left when it has done its share it does
// itself, and only who is in the middle of a piece is waited for. OpenMP's regions end with all threads at one place; on
// a machine that has other work, a median of 0.5 ms then took 17 ms until the second thread had come, found nothing left,
// and gone.
#include "team.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace fastmed {
namespace {

// Asks for about 50 us, what it takes to wake a thread that sleeps.
template <class Done> void spin(Done&& done) {
    for (int k = 0; k < 1000 && !done(); ++k) {
#if defined(__x86_64__) && defined(__GNUC__)
        __builtin_ia32_pause();
#else
        std::this_thread::yield();
#endif
    }
}

thread_local bool in_work = false;

class Team {
    struct Job {
        void (*work)(void*, bool);
        void* data;
        int seats;  // for those who may still come
        std::atomic<int> inside;
    };

    std::mutex mutex;
    std::condition_variable wanted, left;
    std::vector<Job*> jobs;       // with free seats
    std::atomic<int> waiting{0};  // how many these are
    int size = 0;

public:
    void run(int others, void (*work)(void*, bool), void* data) {
        Job job{work, data, others, {0}};
        open(job);
        work(data, true);
        close(job);
    }

private:
    void open(Job& job) {
        const int others = job.seats;
        {
            std::lock_guard<std::mutex> lock(mutex);
            try {
                for (; size < others; ++size) std::thread([this] { serve(); }).detach();
            } catch (const std::system_error&) {  // the system gives no more threads: those that are there will do
            }
            jobs.push_back(&job);
            waiting = int(jobs.size());
        }
        for (int k = 0; k < others; ++k) wanted.notify_one();
    }

    void close(Job& job) {
        std::unique_lock<std::mutex> lock(mutex);
        forget(job);
        lock.unlock();
        spin([&] { return job.inside == 0; });
        lock.lock();
        left.wait(lock, [&] { return job.inside == 0; });
    }

    void serve() {
        in_work = true;
        std::unique_lock<std::mutex> lock(mutex);
        for (;;) {
            if (jobs.empty()) {
                lock.unlock();
                spin([&] { return waiting > 0; });
                lock.lock();
            }
            wanted.wait(lock, [&] { return !jobs.empty(); });
            Job& job = *jobs.front();
            ++job.inside;
            if (--job.seats == 0) forget(job);
            lock.unlock();
            job.work(job.data, false);
            lock.lock();
            if (--job.inside == 0) left.notify_all();  // the job goes once the lock is free
        }
    }

    void forget(Job& job) {
        jobs.erase(std::remove(jobs.begin(), jobs.end(), &job), jobs.end());
        waiting = int(jobs.size());
    }
};

// Never destroyed: its threads wait in it until the process ends.
Team& the_team() {
    static Team* team = new Team;
    return *team;
}

}  // namespace

void run_in_team(int others, void (*work)(void* data, bool caller), void* data) {
    if (others < 1 || in_work) return work(data, true);
    in_work = true;
    the_team().run(others, work, data);
    in_work = false;
}

}  // namespace fastmed
