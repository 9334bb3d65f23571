// A thread_local object with a constructor and a destructor, beside plain thread-locals that both look at.
#include <atomic>
#include <string>

static std::atomic<long> constructed{0}, destroyed{0}, astray{0};
static thread_local long plain = 7;

struct Object {
    std::string text;
    long of;
    Object() : text(100, 'x'), of(plain) {
        constructed++;
        if (plain != 7) astray++;
    }
    ~Object() {
        if (plain != of || text != std::string(100, static_cast<char>('a' + of % 26))) astray++;
        destroyed++;
    }
};

static thread_local Object object;

extern "C" {
// Makes the calling thread's object on the first call; whether it is as this left it the last time (0: never).
int object_touch(long last, long now) {
    bool good = last == 0 ? object.text == std::string(100, 'x') && plain == 7
                          : object.of == last && plain == last;
    object.of = plain = now;
    object.text.assign(100, static_cast<char>('a' + now % 26));
    return good;
}

long object_constructed() { return constructed; }
long object_destroyed() { return destroyed; }
long object_astray() { return astray; }
}
