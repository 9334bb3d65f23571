// What C++ code does on a body: exceptions across frames, thread_local objects with destructors, x87 arithmetic.
#include <atomic>
#include <map>
#include <stdexcept>
#include <string>

static std::atomic<long> constructed{0}, destroyed{0};

struct Counter {
    std::string text = "a string that does not fit into the short form of std::string";
    long touched = 0;
    Counter() { constructed++; }
    ~Counter() { destroyed++; }
};

static thread_local Counter counter;
static thread_local int plain = 7;

static int descend(int depth, int value) {
    std::string local(64, static_cast<char>('a' + depth % 26));
    if (depth == 0) throw std::runtime_error(local + ":" + std::to_string(value));
    return descend(depth - 1, value) + static_cast<int>(local.size());
}

extern "C" {
// Throws through `depth` frames with destructors and catches: whether the message is the one thrown.
int storm_throw(int depth, int value) {
    try {
        return descend(depth, value);
    } catch (const std::exception &e) {
        return std::string(e.what()) == std::string(64, 'a') + ":" + std::to_string(value);
    }
}

// How often this thread has called it; a new thread starts at 1.
long storm_touch() {
    if (counter.text.size() < 20 || plain != 7) return -1;
    return ++counter.touched;
}

// A map with a few hundred nodes, made and freed here: whether it held what was put in.
int storm_map(int seed) {
    std::map<int, std::string> map;
    for (int i = 0; i < 300; i++) map[(i * 7919 + seed) % 1009] = std::to_string(i);
    for (int i = 0; i < 300; i += 2) map.erase((i * 7919 + seed) % 1009);
    return map.size() == 150 && map[(7919 + seed) % 1009] == "1";
}

// 1/3 by the x87 unit, in the precision and rounding that its control word says.
long double storm_third(long double one) { return one / 3.0L; }

long storm_constructed() { return constructed; }
long storm_destroyed() { return destroyed; }
}
