// A library with thread-local variables, C alone in what it needs. MODEL is how they are addressed ("initial-exec" or
// "global-dynamic"), IMAGE what they start with; with PAUSE its constructor takes that many milliseconds, so that it is preempted.
#include <stdint.h>
#include <time.h>

#define LOCAL __attribute__((tls_model(MODEL), aligned(8))) __thread

static LOCAL int64_t value = IMAGE;
static LOCAL int32_t more[3] = {(int32_t)(IMAGE & 0xffff), -1, 7};
static LOCAL char nothing[9];

static int image_in_constructor = -1;

static int is_new() {
    int good = value == IMAGE && more[0] == (int32_t)(IMAGE & 0xffff) && more[1] == -1 && more[2] == 7;
    for (unsigned i = 0; i < sizeof nothing; i++) good &= nothing[i] == 0;
    return good;
}

static void fill(int64_t with) {
    value = with;
    for (int i = 0; i < 3; i++) more[i] = (int32_t)with + i;
    for (unsigned i = 0; i < sizeof nothing; i++) nothing[i] = (char)(with | 1);
}

extern "C" {
// Whether the calling thread finds what a new thread finds.
int tls_is_new() { return is_new(); }

void tls_fill(int64_t with) { fill(with); }

// Whether they are as tls_fill left them.
int tls_holds(int64_t with) {
    int good = value == with;
    for (int i = 0; i < 3; i++) good &= more[i] == (int32_t)with + i;
    for (unsigned i = 0; i < sizeof nothing; i++) good &= nothing[i] == (char)(with | 1);
    return good;
}

void *tls_address() { return &value; }

// Whether the constructor found the image, -1 if it did not run.
int tls_constructed() { return image_in_constructor; }
}

#ifdef PAUSE
static int64_t now() {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}
#endif

// Leaves the opening thread's variables filled with 1.
__attribute__((constructor)) static void construct() {
    int good = is_new();
    fill(1);
#ifdef PAUSE
    int64_t start = now();
    while (now() - start < PAUSE * 1000000ll) good &= tls_holds(1);
#endif
    image_in_constructor = good;
}

#ifdef CONVERTER
// What iconv looks for in a module: this one converts nothing.
extern "C" {
int gconv_init(void *) { return 1; }
void gconv_end(void *) {}
int gconv(void *, void *, const unsigned char **, const unsigned char *, unsigned char **, unsigned long *, int, int) {
    return 1;
}
}
#endif
